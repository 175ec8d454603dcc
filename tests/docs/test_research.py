"""The examples of docs/research.md, executed as they stand there: as modules, as keys of a cell file, as a session."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

import hil
from hil.cell import load_cell
from hil.cli import app
from hil.telemetry.log import read_log

PAGE = Path(__file__).parents[2] / "docs" / "research.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert found
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's modules on Python's path."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "my_lab").mkdir()
    (folder / "my_lab" / "__init__.py").touch()
    for block in blocks("python"):
        name = block.splitlines()[0].removeprefix("# ")
        if name.endswith(".py"):
            (folder / name).write_text(block, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder), prepend=":")
        yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def cell_file(lab: Path) -> Path:
    """The shipped cell with what the page puts into it."""
    content = yaml.safe_load(load_cell("iiwa14_polish").dump())
    (own,) = blocks("yaml")
    content.update(yaml.safe_load(own))
    path = lab / "my_cell.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_each_example_is_short() -> None:
    assert all(len(block.splitlines()) <= 42 for block in blocks("python"))


def test_the_session_of_the_page(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [b for b in blocks("python") if b.startswith("# session")]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(block, "research.md", "exec"), names)
    session, trace = names["session"], names["trace"]
    assert np.nanmax(names["error"]) < 0.02
    assert np.ptp(trace["q"][:, 5]) == pytest.approx(0.2, abs=0.02)
    assert session.truth()["braked"][-1]
    said = capsys.readouterr().out
    assert "observer:" in said


def test_the_cell_file_of_the_page(cell_file: Path) -> None:
    """All three classes of the user's from the cell file."""
    with hil.open(cell_file) as session:
        session.bring_up()
        session.enable()
        trace = session.run("nod")
        assert trace.phases().count("nod") > 1900
        assert np.nanmax(np.abs(trace["q"] - trace["q_ref"])) < 0.06
        session.hold()
        session.step(300)
        session.mock.push([0.0, 10.0, 0.0, 0.0, 0.0, 0.0])
        session.step(500)
        true = session.truth()["tau_ext"][-1]
        assert np.abs(session.estimate.tau_ext - true).max() < 2.0
        assert np.abs(true).max() > 4.0


def test_the_command_of_the_page(cell_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``hil run`` with the user's classes in the processes of a real run."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["run", str(cell_file), "--motion", "nod", "--fast"])
    assert done.exit_code == 0, done.output
    assert list(tmp_path.glob("runs/*/run.mcap"))


def test_the_cell_file_is_checked_without_importing_anything(cell_file: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "my_lab"]:
        del sys.modules[name]
    load_cell(cell_file)
    assert not [name for name in sys.modules if name.split(".")[0] == "my_lab"]


def test_the_log_says_which_code_ran(lab: Path, tmp_path: Path) -> None:
    """Class, parameters and the digest of its file, in a log that was begun after ``use`` too."""
    from my_lab.control import PController
    from my_lab.motion import Nod

    digest = hashlib.sha256((lab / "my_lab" / "control.py").read_bytes()).hexdigest()
    with hil.open("iiwa14_polish") as session:
        session.bring_up()
        session.use(PController(session.n, session.adds, kp=900))
        session.record(tmp_path / "mine.mcap")
        session.enable()
        session.start(Nod(joint=6, angle=0.1))
        session.step(20)
        session.record(None)
    told = [event.text for event in read_log(tmp_path / "mine.mcap").events if event.kind == "code"]
    assert told[0] == f"controller: my_lab.control:PController(kp=900, kd=100.0), sha256 of control.py {digest}"
    assert told[1].startswith("motion: my_lab.motion:Nod(")
    assert len(told) == 2
