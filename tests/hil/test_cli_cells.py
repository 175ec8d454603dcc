"""``hil cells`` and ``hil check`` as a person sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hil.cell import load_cell, shipped_cells
from hil.cli.cells import cells, check
from hil.cli.console import console

runner = CliRunner()


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.delenv("COLUMNS", raising=False)  # whoever runs the tests may have set it
    app = typer.Typer()
    app.command()(cells)
    app.command()(check)
    return app


def test_cells_lists_every_shipped_cell_with_its_motions(app: typer.Typer) -> None:
    out = runner.invoke(app, ["cells"]).stdout
    for name in shipped_cells():
        assert name in out
        assert ", ".join(load_cell(name).motions) in out
    assert "refused for now" in out


def test_check_says_what_a_cell_is_and_marks_what_it_tightens(app: typer.Typer) -> None:
    result = runner.invoke(app, ["check", "iiwa14_polish"])
    assert result.exit_code == 0
    assert "no mistakes" in result.stdout
    (speeds,) = [line for line in result.stdout.splitlines() if "qd_max" in line]
    assert "1.2*" in speeds
    (torques,) = [line for line in result.stdout.splitlines() if "tau_max" in line]
    assert "320" in torques
    assert "*" not in torques


def test_check_names_what_goes_wrong_on_purpose(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    faults = """
  faults:
    - {kind: nan, device: iiwa, field: tau, joint: 2, at_tick: 7000}
    - {kind: stuck, device: ft, field: wrench, joint: 2, at_tick: 8000, ticks: 50}
    - {kind: session_close, device: iiwa, at_tick: 9000}
"""
    text = runner.invoke(app, ["check", "iiwa14_polish", "--dump"]).stdout
    assert "\n  faults: []\n" in text
    path.write_text(text.replace("\n  faults: []\n", faults))
    said = " ".join(runner.invoke(app, ["check", str(path)]).stdout.replace("│", " ").split())
    assert "no mistakes" in said
    assert "on purpose" in said
    assert "nan tau A3 of iiwa at tick 7000; stuck wrench component 3 of ft at tick 8000 for 50 ticks" in said
    assert "session_close of iiwa at tick 9000" in said


@pytest.mark.parametrize(("asked", "widest"), [("90", 90), ("", 200), ("0", 200), ("wide", 200)])
def test_columns_bind_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch, asked: str, widest: int) -> None:
    monkeypatch.setenv("COLUMNS", asked)
    assert console().width == widest


def test_check_dump_is_a_cell_file(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(runner.invoke(app, ["check", "iiwa14_polish", "--dump"]).stdout)
    assert load_cell(tmp_path / "again.yaml").digest() == load_cell("iiwa14_polish").digest()


def test_check_tells_every_fault_and_fails(app: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    text = shipped_cells()["iiwa14_polish"].read_text()
    path.write_text(text.replace("mass: 1.2", "mass: heavy").replace("seed: 0", "seed: -1"))
    result = runner.invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "tool.mass" in result.stderr
    assert "mock.seed" in result.stderr
    assert "2 mistakes; nothing was started." in result.stderr
    line = next(i for i, row in enumerate(path.read_text().splitlines(), 1) if "heavy" in row)
    assert f"{path}:{line} tool.mass" in result.stderr


def test_check_of_nothing_names_what_there_is(app: typer.Typer) -> None:
    result = runner.invoke(app, ["check", "nosuchcell"])
    assert result.exit_code == 1
    assert "iiwa14_polish" in result.stderr
