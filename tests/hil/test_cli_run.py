"""``hil run``, ``hil demo`` and ``hil mock`` as a person calls them."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from drivers.can.bus import Frame
from drivers.can.slcan import SlcanBus
from hil.cell import shipped_cells
from sim_mocks.control_plane import LockstepTicks, SocketControl

HIL = [sys.executable, "-c", "from hil.cli import main; main()"]


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """The demo cell with one short motion, in a folder of its own."""
    content = yaml.safe_load(shipped_cells()["iiwa14_polish"].read_text(encoding="utf-8"))
    content["name"] = "short"
    content["motions"] = {
        "nod": {"kind": "sinusoid", "amplitude": [0.02] * 7, "frequency": 1.0, "duration": 1.0, "ramp": 0.4}
    }
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def hil(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(["", str(Path(__file__).parents[2])]))
    return subprocess.run([*HIL, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_a_run_leaves_log_report_and_verdict(cell: Path, tmp_path: Path) -> None:
    """A whole run of a short motion ends with 0 and a folder that holds everything."""
    done = hil("run", str(cell), "--motion", "nod", "--fast", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert {p.name for p in folder.iterdir()} >= {"run.mcap", "report.html", "cell.yaml", "outcome.json", "truth.npz"}
    assert "finished" in done.stdout
    assert "braked and at rest" in done.stdout
    assert str(folder.relative_to(tmp_path)) in done.stdout
    assert "<img" in (folder / "report.html").read_text(encoding="utf-8")
    info = hil("log", "info", str(folder / "run.mcap"), cwd=tmp_path)
    assert info.returncode == 0, info.stderr
    assert "nod" in info.stdout


def test_a_fault_ends_with_its_explanation_and_1(cell: Path, tmp_path: Path) -> None:
    """A robot whose packets stop in motion: exit code 1, what tripped, causes and remedy, and an arm at rest."""
    content = yaml.safe_load(cell.read_text(encoding="utf-8"))
    content["mock"]["faults"] = [{"kind": "drop", "device": "iiwa", "at_tick": 1500, "ticks": 40}]
    cell.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = hil("run", str(cell), "--motion", "nod", "--fast", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "On purpose: drop of iiwa at tick 1500 for 40 ticks." in done.stdout
    assert re.search(r"age of the robot's state: 0\.00\d+ s", done.stdout)
    assert "likely causes:" in done.stdout
    assert "what to do:" in done.stdout
    assert "braked and at rest" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def operated(*arguments: str, cwd: Path) -> tuple[Path, str]:
    """A cell in operation that is interrupted once it is ready: its folder, and all that was said."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]), HIL_RUNTIME_DIR=str(cwd / "rt"))
    process = subprocess.Popen(
        [*HIL, "run", *arguments, "--fast"], cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("ready"):
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0, said
    (folder,) = (cwd / "runs").iterdir()
    return folder, "".join(said)


def test_a_cell_in_operation_leaves_a_report(cell: Path, tmp_path: Path) -> None:
    folder, said = operated(str(cell), cwd=tmp_path)
    assert "<img" in (folder / "report.html").read_text(encoding="utf-8")
    assert "largest torque" in said
    assert f"report: runs/{folder.name}/report.html" in said


def test_without_a_record_there_is_none(cell: Path, tmp_path: Path) -> None:
    folder, said = operated(str(cell), "--no-record", cwd=tmp_path)
    assert {p.name for p in folder.iterdir()} == {"cell.yaml", "job.json", "outcome.json"}
    assert "recording was off" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nowhere.yaml", "--motion", "nod"), "nowhere.yaml"),
        (("run", "iiwa14_polish", "--motion", "dance"), "has no motion dance; it has: warmup"),
        (("run", "iiwa14_real.example", "--motion", "swing"), "Nothing was started"),
        (("run", "iiwa14_real.example", "--motion", "swing", "--real"), "refused"),
        (("demo", "--cell", "iiwa14_real.example"), "Nothing was started"),
        (("mock", "iiwa14_real.example"), "is a real one"),
        (("mock", "iiwa14_polish", "--client", "here"), "expected address:port"),
    ],
)
def test_what_cannot_be_started_is_said_in_words(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Exit code 2, one message, no traceback, no folder."""
    done = hil(*arguments, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert words in said.replace("\n", " ")
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


@contextlib.contextmanager
def serving(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``hil mock``, with all that it says up to its last line."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    process = subprocess.Popen(
        [*HIL, "mock", *arguments], cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    try:
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def served(cell: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``hil mock`` serving the short cell."""
    with serving(str(cell), cwd=tmp_path) as both:
        yield both


def ended(process: subprocess.Popen[str], folder: str) -> None:
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert not Path(folder).exists()


def test_mock_of_a_cobot_says_where_its_bus_is(tmp_path: Path) -> None:
    """Anybody's CAN program finds drives on the serial port that is named; by the wall clock they speak by
    themselves."""
    with serving("cobot_slcan", "--realtime", cwd=tmp_path) as (process, said):
        place = re.search(r"CAN\s+interface slcan, channel (\S+)", said)
        folder = re.search(r"control\s+(\S+)", said)
        assert place is not None, said
        assert folder is not None, said
        assert "FRI" not in said
        bus = SlcanBus(place[1])
        frames: list[Frame] = []
        poll = select.poll()
        poll.register(bus.fileno(), select.POLLIN)
        bus.send([(0x601, bytes.fromhex("4000100000000000"))])
        while not frames and poll.poll(10_000):
            bus.drain(frames)
        bus.close()
        assert (frames[0][0], frames[0][1].hex()) == (0x581, "4300100092010200")
        ended(process, folder[1])


def test_mock_serves_a_cell_until_interrupted(served: tuple[subprocess.Popen[str], str]) -> None:
    """The devices of ``hil mock`` are there for any client, and Ctrl-C ends them."""
    process, said = served
    found = re.search(r"control\s+(\S+)", said)
    assert found is not None, said
    control = SocketControl(found[1])
    ticks = LockstepTicks(found[1])
    for _ in range(5):
        ticks.wait(0, 0)
    assert control.hello()["tick"] == 5
    ticks.close()
    control.close()
    ended(process, found[1])
