"""``hil monitor`` from the command line: refusals in words, and a real terminal left in order."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hil.cli.monitor
from hil.cli import app
from hil.operation.place import Claim

ROOT = Path(__file__).parents[2]
LIMIT = 60.0
"""Against hanging, not a measure."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_RUNTIME_DIR", str(tmp_path / "rt"))


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["monitor", *words])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_without_a_terminal_it_names_what_works_without() -> None:
    assert "hil monitor needs a terminal; `hil status` tells" in refused()


def test_without_a_cell_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hil.cli.monitor, "on_terminal", lambda: True)
    told = refused()
    assert "no cell is running; start one with `hil run CELL`" in told
    assert "`hil monitor --wait` waits for it" in told
    assert "two cells are named: 'one' and 'two'" in refused("one", "--cell", "two")
    with Claim("one"), Claim("two"):
        told = refused()
        assert "2 cells are running: one, two; say which" in told
        assert "--wait" not in told
        assert "2 cells are running" in refused("--wait")
        assert "no cell 'three' is running; running: one, two" in refused("three")


class OnTerminal:
    """``hil monitor`` on a pseudo terminal."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", "from hil.cli import main; main()", "monitor", *words]
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, start_new_session=True
        )
        os.close(slave)
        self.output = b""

    def read_until(self, words: bytes) -> None:
        deadline = time.monotonic() + LIMIT
        while words not in self.output:
            assert time.monotonic() < deadline, self.output
            if select.select([self.master], [], [], 1.0)[0]:
                self.output += os.read(self.master, 65536)

    def end(self) -> int:
        """Its exit code; what it wrote last is in ``output``."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:  # nobody holds the other end any more
                    break
        code = self.process.wait(LIMIT)
        while select.select([self.master], [], [], 0.0)[0]:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:
                break
        os.close(self.master)
        return code


@pytest.mark.parametrize("how", ["q", "SIGTERM"])
def test_however_it_ends_the_terminal_is_left_in_order(how: str) -> None:
    """The alternate screen is left and the cursor shown again."""
    on = OnTerminal("--wait")
    try:
        on.read_until(b"NO CELL")
        if how == "q":
            os.write(on.master, b"q")
        else:
            on.process.send_signal(signal.SIGTERM)
        assert on.end() == 0
        assert b"\x1b[?1049l" in on.output
        assert on.output.rindex(b"\x1b[?25h") > on.output.rindex(b"\x1b[?25l")
        assert b"Traceback" not in on.output
    finally:
        on.process.kill()
        on.process.wait()
