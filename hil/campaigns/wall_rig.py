"""A mocked cell in operation as processes of their own on the wall clock: mock, supervisor, recorder; and a client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import yaml

from drivers.errors import ConnectError
from hil.campaigns.rig import campaign_cell
from hil.cell import Cell, load_cell
from hil.job import Job
from hil.mocks import MockProcess, mock_config
from hil.operation.client import NoAnswerError, OperationClient
from hil.operation.place import PlaceError

START_TIMEOUT = 30.0
"""How long processes may take to begin, s; against hanging."""
POLL = 0.1
"""Pause between two questions, s of the cell's time: an answer costs the supervisor most of a cycle."""


def wall_cell(folder: Path) -> Cell:
    """The cell of the other campaigns, as a file in ``folder``, with a swing of half a minute."""
    content = yaml.safe_load(campaign_cell().dump())
    content["motions"]["swing"]["duration"] = 30.0
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


class Disturbed(Exception):
    """The machine was too busy to bring the cell to where the trial begins; the message says what came instead."""


class WallCell:
    """One cell in operation; a context manager that leaves no process behind."""

    def __init__(self, cell: Cell, folder: Path, seed: int, slow: int = 1) -> None:
        """``folder`` takes log and truth. ``slow``: wall-clock time that passes in a unit of the cell's; see
        :mod:`hil.campaigns.wall_worker`. Raises ConnectError where a process does not start.
        """
        self.folder = folder
        self.slow = slow
        slowly = ("--slow", str(slow))
        self.mock = MockProcess(mock_config(cell, seed=seed, realtime=True), ("hil.campaigns.free_mock", *slowly))
        where = str(self.mock.control_dir)
        job = Job(
            str(cell.path), (), str(folder), where, cell.digest(), os.getpid(), operated=True, realtime=True
        )  # fmt: skip
        path = folder / "job.json"
        path.write_text(job.to_json(), encoding="utf-8")
        with (folder / "said.txt").open("wb") as said:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "hil.campaigns.wall_worker", *slowly, "--job", str(path)],
                stdout=said,
                stderr=said,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.client: OperationClient | None = None
        try:
            self.client = self._client(cell.name)
            (recorder,) = Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text().split()
            self.recorder = int(recorder)
        except BaseException:
            self.close()
            raise

    def _client(self, name: str) -> OperationClient:
        """The cell's control socket, as soon as it answers. Raises ConnectError."""
        deadline = time.monotonic() + START_TIMEOUT
        while self.worker.poll() is None and time.monotonic() < deadline:
            try:
                client = OperationClient(name, timeout=10.0)
            except PlaceError:
                time.sleep(0.05)
                continue
            try:
                client.status()
                return client
            except NoAnswerError:
                client.close()
        said = (self.folder / "said.txt").read_text(encoding="utf-8", errors="replace")
        raise ConnectError(f"the supervisor's process did not start: {said[-500:]}")

    def pid(self, victim: str) -> int:
        """Process id of ``supervisor``, ``recorder`` or ``mock``."""
        return {"supervisor": self.worker.pid, "recorder": self.recorder, "mock": self.mock.pid}[victim]

    def status(self) -> dict[str, Any]:
        """As ``hil status --json``. Raises NoAnswerError."""
        assert self.client is not None
        return self.client.status(events_after=1 << 60)  # none of them: they would cost the cycle most

    def say(self, verb: str, **arguments: Any) -> bool:
        """Whether the cell accepted ``verb``."""
        assert self.client is not None
        return self.client.call(verb, **arguments).ok

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the cell's time pass."""
        time.sleep(seconds * self.slow)

    def until(self, condition: Callable[[dict[str, Any]], bool], within: float) -> dict[str, Any] | None:
        """The first status for which ``condition`` holds; None after ``within`` s of the cell's time."""
        deadline = time.monotonic() + within * self.slow
        while time.monotonic() < deadline:
            try:
                told = self.status()
            except NoAnswerError:
                continue
            if condition(told):
                return told
            self.sleep(POLL)
        return None

    def moving(self, motion: str) -> None:
        """Check, tare, enable, begin ``motion``. Raises Disturbed where a fault (of a busy machine) comes first."""
        for verb, arguments, situation in (
            ("", {}, "ready"),
            ("enable", {}, "holding"),
            ("start", {"motion": motion}, "moving"),
        ):
            if verb and not self.say(verb, **arguments):
                raise Disturbed(f"{verb} was refused: {self.status()['sentence']}")
            wanted = situation
            told = self.until(lambda told, w=wanted: told["situation"] == w or bool(told["faults"]), 20.0)  # type: ignore[misc]
            if told is None or told["situation"] != situation:
                raise Disturbed(f"not {situation}: {'no answer' if told is None else told['sentence']}")

    def truth(self) -> dict[str, Any]:
        """Ground truth of every tick so far (see :class:`sim_mocks.truth.TruthLog`), with ``wall_ns``, the monotonic
        time at which each tick began, and ``errors``, what the robot complained about, as (ns, text)."""
        path = self.folder / "truth.npz"
        wall = self.folder / "wall.npy"
        self.mock.control.truth_save(path)
        self.mock.control.call("wall_save", path=str(wall))
        with np.load(path, allow_pickle=False) as stored:
            truth = dict(stored)
        count = len(truth["t_ns"])
        state = self.mock.control.state()
        return {
            **truth,
            "wall_ns": np.load(wall, allow_pickle=False)[:count],
            "errors": state["errors"],
            "answers": state["answers"],
        }

    def close(self) -> None:
        """End everything, forcibly where needed; legal more than once."""
        if self.client is not None:
            self.client.close()
            self.client = None
        if self.worker.poll() is None:
            self.worker.kill()
        self.worker.wait()
        self.mock.close()

    def __enter__(self) -> WallCell:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
