"""The real processes of an operated cell, in lockstep: every way out leaves the arm braked, and nothing lingers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operating import swinging_cell

from hil.job import OUTCOME_NAME, Job, Outcome
from hil.mocks import MockProcess, mock_config
from hil.operation.client import OperationClient
from hil.operation.place import PlaceError, running
from hil.telemetry.log import read_log

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-c", "from hil.cli import main; main()"]
LIMIT = 60.0
"""Against hanging, s; not a measure."""


class Up:
    """Mock and supervisor as processes of their own, unpaced, and a client at the control socket."""

    def __init__(self, folder: Path, parent: int = 0) -> None:
        self.folder = folder
        cell = swinging_cell(folder)
        self.mock = MockProcess(mock_config(cell))
        job = Job(
            str(folder / "short.yaml"),
            (),
            str(folder),
            str(self.mock.control_dir),
            cell.digest(),
            parent or os.getpid(),
            operated=True,
        )
        (folder / "job.json").write_text(job.to_json(), encoding="utf-8")
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "hil.worker", "--job", str(folder / "job.json")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.worker.stdout is not None
        self.worker.stdout.readline()  # the first word of progress: the socket is there
        self.client = OperationClient("short", timeout=20.0)

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until ``condition`` holds of the status; virtual time runs meanwhile as fast as it can."""
        for _ in range(20_000):
            told = self.client.status()
            if condition(told):
                return told
        raise AssertionError(f"never came: {told}")

    def situation(self, name: str) -> dict[str, Any]:
        return self.until(lambda told: told["situation"] == name)

    def say(self, verb: str, **arguments: Any) -> dict[str, Any]:
        reply = self.client.call(verb, **arguments)
        assert reply.ok, reply.sentence
        return reply.data

    def moving(self) -> None:
        self.situation("ready")
        self.say("enable")
        self.situation("holding")
        self.say("start", motion="swing")
        self.until(lambda told: told["elapsed"] > 0.6)

    def ended(self) -> int:
        """Exit code of the supervisor's process."""
        self.worker.communicate(timeout=LIMIT)
        return self.worker.returncode

    def close(self) -> None:
        self.client.close()
        self.worker.kill()
        self.worker.communicate()
        self.mock.close()


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Up]]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made: list[Up] = []
    with tempfile.TemporaryDirectory(prefix="hil-rt-") as place:
        monkeypatch.setenv("HIL_RUNTIME_DIR", f"{place}/rt")

        def start(parent: int = 0) -> Up:
            made.append(Up(tmp_path, parent))
            return made[-1]

        yield start
        for each in made:
            each.close()


def ends_braked(up: Up) -> None:
    """The arm stands, brakes closed, and nothing was left in the well-known place."""
    truth = up.mock.control.truth()
    state = up.mock.control.state()
    assert state["standing"], state
    assert state["phase"] == "BRAKED"
    assert truth["braked_since"] is not None
    assert running() == []


def test_down_while_moving(up: Callable[..., Up]) -> None:
    """The arm is braked under control, the log is complete, the process ends with 0."""
    cell = up()
    cell.moving()
    cell.say("mark", text="on the way")
    cell.say("down")
    assert cell.ended() == 0
    ends_braked(cell)
    outcome = Outcome.read(cell.folder / OUTCOME_NAME)
    assert outcome is not None
    assert outcome.finished
    assert outcome.problems == ()
    log = read_log(cell.folder / "run.mcap")
    assert not log.truncated
    assert [e.text for e in log.events if e.kind == "mark"] == ["on the way"]
    stop = log.cycle["stop_category"]
    assert set(np.unique(stop).tolist()) == {-1, 1}
    verbs = [e.text.split()[0] for e in log.events if e.kind == "verb"]
    assert verbs == ["enable", "start", "down"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.accept
def test_a_signal_while_moving(up: Callable[..., Up], number: signal.Signals) -> None:
    """As ``hil down``: a controlled stop first."""
    cell = up()
    cell.moving()
    cell.worker.send_signal(number)
    assert cell.ended() == 0
    ends_braked(cell)
    events = [e.text for e in read_log(cell.folder / "run.mcap").events]
    assert f"going down: stopped by the operator ({number.name})" in events
    assert "the arm stands" in events


def test_the_death_of_the_parent_while_moving(up: Callable[..., Up]) -> None:
    """Whoever started the cell is killed: it stops in order."""
    parent = subprocess.Popen(["sleep", "1000"])
    cell = up(parent.pid)
    cell.moving()
    parent.kill()
    parent.wait()
    assert cell.ended() == 0
    ends_braked(cell)
    assert "the arm stands" in [e.text for e in read_log(cell.folder / "run.mcap").events]
    assert running() == []


def test_the_supervisor_is_killed_while_moving(up: Callable[..., Up]) -> None:
    """No word to anyone: the robot's own watchdog brakes; the cell is no longer listed, and another one may start."""
    cell = up()
    cell.moving()
    cell.worker.kill()
    cell.ended()
    ends_braked(cell)
    with pytest.raises(PlaceError, match="no cell is running"):
        OperationClient("short")


@pytest.mark.accept
def test_down_while_faulted_and_while_a_stop_holds(up: Callable[..., Up]) -> None:
    """From a category 2 hold the power is taken away; the process ends with 0 since nothing is latched."""
    cell = up()
    cell.moving()
    cell.say("stop", category=2)
    cell.situation("held by a stop")
    cell.say("down")
    assert cell.ended() == 0
    ends_braked(cell)


@pytest.mark.accept
def test_down_with_a_fault_latched(up: Callable[..., Up]) -> None:
    """It ends all the same, with 3: the fault was never acknowledged."""
    cell = up()
    cell.moving()
    cell.mock.control.close_session()
    cell.until(lambda told: told["state"] == "faulted")
    cell.say("down")
    assert cell.ended() == 3
    ends_braked(cell)


@pytest.mark.accept
def test_recording_is_switched_off_and_on(up: Callable[..., Up]) -> None:
    """Each log is complete; what happened in between is in none."""
    cell = up()
    cell.situation("ready")
    assert not cell.client.call("record", on=True).ok
    cell.say("record", on=False)
    cell.say("mark", text="unseen")
    assert not cell.client.call("record", on=False).ok
    cell.say("record", on=True)
    cell.say("mark", text="seen")
    tick = cell.client.status()["tick"]
    cell.until(lambda told: told["tick"] > tick + 50)
    cell.say("down")
    assert cell.ended() == 0
    marks = []
    for name in ("run.mcap", "run_2.mcap"):
        log = read_log(cell.folder / name)
        assert not log.truncated
        assert len(log.cycle) > 50
        assert (np.diff(log.cycle["tick"]) == 1).all()
        marks += [e.text for e in log.events if e.kind == "mark"]
    assert marks == ["seen"]


@pytest.mark.accept
def test_several_clients_at_once(up: Callable[..., Up]) -> None:
    """Ten clients ask in turn and out of turn; each gets its own answers, and cycles go on in between."""
    cell = up()
    told = cell.situation("ready")
    clients = [OperationClient("short", timeout=20.0) for _ in range(10)]
    try:
        for round_ in range(5):
            for index, client in enumerate(clients):
                client._socket.send(b'{"verb": "mark", "text": "%d.%d"}' % (round_, index))
            for client in reversed(clients):
                assert client._socket.poll(20_000)
                assert b'"noted"' in client._socket.recv()
    finally:
        for client in clients:
            client.close()
    after = cell.client.status()
    assert after["tick"] >= told["tick"] + 4 * 50, "one answer every four cycles at most"
    assert not after["faults"]
    cell.say("down")
    assert cell.ended() == 0


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.accept
def test_the_mock_is_killed_and_started_anew(up: Callable[..., Up], held: bool) -> None:
    """Every device gone at once, and back under other ports: ready again in the same process, enabled by nobody."""
    cell = up()
    if held:
        cell.moving()
    else:
        cell.situation("ready")
    cell.mock.process.kill()
    cell.mock.process.wait()
    cell.until(lambda told: told["state"] == ("faulted" if held else "offline"))
    cell.mock.restart()
    if held:
        cell.situation("faulted")
        assert not cell.client.call("enable").ok
        cell.say("ack")
    told = cell.situation("ready")
    assert told["checked"]
    cell.until(lambda later: later["tick"] > told["tick"] + 500)
    assert cell.client.status()["situation"] == "ready"
    assert cell.mock.control.truth()["braked_since"] == 0
    cell.say("enable")
    cell.situation("holding")
    cell.say("down")
    assert cell.ended() == 0
    ends_braked(cell)


@pytest.mark.accept
def test_verbs_of_the_command_line(up: Callable[..., Up]) -> None:
    """A thin client each: exit code 0 with a sentence, 1 for a refusal, 2 without a cell."""

    def hil(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        return subprocess.run([*HIL, *arguments], env=environment, capture_output=True, text=True, timeout=LIMIT)

    none = hil("status")
    assert (none.returncode, none.stdout) == (2, "")
    assert "no cell is running; start one with `hil run CELL`" in none.stderr
    cell = up()
    cell.situation("ready")
    refused = hil("jog", "A6", "2")
    assert refused.returncode == 1
    assert "jog: refused: ready, not enabled; `hil enable` first" in refused.stderr
    done = hil("enable")
    assert done.returncode == 0, done.stderr
    assert "enabled, the arm is held" in done.stdout
    done = hil("jog", "A6", "-2", "--wait")
    assert done.returncode == 0, done.stderr
    assert "jog A6 finished" in done.stdout
    assert hil("jog", "elbow", "2").returncode == 2
    assert hil("record", "maybe").returncode == 2
    shown = hil("status")
    assert shown.returncode == 0, shown.stderr
    for words in ("short (simulated devices)", "enabled, the arm is held", "wrench sensor", "run.mcap", "A6 moves by"):
        assert words in shown.stdout
    assert '"situation": "holding"' in hil("status", "--json").stdout
    assert hil("stop", "--cell", "other").returncode == 2
    assert hil("down").returncode == 0
    assert cell.ended() == 0
