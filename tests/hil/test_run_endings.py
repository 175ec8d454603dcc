"""However the program that started a run ends, the arm is stopped in order and nothing stays behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hil.cell import shipped_cells
from hil.job import Outcome

ROOT = Path(__file__).parents[2]
DRIVER = """
import json, sys
from pathlib import Path
from hil.cell import load_cell
from hil.launch import launch
tell = lambda said: print(json.dumps(said), flush=True)
ended = launch(load_cell(sys.argv[1]), ["swing"], Path("runs"), paced=False, progress=tell)
print(json.dumps({"ended": ended.outcome is not None, "standing": ended.mock.get("standing"), "notes": ended.notes}))
"""
PATIENCE_S = 60


class Driver:
    """A program of somebody's that runs a cell; every line that it prints is a JSON object."""

    def __init__(self, cell: Path, cwd: Path) -> None:
        environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(cwd))
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(cell)], cwd=cwd, env=environment, stdout=subprocess.PIPE
        )
        self.cwd = cwd

    def until_moving(self) -> None:
        """Follow the run until the arm swings."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line).get("phase") == "swing":
                return
        raise AssertionError("the run ended before the arm moved")

    def family(self) -> list[int]:
        """pidfds of all descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            todo += [int(child) for child in children]
            found += [os.pidfd_open(int(child)) for child in children]
        return found

    def last_line(self) -> dict[str, object]:
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        last: dict[str, object] = json.loads(lines[-1])
        return last

    def outcome(self) -> Outcome:
        (folder,) = (self.cwd / "runs").iterdir()
        outcome = Outcome.read(folder / "outcome.json")
        assert outcome is not None
        return outcome


def ended(pidfds: list[int]) -> bool:
    """All these processes end within a minute."""
    try:
        return all(select.select([fd], [], [], PATIENCE_S)[0] for fd in pidfds)
    finally:
        for fd in pidfds:
            os.close(fd)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """A run of the demo cell in the middle of a long swing."""
    content = yaml.safe_load(shipped_cells()["iiwa14_polish"].read_text(encoding="utf-8"))
    content["motions"] = {
        "swing": {"kind": "sinusoid", "amplitude": [0.05] * 7, "frequency": 0.5, "duration": 600.0}
    }
    cell = tmp_path / "cell.yaml"
    cell.write_text(yaml.safe_dump(content), encoding="utf-8")
    driver = Driver(cell, tmp_path)
    driver.until_moving()
    yield driver
    driver.process.kill()
    driver.process.wait()
    assert driver.process.stdout is not None
    driver.process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_arm_in_order(driver: Driver, number: signal.Signals) -> None:
    """One signal, and two more while it stops: a controlled stop, a verdict, an arm at rest, nothing left running."""
    family = driver.family()
    assert len(family) >= 3  # mock, supervisor, recorder
    for _ in range(3):
        driver.process.send_signal(number)
    last = driver.last_line()
    assert driver.process.wait(timeout=PATIENCE_S) == 0
    assert last["ended"] is True
    assert last["standing"] is True
    outcome = driver.outcome()
    assert not outcome.finished
    assert outcome.faults == ()
    assert "stopped by the operator" in outcome.stopped
    assert ended(family)
    assert not list(driver.cwd.glob("hil-mock-*"))


def test_the_death_of_the_starter_stops_the_arm_in_order(driver: Driver) -> None:
    """kill -9 of the program that started the run: the supervisor stops the arm, everything ends by itself."""
    family = driver.family()
    driver.process.kill()
    assert ended(family)
    outcome = driver.outcome()
    assert "the program that started the run has ended" in outcome.stopped
    assert outcome.faults == ()
    assert not list(driver.cwd.glob("hil-mock-*"))
