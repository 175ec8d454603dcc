"""``kill -9`` of supervisor, recorder and mock robot at seeded ticks of a run, in free motion and in contact.

The mock kills at a tick of virtual time, so every figure here repeats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hil.launch import TRUTH_NAME, Run
from hil.telemetry.log import Log, read_log
from hil.telemetry.row import CYCLE
from tests.hil.conftest import Launches
from tests.hil.running import BRIDGING_TICKS, CONTACT, ENGAGE_TICKS, MS, peak_travel

SEED = 20
VICTIMS = ("supervisor", "recorder", "mock")
PLACES = {"free": ("approach", "descend"), "contact": ("slide",)}
LOST_NS = 100 * MS
"""Row time before the kill up to which a log must be readable."""
SLACK_TICKS = 3
"""Between the last command that acts and the tick from which the bridging is counted, and the tick of the brakes."""
WATCHDOG_TICKS = BRIDGING_TICKS + ENGAGE_TICKS + SLACK_TICKS
TRAVEL = 0.02
"""Joint travel from the kill to standstill, rad: at these speeds (below 0.25 rad/s) for at most 63 ms, and braking."""


def _rows(log: Log, phases: tuple[str, ...]) -> Any:
    numbers = [number for number, name in log.phases.items() if name in phases]
    return log.channels[CYCLE][np.isin(log.cycle["phase"], numbers)]


@pytest.fixture(scope="module")
def kills(launches: Launches, undisturbed: Run) -> dict[tuple[str, str], int]:
    """The tick of every kill, drawn from the phases of the undisturbed run; the runs are begun in the background."""
    log = read_log(undisturbed.folder / "run.mcap")
    rng = np.random.default_rng(SEED)
    ticks: dict[tuple[str, str], int] = {}
    for place, phases in PLACES.items():
        # Well inside the phases; row and tick of the mock have the same virtual time.
        drawn = rng.choice(_rows(log, phases)["t_ns"][20:-20], len(VICTIMS), replace=False)
        ticks.update({(victim, place): int(t_ns) // MS for victim, t_ns in zip(VICTIMS, drawn, strict=True)})
    for (victim, place), tick in ticks.items():
        fault = {"kind": "kill", "device": victim, "at_tick": tick}
        launches.begin(f"{victim} killed, {place}", faults=(fault,))
    return ticks


def _ended(launches: Launches, victim: str, place: str) -> Run:
    return launches.get(f"{victim} killed, {place}")


def _truth(run: Run) -> dict[str, Any]:
    with np.load(run.folder / TRUTH_NAME, allow_pickle=False) as stored:
        return dict(stored)


def _assert_log_reaches(run: Run, tick: int, place: str) -> Log:
    """The log is readable, without holes, to 0.1 s before ``tick``, and the run was where the case says."""
    log = read_log(run.folder / "run.mcap")
    assert log.cycle["t_ns"][-1] >= tick * MS - LOST_NS
    assert (np.diff(log.cycle["tick"]) == 1).all()
    before = log.cycle[log.cycle["t_ns"] <= tick * MS][-1]
    assert log.phases[int(before["phase"])] in PLACES[place]
    force = float(np.linalg.norm(before["wrench_ft"][:3]))
    assert force > CONTACT if place == "contact" else force < CONTACT
    return log


def _assert_same_until(undisturbed: Run, run: Run, tick: int) -> None:
    """Up to the kill the run is the undisturbed one: the kill came at that tick and nothing else was different."""
    expected = read_log(undisturbed.folder / "run.mcap").cycle
    got = read_log(run.folder / "run.mcap").cycle
    count = int(np.count_nonzero(got["t_ns"] <= tick * MS))
    assert got[:count].tobytes() == expected[:count].tobytes()


@pytest.mark.parametrize("place", PLACES)
def test_supervisor_killed_and_the_robot_brakes(
    launches: Launches, undisturbed: Run, kills: dict[tuple[str, str], int], place: str
) -> None:
    tick, run = kills["supervisor", place], _ended(launches, "supervisor", place)
    assert run.outcome is None  # it had no time to say anything
    assert not run.ok
    truth = _truth(run)
    assert not truth["braked"][tick]
    braked_since = run.mock["braked_since"]
    # Not at once either: a controller that brakes without bridging would pass for one that keeps its watchdog time.
    assert tick + ENGAGE_TICKS <= braked_since <= tick + WATCHDOG_TICKS
    assert run.mock["standing"]
    assert [text for _, text in run.mock["errors"]] == ["no command for 10.0 ms"]
    assert truth["braked"][braked_since:].all()
    assert peak_travel(truth, tick).max() < TRAVEL
    # no torque above the data sheet on the way
    limits = read_log(undisturbed.folder / "run.mcap").meta("limits", "tau_max")
    assert (np.abs(truth["tau_motor"]) <= np.array(limits)).all()
    log = _assert_log_reaches(run, tick, place)
    assert log.events[-1].data["reason"] == "the publishing process died"
    assert log.cycle["t_ns"][-1] <= tick * MS  # nobody went on
    _assert_same_until(undisturbed, run, tick)
    # Its last cycles, to the very last, are in the flight recorder's memory, which outlives it.
    (kept,) = run.stops
    flight = read_log(kept.path)
    assert flight.cycle["tick"][-1] >= log.cycle["tick"][-1]
    common = log.cycle[log.cycle["tick"] >= flight.cycle["tick"][0]]
    assert flight.cycle[: len(common)].tobytes() == common.tobytes()
    assert any(event.kind == "died" for event in flight.events)
    assert kept.explanation is not None
    assert "died" in kept.explanation.title


@pytest.mark.parametrize("place", PLACES)
def test_recorder_killed_and_the_run_goes_on(
    launches: Launches, undisturbed: Run, kills: dict[tuple[str, str], int], place: str
) -> None:
    tick, run = kills["recorder", place], _ended(launches, "recorder", place)
    assert run.outcome is not None, run.said
    assert undisturbed.outcome is not None
    assert run.outcome.finished
    assert run.outcome.state == "ready"
    assert run.outcome.faults == ()
    assert run.outcome.cycles == undisturbed.outcome.cycles
    assert any("recorder died" in problem for problem in run.outcome.problems)
    # the arm never noticed
    expected, truth = _truth(undisturbed), _truth(run)
    assert [name for name in expected if truth[name].tobytes() != expected[name].tobytes()] == []
    log = _assert_log_reaches(run, tick, place)
    assert log.truncated
    assert log.cycle["t_ns"][-1] <= tick * MS + LOST_NS
    assert run.stops == []  # it ended as planned
    _assert_same_until(undisturbed, run, tick)


@pytest.mark.parametrize("place", PLACES)
def test_mock_killed_and_the_supervisor_stops_explained(
    launches: Launches, undisturbed: Run, kills: dict[tuple[str, str], int], place: str
) -> None:
    """Its brakes die with the mock; what counts is that the supervisor notices, latches, and says why."""
    tick, run = kills["mock", place], _ended(launches, "mock", place)
    assert run.mock == {}
    assert run.outcome is not None, run.said
    assert not run.outcome.finished
    assert run.outcome.state == "faulted"
    # Arm and sensor go together; which loss is seen first is up to the order in which the system closes a dead
    # process's files.
    assert any(fault.startswith("age of the robot's state") for fault in run.outcome.faults)
    assert run.outcome.faults[0].startswith(("age of the robot's state", "wrench sensor is not valid: unplugged"))
    assert run.outcome.faults[0] in run.outcome.explanation
    assert "likely causes" in run.outcome.explanation
    assert "what to do" in run.outcome.explanation
    assert run.outcome.motions == ()
    log = _assert_log_reaches(run, tick, place)
    # Data may be 5 ms old, or three ticks; the first cycle in which they are older is the last one allowed.
    latched = log.cycle[log.cycle["fault"] != 0]
    assert 0 < latched["t_ns"][0] - tick * MS <= 6 * MS
    after = log.cycle[log.cycle["t_ns"] > tick * MS]
    assert np.isnan(after["tau_cmd"]).all()  # nothing was commanded any more
    assert (np.diff(latched["tick"]) == 1).all()  # latched to the end
    assert latched["tick"][-1] == log.cycle["tick"][-1]
    _assert_same_until(undisturbed, run, tick)
    (kept,) = run.stops
    assert kept.explanation is not None
    assert [t.headline for t in kept.explanation.stop.tripped] == list(run.outcome.faults)
    seconds = read_log(kept.path).seconds
    begin = kept.explanation.stop.begin
    assert seconds[begin] >= min(2.0, log.seconds[np.argmax(log.cycle["fault"] != 0)])
    assert seconds[-1] - seconds[kept.explanation.stop.over - 1] >= 1.0


def test_kills_are_where_they_should_be(undisturbed: Run, kills: dict[tuple[str, str], int]) -> None:
    """Six different ticks, in the phases that the undisturbed run has there, with the contact that they claim."""
    assert len(set(kills.values())) == 6
    truth = _truth(undisturbed)
    for (_, place), tick in kills.items():
        force = np.linalg.norm(truth["wrench_contact"][tick - 1, :3])
        assert force > CONTACT if place == "contact" else force == 0.0
        assert np.abs(truth["qd"][tick - 1]).max() > 1e-3  # moving, not waiting
