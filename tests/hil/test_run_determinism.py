"""Lockstep through processes of their own: the same seed gives the same log to the last bit, contact included."""

from __future__ import annotations

from typing import Any

import numpy as np

from hil.launch import TRUTH_NAME, Run
from hil.telemetry.log import Log, read_log
from tests.hil.conftest import Launches
from tests.hil.running import CONTACT, Recorded


def _log(run: Run) -> Log:
    assert run.outcome is not None, run.said
    assert run.outcome.finished, run.outcome
    return read_log(run.folder / "run.mcap")


def _differing(a: Log, b: Log) -> list[str]:
    """Fields of every channel but the wall clock's that are not the same to the last bit, NaN included."""
    found = ["channels"] if set(a.channels) != set(b.channels) else []
    for name in set(a.channels) & set(b.channels) - {"/timing"}:
        one, two = a.channels[name], b.channels[name]
        if one.dtype != two.dtype or len(one) != len(two):
            found.append(f"{name}: {len(one)} and {len(two)} rows")
            continue
        found += [f"{name} {field}" for field in one.dtype.names or () if one[field].tobytes() != two[field].tobytes()]
    return found


def _truth(run: Run) -> dict[str, Any]:
    with np.load(run.folder / TRUTH_NAME, allow_pickle=False) as stored:
        return dict(stored)


def test_same_seed_gives_the_same_log(launches: Launches, undisturbed: Run) -> None:
    first, second = _log(undisturbed), _log(launches.get("again"))
    # What is compared is worth it: free motion, contact, a stop, and every cycle of them.
    assert (np.abs(first.cycle["wrench_ft"][:, 2]) > CONTACT).sum() > 1000
    assert {"approach", "slide", "stop"} <= set(first.phases.values())
    assert (np.diff(first.cycle["tick"]) == 1).all()
    assert len(first.timing) == len(first.cycle)

    assert _differing(first, second) == []
    assert len(first.events) > 10
    assert [repr(event) for event in first.events] == [repr(event) for event in second.events]
    assert first.attachments == second.attachments
    differing = {
        (table, key)
        for table in first.metadata
        for key in first.metadata[table]
        if first.metadata[table][key] != second.metadata[table][key]
    }
    assert differing <= {("run", "started")}
    # and so is what the logs cannot know
    one, two = _truth(undisturbed), _truth(launches.get("again"))
    assert [name for name in one if one[name].tobytes() != two[name].tobytes()] == []


def test_wall_clock_is_kept_apart_because_it_differs(launches: Launches, undisturbed: Run) -> None:
    """The comparison above sees a difference where there is one."""
    first, second = _log(undisturbed), _log(launches.get("again"))
    assert not np.array_equal(first.timing["wall_cycle_ns"], second.timing["wall_cycle_ns"])
    assert not [name for name in first.cycle.dtype.names or () if name.startswith("wall")]


def test_another_seed_gives_another_run(launches: Launches, undisturbed: Run) -> None:
    """Which begins alike, so it differs from the first row on: another arm, other noise."""
    first, other = _log(undisturbed), _log(launches.get("other seed"))
    same = min(len(first.cycle), len(other.cycle))
    assert same > 1500
    for name in ("q", "tau", "ft_raw", "tau_cmd", "wrench_est", "wrench_ft"):
        assert first.cycle[name][:same].tobytes() != other.cycle[name][:same].tobytes(), name
    assert first.meta("run", "mock_seed") == 0
    assert other.meta("run", "mock_seed") == 1


def test_one_process_or_many_is_the_same_run(polished: Recorded, undisturbed: Run) -> None:
    """What is found in one process, where tests can look everywhere, holds for the processes of a real run."""
    inside, apart = polished.running.truth(), _truth(undisturbed)
    ticks = len(inside["q"])
    assert ticks > 3500
    for name in inside:
        assert inside[name].tobytes() == apart[name][:ticks].tobytes(), name
