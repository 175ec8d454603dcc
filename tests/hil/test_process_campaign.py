"""Processes held up or killed: how a try is judged, what an interruption leaves, and a slice of the campaign."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.fri.wire import SessionState
from hil.campaigns import processes
from hil.campaigns.process_trials import AGE_BOUND, VICTIMS, Found, Try, judge, plan
from hil.campaigns.processes import append, attempt, campaign, load, outcome, render_markdown
from hil.campaigns.rig import campaign_cell
from hil.campaigns.wall_rig import Disturbed

PAGE = Path(__file__).parents[2] / "docs" / "process-faults.md"
CELL = campaign_cell()
MS = 1_000_000
HIT = 100
"""Tick of the hit in the truths below; the brakes close 60 ticks later."""


def truth(**changes: Any) -> dict[str, Any]:
    """An arm that moves A1 at 0.1 rad/s, loses its commands at the hit, and is braked."""
    n = 400
    q = np.tile(np.array(CELL.robot.home), (n, 1))
    q[:, 0] += 1e-4 * np.minimum(np.arange(n), HIT + 60)
    moving = np.arange(n) < HIT + 60
    qd = np.zeros((n, 7))
    qd[moving, 0] = 0.1
    overlay = np.zeros((n, 7))
    overlay[moving] = 1.0
    made = {
        "q": q,
        "qd": qd,
        "overlay": overlay,
        "braked": ~moving,
        "session_state": np.where(moving, SessionState.COMMANDING_ACTIVE, SessionState.MONITORING_READY),
        "command_age": np.where(np.arange(n) <= HIT, 0.0, -1.0),
        "wall_ns": np.arange(n) * MS,
        "answers": {"late": 3, "stale": 1, "unknown": 0},
    }
    for name, (at, value) in changes.items():
        made[name] = made[name].copy()
        made[name][at] = value
    return made


def judged(stopped: bool = True, **changes: Any) -> Found:
    return judge(truth(**changes), HIT * MS, CELL, ("sample_stale",), [], stopped=stopped, refused_before=2)


def test_the_figures_of_a_stop() -> None:
    found = judged()
    assert found.problems == ()
    assert found.stopped
    assert (found.commands, found.age, found.refused) == (1, 0.0, 2)
    assert found.still == pytest.approx(0.060)
    assert found.travel == pytest.approx(6e-3)
    reach = math.hypot(*_tcp(CELL.robot.home)[:2])
    assert found.travel_tcp == pytest.approx(2.0 * reach * math.sin(3e-3), rel=1e-3)


def _tcp(q: tuple[float, ...]) -> np.ndarray:
    from hil.build import build_model

    return build_model(CELL).update(np.array(q), np.zeros(7)).x


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command_age": (HIT + 3, AGE_BOUND)}, "a command acted on a sample 1.00 ms old"),
        ({"command_age": (300, 0.5)}, "a command acted on a sample 500.00 ms old"),
        ({"command_age": (HIT + 3, math.inf)}, "a command acted on a sample inf ms old"),
        ({"overlay": (300, 0.1)}, "a torque acted again, unasked"),
        ({"session_state": (slice(300, 310), SessionState.COMMANDING_WAIT)}, "enabled again, unasked"),
        ({"braked": (-1, False)}, "does not stand with closed brakes"),
        ({"qd": (-1, 0.1)}, "does not stand with closed brakes"),
    ],
)
def test_what_must_not_be_is_found(changes: dict[str, Any], words: str) -> None:
    (problem,) = judged(**changes).problems
    assert words in problem


def test_a_command_just_inside_the_bound_is_none() -> None:
    assert judged(command_age=(HIT + 3, 0.99 * AGE_BOUND)).problems == ()
    assert judged(command_age=(HIT - 3, 0.5)).problems == (), "before the hit it is the link's business"


def test_a_motion_that_goes_on_has_no_way_to_rest() -> None:
    found = judged(stopped=False)
    assert not found.stopped
    assert math.isnan(found.travel)
    assert outcome(found) == "went on; 1 commands, the oldest sample among them 0 ms old"


def test_the_plan_is_seeded_and_whole() -> None:
    tries = plan(0, 50, 20)
    assert tries == plan(0, 50, 20)
    assert tries != plan(1, 50, 20)
    assert [t.number for t in tries] == list(range(110))
    lengths = [t.length for t in tries if t.action == "suspend"]
    assert len(lengths) == 50
    assert min(lengths) >= 5e-3
    assert max(lengths) <= 5.0
    for victim in VICTIMS:
        assert sum(t.victim == victim for t in tries if t.action == "suspend") >= 16
        assert sum(t.victim == victim for t in tries if t.action == "kill") == 20


def test_what_was_interrupted_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was cut off, or is of another plan, is done anew; what is whole is not."""
    store, tries = tmp_path / "runs" / "results.jsonl", plan(3, 3, 1)
    done: list[int] = []

    def carry_out(chosen: Try, folder: Path, slow: int) -> Found:
        done.append(chosen.number)
        if len(done) == 3:
            raise KeyboardInterrupt
        return judged()

    monkeypatch.setattr(processes, "carry_out", carry_out)
    with pytest.raises(KeyboardInterrupt):
        campaign(tries, 1, load(store, tries), lambda chosen, found: append(store, chosen, found))
    assert load(store, tries) == {0: judged(), 1: judged()}
    store.write_bytes(store.read_bytes()[:-20])
    append(store, plan(4, 3, 1)[2], judged())
    results = campaign(tries, 1, load(store, tries), lambda chosen, found: append(store, chosen, found))
    assert done == [0, 1, 2, 1, 2, 3, 4, 5]
    assert load(store, tries) == results
    assert len(results) == 6


def test_a_try_that_the_machine_disturbed_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def carry_out(chosen: Try, folder: Path, slow: int) -> Found:
        nonlocal count
        count += 1
        if count < 3:
            raise Disturbed("a fault came first")
        return judged()

    monkeypatch.setattr(processes, "carry_out", carry_out)
    assert attempt(plan(0, 1, 0)[0], 1, lambda text: None) == dataclasses.replace(judged(), tries=3)
    monkeypatch.setattr(processes, "ATTEMPTS", 2)
    count = -9
    with pytest.raises(Disturbed, match="2 times a fault came first"):
        attempt(plan(0, 1, 0)[0], 1, lambda text: None)


def test_the_page_tells_what_came_of_it() -> None:
    tries = plan(5, 3, 1)
    results = {t.number: judged() for t in tries[:-1]}
    results[2] = judged(overlay=(300, 0.1))
    page = render_markdown(tries, results, 5, 4)
    assert "seed 5" in page
    assert "4 times slower than real time" in page
    assert "| supervisor, suspended | 1 | 0 | 1 | 0.006 rad |" in page
    assert "Violations: 1." in page
    assert "**VIOLATION**: brakes opened or a torque acted again" in page
    assert f"| {tries[-1].number} |" not in page


def test_the_page_in_the_docs_is_a_whole_campaign_without_violations() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "seed 0" in page
    assert "Violations: 0." in page
    rows = [line for line in page.split("## Every try")[1].splitlines() if line.startswith("| ")]
    for t, row in zip(plan(0, processes.SUSPENSIONS, processes.KILLS), rows[2:], strict=True):
        assert row.startswith(f"| {t.number} | {t.victim} {'suspended' if t.action == 'suspend' else 'killed'}")


@pytest.mark.accept
def test_a_slice_of_the_campaign() -> None:
    """On the wall clock: six suspensions, and a kill of each process."""
    tries = plan(1, 6, 1)
    results = campaign(tries, processes.SLOW, {}, say=print)
    assert len(results) == len(tries)
    for t in tries:
        found = results[t.number]
        assert found.problems == (), (t, found)
        if t.action == "kill" and t.victim != "recorder":
            assert found.stopped
            assert found.faults or t.victim == "supervisor"
        if t.action == "suspend" and t.victim == "supervisor" and t.length > 0.02:
            assert found.stopped, "the robot's own watchdog brakes after 10 ms"
