"""How the tests are shared out to processes (``pytest -n 2 --dist loadgroup``, as ``make test`` does)."""

from __future__ import annotations

import signal

import pytest

# In the background of a shell script SIGINT is ignored, and so it would be by the programs that tests start and end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = "launches"
"""The fixture of the launched runs: whatever looks at them stays in one process, so that they are run once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, for the sake of its fixtures."""
    for item in items:
        group = SHARED if SHARED in getattr(item, "fixturenames", ()) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
