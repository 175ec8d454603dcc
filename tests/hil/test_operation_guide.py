"""Guiding by hand in a running cell: the enabling key, its switch, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from operating import Operating, swinging_cell

from drivers.contract import StopCategory
from hil.cell import CellError, load_cell
from hil.cli.guide import FIRST_REPEAT, NEXT_REPEAT, HeldKey, loop
from hil.motion.profiles import min_jerk
from hil.operation.key import EnablingKey
from hil.operation.messages import Enable, Guide, Reply, Status, Stop
from hil.operation.verbs import Situation
from safety.states import State

S = Situation
BIAS = 520
"""Cycles after which the arm gives way: the holding torque is averaged before."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    made = Operating(swinging_cell(tmp_path_factory.mktemp("cell")))
    made.holding()
    yield made
    made.shut()


def hold(run: Operating, cycles: int) -> None:
    """Hold the key for so many cycles, as a client does."""
    for k in range(cycles):
        if k % 50 == 0:
            run.say(Guide())
        run.go(1)


def pull(run: Operating, length: float, seconds: float, cycles: int, ends: bool = False) -> None:
    """A spring of 300 N/m, on a hand that moves by ``length`` m to the side while it holds the key.

    ``ends``: until the cell is guided no more.
    """
    begin = np.array(run.mock.world.pose()[0])
    for k in range(cycles):
        if k % 50 == 0 and run.situation is S.GUIDING:
            run.say(Guide())
        way = length * min_jerk(min(1e-3 * k, seconds), seconds)[0]
        force = 300.0 * (begin + way * np.array([0.0, -1.0, 0.0]) - run.mock.world.pose()[0])
        run.mock.world.push(np.array([*force, 0.0, 0.0, 0.0]))
        run.go(1)
        if run.situation is not S.GUIDING:
            assert ends, run.said
            return
    assert not ends, "nothing ended it"


def held_again(run: Operating) -> None:
    """From wherever the last test left it to HOLDING, with the key let go."""
    run.mock.world.push(None)
    run.say(Guide(held=False))
    if run.supervisor.state is State.STOPPING:
        run.while_(lambda: not run.supervisor.standing, 1500)
        run.say(Enable())
    run.until_in(S.HOLDING)


def test_the_arm_gives_way_while_the_key_is_held_and_is_held_when_it_is_let_go(run: Operating) -> None:
    held_again(run)
    hold(run, 200)
    assert run.situation is S.GUIDING
    assert run.say(Status()).data["sentence"].startswith("hands off")
    hold(run, BIAS - 200)
    before = run.mock.world.q.copy()
    pull(run, length=0.1, seconds=1.5, cycles=1500)
    assert run.say(Status()).data["sentence"] == "the arm gives way to your hand"
    given_way = np.abs(run.mock.world.q - before).max()
    assert given_way > 0.03, f"{given_way} rad"
    run.mock.world.push(None)
    run.say(Guide(held=False))
    run.go(200)
    assert run.situation is S.STOP_HOLDS
    assert run.supervisor.stop_category == StopCategory.STOP_AND_HOLD
    where = run.mock.world.q.copy()
    run.go(800)
    assert np.abs(run.mock.world.q - where).max() < 0.003
    task = run.say(Status()).data["task"]
    assert task["progress"] == "done"
    assert "let go" in task["sentence"]
    assert run.supervisor.machine.faults == []


def test_pressing_anew_goes_on_from_where_the_stop_holds_it(run: Operating) -> None:
    held_again(run)
    hold(run, 600)
    run.say(Guide(held=False))
    run.while_(lambda: not run.supervisor.standing, 1500)
    assert run.situation is S.STOP_HOLDS
    braked_before = run.mock.log.truth()["braked"][-1]
    assert not braked_before
    hold(run, 600)
    assert run.situation is S.GUIDING
    run.say(Guide(held=False))
    run.go(100)


def test_a_client_that_falls_silent_is_a_hand_that_lets_go(run: Operating) -> None:
    held_again(run)
    hold(run, 600)
    timeout = round(1000 * run.cell.free_drive.key_timeout)
    run.go(timeout - 60)
    assert run.situation is S.GUIDING
    run.go(62)
    assert run.situation is S.STOP_HOLDS


def test_a_key_that_is_still_held_does_not_begin_anew_after_a_stop(run: Operating) -> None:
    held_again(run)
    hold(run, 600)
    run.say(Stop(category=2))
    run.while_(lambda: not run.supervisor.standing, 1500)
    for _ in range(5):
        reply = run.ask(Guide())
        assert not reply.ok
        assert "press it anew" in reply.sentence
        run.go(50)
        assert run.situation is S.STOP_HOLDS


def test_faster_than_the_cap_stops_and_holds_and_is_no_fault(run: Operating) -> None:
    held_again(run)
    hold(run, BIAS + 30)
    pull(run, length=0.3, seconds=0.8, cycles=2000, ends=True)
    run.mock.world.push(None)
    run.go(1)
    assert run.situation is S.STOP_HOLDS
    assert run.supervisor.machine.faults == []
    task = run.say(Status()).data["task"]
    assert "faster than the speed cap" in task["sentence"]


def test_enable_goes_on_from_a_stop_that_holds_but_not_while_it_brakes(run: Operating) -> None:
    held_again(run)
    run.say(Stop(category=2))
    refused = run.ask(Enable())
    assert not refused.ok
    assert "once it stands" in refused.sentence
    run.while_(lambda: not run.supervisor.standing, 1500)
    q = run.mock.world.q.copy()
    run.say(Enable())
    assert run.situation is S.HOLDING
    run.go(1000)
    assert np.abs(run.mock.world.q - q).max() < 0.004, "what held the arm in the stop is taken over"


def test_an_enabling_switch_must_be_held_as_well(tmp_path: Path) -> None:
    path = swinging_cell(tmp_path).path
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["free_drive"] = {"enabling_input": "Enabling.Switch"}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with pytest.raises(CellError, match=r"a boolean input of robot\.fri\.inputs"):
        load_cell(path)
    content["robot"]["fri"]["inputs"]["Enabling.Switch"] = "boolean"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    run = Operating(load_cell(path))
    try:
        run.holding()
        reply = run.ask(Guide())
        assert not reply.ok
        assert "hold the enabling switch" in reply.sentence
        run.say(Guide(held=False))
        run.mock.controller.ios.set("Enabling.Switch", True)
        run.go(20)
        hold(run, 600)
        assert run.situation is S.GUIDING
        run.mock.controller.ios.set("Enabling.Switch", False)
        run.go(10)
        assert run.situation is S.STOP_HOLDS
    finally:
        run.shut()


def test_a_switch_that_the_robot_does_not_report_is_not_held() -> None:
    key = EnablingKey(lambda: 0, 0.3, "Switch", lambda: {"Other": True})
    key.press()
    assert not key.held()
    assert "no input 'Switch'" in key.why_not()
    assert "it reports: Other" in key.why_not()
    number = EnablingKey(lambda: 0, 0.3, "Switch", lambda: {"Switch": 1.0})
    number.press()
    assert not number.held(), "an analog value is no switch"


def test_a_terminal_shows_a_held_key_by_its_repetition() -> None:
    key = HeldKey()
    assert not key.held(0.0)
    key.hear(1.0)
    assert key.held(1.0 + FIRST_REPEAT - 0.01), "the first repetition takes its time"
    assert not key.held(1.0 + FIRST_REPEAT + 0.01)
    for k in range(20):
        key.hear(1.5 + 0.033 * k)
    last = 1.5 + 0.033 * 19
    assert key.held(last + NEXT_REPEAT - 0.01)
    assert not key.held(last + NEXT_REPEAT + 0.01)
    key.hear(9.0)
    assert key.held(9.0 + FIRST_REPEAT - 0.01), "pressed anew"


class Listener:
    """Stands for the cell: notes what it is told, and when."""

    def __init__(self, now: Callable[[], float], ok: bool = True) -> None:
        self.told: list[tuple[float, bool]] = []
        self._now, self._ok = now, ok

    def call(self, verb: str, **arguments: Any) -> Reply:
        assert verb == "guide"
        self.told.append((self._now(), arguments.get("held", True)))
        return Reply(self._ok, "the arm gives way to your hand" if self._ok else "ready, not enabled")


def drive(script: dict[int, bytes], ok: bool = True) -> tuple[Listener, list[str]]:
    """The loop of the terminal, 10 ms a turn; ``script``: what is typed in which turn."""
    turn = -1

    def read(timeout: float) -> bytes:
        nonlocal turn
        turn += 1
        return script.get(turn, b"")

    said: list[str] = []
    listener = Listener(lambda: 0.01 * turn, ok)
    loop(listener, read, lambda: 0.01 * turn, said.append)
    return listener, said


def test_a_held_space_bar_tells_the_cell_until_it_is_let_go() -> None:
    script = {10: b" ", **{60 + 3 * k: b" " for k in range(30)}, 300: b"q"}
    listener, _ = drive(script)
    held = [at for at, is_held in listener.told if is_held]
    assert held[0] == pytest.approx(0.10)
    assert max(np.diff(held)) <= 0.1, "never silent for as long as the cell waits"
    let_go = [at for at, is_held in listener.told if not is_held]
    last_key = 0.01 * (60 + 3 * 29)
    assert last_key < let_go[0] <= last_key + NEXT_REPEAT + 0.03
    assert held[-1] < let_go[0]


def test_a_refusal_is_shown_and_quitting_lets_the_key_go() -> None:
    listener, said = drive({3: b" ", 20: b"\x1b"}, ok=False)
    assert any("refused: ready, not enabled" in text for text in said)
    assert listener.told[-1][1] is False
