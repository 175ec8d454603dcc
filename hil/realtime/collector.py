"""The garbage collector of a control process: off while the arm may move, by hand where nothing can happen.

Reference counts free what a cycle makes; the collector only finds what refers to itself in circles, of which the
cycle makes none to speak of. What it costs is a pause at a moment of its own choosing, tens of milliseconds once
everything imported is among what it looks through. So all that exists before the first cycle is frozen (never looked
at again), automatic collection is off, and what little gathers is collected where the arm is not enabled.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_off() -> Iterator[None]:
    """Freeze what exists and collect nothing until the block ends."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect() -> None:
    """Collect now: only where nothing is enabled. A millisecond or two, for what was frozen is not looked at."""
    gc.collect()
