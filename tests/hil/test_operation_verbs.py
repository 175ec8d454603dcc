"""Every verb in every situation: the pure table, its page, and a whole simulated cell driven through all of it."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from operating import Operating, swinging_cell

from hil.campaigns.forked import Forked
from hil.operation.messages import Acknowledge, Enable, Home, Jog, Record, Request, Start, Status, Stop
from hil.operation.table import REQUESTS, example, render
from hil.operation.verbs import Context, Situation, decide
from safety.states import State

ROOT = Path(__file__).parents[2]
S = Situation

CHANGES: dict[tuple[Situation, str], Situation] = {
    (S.READY, "hil enable"): S.STARTING,
    (S.READY, "hil tare"): S.CHECKING,
    (S.HOLDING, "hil start MOTION"): S.MOVING,
    (S.HOLDING, "hil home"): S.MOVING,
    (S.HOLDING, "hil jog JOINT DEGREES"): S.MOVING,
    (S.STARTING, "hil stop"): S.STOPPING,
    (S.HOLDING, "hil stop"): S.STOPPING,
    (S.MOVING, "hil stop"): S.STOPPING,
    (S.STOP_HOLDS, "hil stop"): S.STOPPING,
    (S.STARTING, "hil stop --category 2"): S.STOP_HOLDS,
    (S.HOLDING, "hil stop --category 2"): S.STOP_HOLDS,
    (S.MOVING, "hil stop --category 2"): S.STOP_HOLDS,
    (S.STOP_HOLDS, "hil enable"): S.HOLDING,
    (S.HOLDING, "hil guide"): S.GUIDING,
    (S.STOP_HOLDS, "hil guide"): S.GUIDING,
    (S.GUIDING, "hil stop"): S.STOPPING,
    (S.GUIDING, "hil stop --category 2"): S.STOP_HOLDS,
    (S.FAULTED, "hil ack"): S.CHECKING,
    **{(situation, "hil down"): S.ENDING for situation in Situation},
}
"""Every change of situation that a verb makes at once; whatever is not here leaves it as it was."""


@pytest.mark.parametrize("situation", Situation)
def test_the_examples_of_the_table_are_what_they_are_called(situation: Situation) -> None:
    assert example(situation).situation is situation


def test_every_verb_has_an_answer_in_every_context() -> None:
    """Total over state, task, motion, health, faults, category and ending, also where these contradict each other."""
    for state, task, motion, ending, healthy, fault, category, standing, request in itertools.product(
        State, ("", "enable", "guide"), ("", "swing"), (False, True), (False, True), ("", "x"), (-1, 0, 1, 2),
        (False, True), REQUESTS.values(),
    ):  # fmt: skip
        context = Context(
            state,
            task=task,
            motion=motion,
            ending=ending,
            healthy=healthy,
            missing="m",
            fault=fault,
            since="t",
            stop_category=category,
            motions=("swing",),
            q=(0.0,) * 7,
            q_min=(-1.0,) * 7,
            q_max=(1.0,) * 7,
            standing=standing,
        )
        verdict = decide(request, context)
        assert verdict.sentence
        if isinstance(request, Stop):
            assert verdict.accepted, "a stop is never refused"
        if request.verb in ("start", "home", "jog"):
            assert verdict.accepted == (context.situation is S.HOLDING)
        if request.verb == "enable":
            held = context.situation is S.STOP_HOLDS and standing
            assert verdict.accepted == (context.situation is S.READY or held), "not while a stop still brakes"
            assert not (verdict.accepted and state not in (State.READY, State.STOPPING))


def test_the_page_is_up_to_date() -> None:
    """docs/operation.md is what `python -m hil.operation.table` prints."""
    assert (ROOT / "docs" / "operation.md").read_text(encoding="utf-8") == render()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Start(motion="dance"), "no motion 'dance'; it has: swing"),
        (Jog(joint=0, degrees=1.0), "no joint A0; there are A1 to A7"),
        (Jog(joint=8, degrees=1.0), "no joint A8"),
        (Jog(joint=1, degrees=0.0), "up to 10° either way"),
        (Jog(joint=1, degrees=10.1), "not by 10.1°"),
        (Jog(joint=1, degrees=-11.0), "not by -11°"),
        (Record(on=False), "nothing is being recorded"),
        (Enable(), "already enabled"),
        (Acknowledge(), "no fault is latched"),
    ],
)
def test_arguments_are_refused_in_words(request_: Request, words: str) -> None:
    verdict = decide(request_, example(S.HOLDING))
    assert not verdict.accepted
    assert words in verdict.sentence


def test_a_jog_beyond_the_joint_range_is_refused() -> None:
    near_end = Context(
        State.ENABLED, q=(1.95,) * 7, q_min=(-2.0,) * 7, q_max=(2.0,) * 7
    )
    assert decide(Jog(joint=3, degrees=2.0), near_end).accepted
    verdict = decide(Jog(joint=3, degrees=5.0), near_end)
    assert not verdict.accepted
    assert "A3 would end at 116.7°; allowed are -114.6° to 114.6°" in verdict.sentence


def test_a_faulted_cell_says_since_when_and_why() -> None:
    verdict = decide(Enable(), example(S.FAULTED))
    assert verdict.sentence == (
        "faulted since 14:03:12: torque rate on A6: 412 N·m/s, limit 300; acknowledge first"
    )


@pytest.mark.parametrize("situation", Situation)
def test_the_whole_table_on_a_running_cell(situation: Situation, tmp_path: Path) -> None:
    """A simulated cell is brought into the situation; every verb answers as the table says and changes nothing else.

    Each verb that changes the situation is said to a forked copy of the cell, the others follow each other on one.
    """
    run = Operating(swinging_cell(tmp_path))
    try:
        run.bring_to(situation)
        for verb in REQUESTS:
            if (situation, verb) in CHANGES:
                # No cycle is run in the copy, so that the wires that both have are left alone.
                told = Forked(functools.partial(_say, run, verb)).result().decode()
                assert not told, told
        for verb in REQUESTS:
            if (situation, verb) not in CHANGES:
                told = _say(run, verb).decode()
                assert not told, told
    finally:
        run.shut()


def _say(run: Operating, verb: str) -> bytes:
    """Say ``verb``; what was wrong with the answer, in words."""
    before, faults = run.situation, len(run.supervisor.machine.faults)
    reply = run.ask(REQUESTS[verb])
    after = run.situation
    wrong = {
        "accepted or not": reply.ok is not decide(REQUESTS[verb], example(before)).accepted,
        "without a sentence": not reply.sentence,
        f"the cell is {after.value} now": after is not CHANGES.get((before, verb), before),
        "a new fault": len(run.supervisor.machine.faults) > faults,
        "refused, and yet a task": not reply.ok and "task" in reply.data,
    }
    return "; ".join(f"{verb}: {what}: {reply.sentence}" for what, bad in wrong.items() if bad).encode()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    made = Operating(swinging_cell(tmp_path_factory.mktemp("cell")))
    yield made
    made.shut()


def test_the_link_that_a_stop_closes_is_no_defect(run: Operating) -> None:
    """While it opens again the cell says so, and asks for nothing but a moment."""
    run.holding()
    run.say(Stop())
    run.until_in(S.OFFLINE)
    assert run.ask(Status()).sentence.startswith("stopped; the stop closed the robot's link, which opens again")
    refused = run.ask(Enable())
    assert not refused.ok
    assert refused.sentence.endswith("; wait a moment")
    assert run.until_in(S.READY) < 500
    run.inject("drop", "iiwa", ticks=200, field="in")
    run.until_in(S.OFFLINE)
    run.go(2000)
    run.inject("drop", "iiwa", ticks=200, field="in")
    run.until_in(S.OFFLINE)
    assert run.ask(Status()).sentence.startswith("offline since 14:03:12: the robot's link is MONITORING")


def test_a_working_day(run: Operating) -> None:
    """Up, enable, jog, motion, home, fault, acknowledge, down: each does what it says, and the arm ends braked."""
    run.holding()
    q = run.mock.world.q.copy()
    task = run.say(Jog(joint=6, degrees=2.0)).data["task"]
    assert run.ask(Home()).sentence.startswith("motion 'jog A6' is under way")
    run.until_in(S.HOLDING)
    run.go(300)
    told = run.say(Status()).data
    assert told["task"] == {"number": task, "verb": "jog A6", "progress": "done", "sentence": "jog A6 finished"}
    moved = np.degrees(run.mock.world.q - q)
    assert moved[5] == pytest.approx(2.0, abs=0.3)
    assert np.abs(np.delete(moved, 5)).max() < 0.5

    run.say(Start(motion="swing"))
    run.until_in(S.HOLDING)
    run.say(Home())
    run.until_in(S.HOLDING)
    run.go(300)
    assert np.abs(run.mock.world.q - run.cell.robot.home).max() < math.radians(0.5)

    run.say(Start(motion="swing"))
    run.go(800)
    run.inject("drop", "iiwa", ticks=40)
    run.until_in(S.FAULTED)
    told = run.say(Status()).data
    assert told["task"]["progress"] == "failed"
    assert told["faults"]
    assert "age of the robot's state" in told["faults"][0]["headline"]
    refused = run.ask(Enable())
    assert refused.sentence.startswith("faulted since 14:03:12: age of the robot's state")
    assert refused.sentence.endswith("acknowledge first")
    run.say(Acknowledge())
    run.until_in(S.READY)
    run.go(500)
    assert run.situation is S.READY, "it waits for a person to enable"

    run.say(REQUESTS["hil enable"])
    run.until_in(S.HOLDING)
    run.say(Start(motion="swing"))
    run.go(700)
    run.say(REQUESTS["hil down"])
    for _ in run.cycles:
        run.supervisor.step()
    assert run.operated.over
    assert run.mock.standing()
    numbers = [event["number"] for event in told["events"]]
    assert numbers == sorted(set(numbers))
    after = run.operated.status(numbers[-1])["events"]
    assert after
    assert after[0]["number"] == numbers[-1] + 1


def test_an_error_inside_a_verb_is_a_fault_and_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a verb does wrong stops the arm; the cell stays there to be asked."""
    run = Operating(swinging_cell(tmp_path))
    try:
        run.holding()

        def broken(motion: object) -> None:
            raise ZeroDivisionError("a defect")

        monkeypatch.setattr(run.supervisor, "start", broken)
        reply = run.ask(Start(motion="swing"))
        assert not reply.ok
        assert "a defect" in reply.sentence
        run.until_in(S.FAULTED)
        assert "ZeroDivisionError" in run.ask(Status()).sentence
        assert run.mock.standing()
    finally:
        run.shut()
