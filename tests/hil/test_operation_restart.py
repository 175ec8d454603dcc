"""``hil run`` as a person has it: its mock dies and is started anew, its sensor is unplugged, as docs/mocks.md says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operating import swinging_cell

from hil.operation.client import OperationClient
from hil.operation.place import PlaceError
from sim_mocks.control_plane import ControlError, SocketControl

ROOT = Path(__file__).parents[2]
HIL = [sys.executable, "-c", "from hil.cli import main; main()"]
LIMIT = 60.0
"""Against hanging, s; not a measure."""


class Terminal:
    """``hil run short.yaml --fast`` in a terminal, and a client at its control socket."""

    def __init__(self, folder: Path) -> None:
        cell = swinging_cell(folder)
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        self.process = subprocess.Popen(
            [*HIL, "run", str(cell.path), "--fast"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:  # the first sentence of the cell itself: its socket is there
            self.said.append(line)
            if line.startswith(("offline", "checking", "ready")):
                break
        self.client = OperationClient("short", timeout=20.0)
        (self.folder,) = (folder / cell.recording.dir).iterdir()

    def mock(self) -> SocketControl:
        """The control plane of the mock that runs now, found as the page says."""
        job = json.loads((self.folder / "job.json").read_text(encoding="utf-8"))
        return SocketControl(job["control_dir"])

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(20_000):
            told = self.client.status()
            if condition(told):
                return told
        raise AssertionError(f"never came: {told}")

    def situation(self, name: str) -> dict[str, Any]:
        return self.until(lambda told: told["situation"] == name)

    def close(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=LIMIT)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory(prefix="hil-rt-") as place:
        monkeypatch.setenv("HIL_RUNTIME_DIR", f"{place}/rt")
        made = Terminal(tmp_path)
        yield made
        made.close()


@pytest.mark.accept
@pytest.mark.parametrize("how", ["quit", "kill"])
def test_a_mock_that_ends_is_started_anew_and_found_again(terminal: Terminal, how: str) -> None:
    """Faulted, with reasons; back as a new process in the old place; ready after ``ack``, enabled by nobody."""
    cell = terminal.client
    terminal.situation("ready")
    assert cell.call("enable").ok
    terminal.situation("holding")
    mock = terminal.mock()
    first = mock.hello()["pid"]
    if how == "quit":
        mock.quit()
    else:
        os.kill(first, signal.SIGKILL)
    mock.close()
    told = terminal.until(lambda told: told["state"] == "faulted")
    assert "what to do" in told["faults"][0]["explanation"]
    terminal.situation("faulted")  # every device is back: it could be acknowledged
    mock = terminal.mock()
    assert mock.hello()["pid"] != first
    refused = cell.call("enable")
    assert not refused.ok
    assert "acknowledge" in refused.sentence
    assert cell.call("ack").ok
    told = terminal.situation("ready")
    assert told["checked"]
    terminal.until(lambda later: later["tick"] > told["tick"] + 500)
    assert mock.truth()["braked_since"] == 0, "the new robot was never enabled"
    assert cell.call("enable").ok
    terminal.situation("holding")
    mock.close()
    assert cell.call("down").ok
    said, _ = terminal.process.communicate(timeout=LIMIT)
    assert terminal.process.returncode == 0, said
    assert "braked and at rest" in said
    with pytest.raises(PlaceError, match="no cell is running"):
        OperationClient("short")


@pytest.mark.accept
def test_a_sensor_is_unplugged_and_plugged_in_as_the_page_says(terminal: Terminal) -> None:
    """The page's own lines, carried out."""
    page = (ROOT / "docs" / "mocks.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(import json.*?)```", page, re.S)
    before, after = lines.split("mock.plug_ft()")[0], "mock.plug_ft()"
    folder = terminal.folder
    names: dict[str, Any] = {}
    terminal.situation("ready")
    exec(before.replace("runs/2026-01-02_14-03-12", str(folder)), names)
    told = terminal.situation("offline")
    assert "unplugged" in told["sentence"]
    exec(after, names)
    told = terminal.situation("ready")
    assert told["checked"]
    for line in lines.split("mock.plug_ft()")[1].splitlines():
        name = re.match(r"mock\.(\w+)\(", line)
        assert name is None or callable(getattr(names["mock"], name[1])), f"the page names {name and name[1]}"
    names["mock"].close()
    with pytest.raises(ControlError):
        names["mock"].hello()
