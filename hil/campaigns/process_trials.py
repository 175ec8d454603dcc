"""One try: a process of a cell in operation is suspended, or killed, while the arm moves; and what is asked of it.

Everything that concerns the arm is judged from the mock's ground truth. What may act is bounded by facts of the
protocol, not by what the supervisor believes:

- a command acts only if it answers the newest packet, and before the next one is due: it was computed from a sample
  less than :data:`AGE_BOUND` old when it begins to act;
- the robot holds the last overlay for :data:`BRIDGING` when no command comes, then brakes; nothing acts again before
  a person enables anew.
"""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Array
from drivers.fri.wire import SessionState
from hil.build import build_model
from hil.campaigns.wall_rig import Disturbed, WallCell, wall_cell
from hil.cell import Cell
from hil.job import LOG_NAME
from hil.operation import place
from hil.operation.client import NoAnswerError
from hil.telemetry.log import LogError, read_log

AGE_BOUND = 1e-3
"""One receive period of the cell, s."""
BRIDGING = 0.010
"""How long the mock robot holds the last overlay, s."""
WATCH = 0.5
"""How long an arm that stands is watched for anything that moves it again, s."""
SETTLE = 4.0
"""How long a stop and a cell that comes back may take, s."""
GO_ON = 0.4
"""How long a motion that goes on is watched before it is stopped, s."""
LOST_NS = 200_000_000
"""What a log may lack, ns of the wall clock."""
VICTIMS = ("supervisor", "recorder", "mock")


@dataclass(frozen=True)
class Try:
    """What is done."""

    number: int
    action: str
    """``suspend`` or ``kill``."""
    victim: str
    motion: str
    delay: float
    """From the begin of the motion, s."""
    length: float
    """Of a suspension, s of the cell's time, as every time here."""


@dataclass(frozen=True)
class Found:
    """What came of it; the figures are those of the ground truth."""

    faults: tuple[str, ...]
    """Codes that were latched."""
    commands: int
    """Commands that acted after the process was hit."""
    age: float
    """The oldest sample that such a command answered, s; NaN where there was none."""
    refused: int
    """Late, stale or unknown commands that reached the robot after the hit and did not act."""
    stopped: bool
    """The arm was stopped by it; otherwise its motion went on."""
    still: float
    """From the hit to closed brakes and rest, s; NaN where the motion went on, and where the truth died."""
    travel: float
    """Largest way of a joint from there to rest, rad; or NaN."""
    travel_tcp: float
    """Largest way of the TCP, m; or NaN."""
    problems: tuple[str, ...]
    """Demands that were not met, in words."""
    tries: int = 1
    """How often it was begun: a stall of the machine itself before the hit makes a try void."""


def plan(seed: int, suspensions: int, kills: int) -> list[Try]:
    """``suspensions`` in all, over the three processes, of 5 ms … 5 s (logarithmically even); ``kills`` of each."""
    rng = np.random.default_rng(seed)
    out: list[Try] = []

    def add(action: str, victim: str, length: float) -> None:
        motion = "polish" if rng.random() < 0.3 else "swing"
        out.append(Try(len(out), action, victim, motion, float(rng.uniform(0.3, 1.3)), length))

    for k in range(suspensions):
        add("suspend", VICTIMS[k % 3], float(5e-3 * 1e3 ** rng.random()))
    for victim in VICTIMS:
        for _ in range(kills):
            add("kill", victim, 0.0)
    return out


def carry_out(chosen: Try, folder: Path, slow: int) -> Found:
    """Carry ``chosen`` out on a fresh cell whose files go into ``folder``; ``slow``: see :class:`WallCell`.

    Raises Disturbed, ConnectError.
    """
    cell = wall_cell(folder)
    with WallCell(cell, folder, chosen.number, slow) as running:
        running.moving(chosen.motion)
        running.sleep(chosen.delay)
        if running.status()["faults"]:
            raise Disturbed("a fault came before the process was hit")
        before = _unused(running.mock.control.state())
        if chosen.action == "kill" and chosen.victim == "supervisor":
            return _kill_supervisor(running, cell, before)
        if chosen.action == "kill" and chosen.victim == "mock":
            return _kill_mock(running)
        pid = running.pid(chosen.victim)
        hit = time.monotonic_ns()
        if chosen.action == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGSTOP)
            try:
                running.sleep(chosen.length)
            finally:
                os.kill(pid, signal.SIGCONT)
        found = _what_followed(running, cell, hit, before)
        if chosen.victim == "recorder":
            if found.faults and not found.problems:
                raise Disturbed(f"a fault that no recorder can cause: {', '.join(found.faults)}")
            if chosen.action == "kill":
                problems = list(found.problems)
                _check_log(running, hit, problems)
                found = replace(found, problems=tuple(problems))
        return found


def _unused(state: dict[str, Any]) -> int:
    """Commands that the mock robot has refused so far."""
    answers = state["answers"]
    return int(answers["late"] + answers["stale"] + answers["unknown"])


def _what_followed(running: WallCell, cell: Cell, hit: int, before: int) -> Found:
    """Of a hit that the supervisor survived, with the same mock."""
    problems: list[str] = []
    told = running.until(lambda told: bool(told["faults"]), GO_ON)
    if told is None:
        running.say("stop")
        running.until(lambda told: told["state"] in ("ready", "faulted"), SETTLE)
    else:
        running.until(lambda told: told["state"] == "faulted", SETTLE)
    running.sleep(WATCH)
    told = running.status()
    truth = running.truth()
    codes = tuple(dict.fromkeys(fault["code"] for fault in told["faults"]))
    found = judge(truth, hit, cell, codes, problems, stopped=bool(codes), refused_before=before)
    _check_latched(told, problems)
    if told["faults"]:
        _check_acknowledged(running, problems)
    running.say("down")
    code = running.worker.wait(30.0)
    if code != 0:
        problems.append(f"the supervisor ended with code {code}")
    return replace(found, problems=tuple(problems))


def _kill_supervisor(running: WallCell, cell: Cell, before: int) -> Found:
    problems: list[str] = []
    hit = time.monotonic_ns()
    running.worker.kill()
    running.worker.wait(30.0)
    running.sleep(WATCH + 0.3)
    found = judge(running.truth(), hit, cell, (), problems, stopped=True, refused_before=before)
    _check_log(running, hit, problems)
    if any(other.name == cell.name for other in place.running()):
        problems.append("the cell is still listed as a running one")
    return replace(found, problems=tuple(problems))


def _check_log(running: WallCell, hit: int, problems: list[str]) -> None:
    """The log is readable up to shortly before ``hit``."""
    try:
        last = int(read_log(running.folder / LOG_NAME).cycle["t_ns"][-1])
    except (LogError, IndexError) as error:
        problems.append(f"the log cannot be read: {error}")
        return
    lost = hit - last * running.slow
    if lost > LOST_NS:
        problems.append(f"the log lacks the last {lost * 1e-9:.2f} s of the wall clock")


def _kill_mock(running: WallCell) -> Found:
    """World and truth die with it: judged are the supervisor, and the truth of the mock that is started anew."""
    problems: list[str] = []
    os.kill(running.mock.pid, signal.SIGKILL)
    running.mock.process.wait(10.0)
    told = running.until(lambda told: told["state"] == "faulted", SETTLE)
    if told is None:
        raise Disturbed("the cell did not say within 4 s that it is faulted")
    running.mock.restart()
    running.sleep(WATCH)
    _check_latched(running.status(), problems)
    codes = tuple(dict.fromkeys(f["code"] for f in told["faults"]))
    _check_acknowledged(running, problems)
    truth = running.truth()
    _check_rest(truth, 0, problems)
    acted = int((truth["command_age"] >= 0.0).sum())
    return Found(codes, acted, math.nan, 0, True, math.nan, math.nan, math.nan, tuple(problems))


def judge(
    truth: dict[str, Any],
    hit: int,
    cell: Cell,
    codes: tuple[str, ...],
    problems: list[str],
    *,
    stopped: bool,
    refused_before: int = 0,
) -> Found:
    """Judge the ground truth of a try whose process was hit at the monotonic time ``hit``, ns.

    ``codes``: faults that were latched; ``stopped``: the arm should have come to rest by itself; ``refused_before``:
    commands that the robot had refused before. Adds to ``problems`` what was not met, and returns them too.
    """
    first = min(int(np.searchsorted(truth["wall_ns"], hit)), len(truth["q"]) - 1)
    ages = truth["command_age"][first:]
    acted = ages >= 0.0
    age = float(ages[acted].max()) if acted.any() else math.nan
    if acted.any() and not age < AGE_BOUND:
        problems.append(f"a command acted on a sample {age * 1e3:.2f} ms old, allowed is less than {AGE_BOUND * 1e3:g}")
    still = travel = travel_tcp = math.nan
    rest = _rest_after(truth, first)
    if rest is None:
        problems.append("at the end the arm does not stand with closed brakes")
    else:
        _check_rest(truth, rest, problems)
        if stopped:
            q = truth["q"][first : rest + 1]
            still = (rest - first) * 1e-3
            travel = float(np.abs(q - q[0]).max())
            travel_tcp = _tcp_travel(cell, q)
    refused = _unused(truth) - refused_before
    return Found(codes, int(acted.sum()), age, refused, stopped, still, travel, travel_tcp, tuple(problems))


def _rest_after(truth: dict[str, Any], first: int) -> int | None:
    """The first tick from which on the brakes are closed and every joint stands to the end; None: it does not."""
    rests = truth["braked"] & (np.abs(truth["qd"]).max(axis=1) < 1e-3)
    moving = np.flatnonzero(~rests)
    rest = int(moving[-1]) + 1 if moving.size else 0
    return None if rest >= len(rests) else max(rest, first)


def _check_rest(truth: dict[str, Any], rest: int, problems: list[str]) -> None:
    """From tick ``rest`` on: braked, no overlay, no session state that takes commands."""
    if not truth["braked"][rest:].all() or truth["overlay"][rest:].any():
        problems.append("brakes opened or a torque acted again, unasked")
    if (truth["session_state"][rest:] >= SessionState.COMMANDING_WAIT).any():
        problems.append("commands were enabled again, unasked")


def _check_latched(told: dict[str, Any], problems: list[str]) -> None:
    """Faults, where there are any, are latched with cause and remedy; nothing is enabled."""
    if told["state"] not in ("faulted", "ready", "offline"):
        problems.append(f"the cell is {told['state']}: {told['sentence']}")
    if bool(told["faults"]) != (told["state"] == "faulted"):
        problems.append(f"the cell is {told['state']} with {len(told['faults'])} faults latched")
    for fault in told["faults"]:
        if "likely causes" not in fault["explanation"] or "what to do" not in fault["explanation"]:
            problems.append(f"{fault['code']} is not explained")


def _check_acknowledged(running: WallCell, problems: list[str]) -> None:
    """The fault can be acknowledged (once every device is back), and the cell is ready, not enabled, after it."""
    deadline = time.monotonic() + 2 * SETTLE * running.slow
    accepted = False
    while not accepted and time.monotonic() < deadline:
        try:
            accepted = running.say("ack")
        except NoAnswerError:
            break
        if not accepted:
            running.sleep(0.1)
    if not accepted:
        problems.append(f"the fault could not be acknowledged: {running.status()['sentence']}")
    elif running.until(lambda told: told["situation"] == "ready", 2 * SETTLE) is None:
        problems.append(f"not ready after the fault was acknowledged: {running.status()['sentence']}")


def _tcp_travel(cell: Cell, q: Array) -> float:
    model, zero = build_model(cell), np.zeros(q.shape[1])
    x = np.array([model.update(row, zero).x.copy() for row in q])
    return float(np.linalg.norm(x - x[0], axis=1).max())
