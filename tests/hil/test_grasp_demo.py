"""The demonstration of an unknown load: what it tells, what it refuses, and (accept) what it must reach."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from estimators.dynamics import store
from estimators.dynamics.predictor import load
from hil.build import build_model
from hil.cell import Cell, load_cell, shipped_cells
from hil.cli import app
from hil.cli.grasp_demo import table
from hil.cli.run import LEARNED_CELL
from hil.grasp_demo import AT, MASS, PHASES, DemoError, Phase, motion_of, show
from hil.session import Session

MODEL = shipped_cells()[LEARNED_CELL].parent / "iiwa14_learned.npz"
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "gpytorch", "numba", "sklearn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def test_the_shipped_model_fits_its_cell_and_is_small() -> None:
    predictor = load(MODEL, build_model(load_cell(LEARNED_CELL)))
    assert predictor.probe is not None
    assert MODEL.stat().st_size <= 1_000_000
    text = MODEL.read_bytes()
    assert b"B_lower" in text
    provenance = predictor.provenance
    assert provenance["torque"] == "commanded"
    assert provenance["cell"] == "iiwa14_free"


def test_a_symmetric_matrix_comes_back_from_one_triangle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    B = rng.normal(size=(3, 7, 7))
    B = B + B.transpose(0, 2, 1)
    store.write(tmp_path / "a.npz", {"kind": "x"}, {"B": B, "other": np.arange(3.0)})
    _, arrays = store.read(tmp_path / "a.npz", ("x",))
    np.testing.assert_array_equal(arrays["B"], B)
    assert set(arrays) == {"B", "other"}


def test_what_cannot_be_shown_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = load_cell(LEARNED_CELL)
    assert motion_of(cell) == "swing"
    with pytest.raises(DemoError, match="no motion"):
        motion_of(cell.model_copy(update={"motions": {"home": cell.motions["home"]}}))
    monkeypatch.chdir(tmp_path)
    for arguments, expected in (
        (["--cell", "iiwa14_free", "--learned"], "no learnt feed-forward"),
        (["--cell", "iiwa", "--learned", "--realtime"], "lockstep"),
    ):
        result = CliRunner().invoke(app, ["demo", *arguments])
        assert result.exit_code == 2
        assert expected in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_table_says_what_was_measured() -> None:
    phases = tuple(Phase(name, 1.234e-3, 0.11, 0.14, MASS, 0.02) for name, _, _ in PHASES)
    made = table((*phases[:-1], replace(phases[-1], mass=float("nan"))))
    assert list(made.columns[1].cells) == ["1.23"] * len(PHASES)
    assert list(made.columns[4].cells) == ["3.00 ± 0.02"] * (len(PHASES) - 1) + ["not estimated"]


def paper_alone(cell: Cell) -> Cell:
    """Without innovation factor and without anything that is learnt on."""
    joint = cell.controller.joint
    assert joint.learned is not None
    learned = joint.learned.model_copy(update={"online": None, "innovation": False})
    controller = cell.controller.model_copy(update={"joint": joint.model_copy(update={"learned": learned})})
    return cell.model_copy(update={"controller": controller})


@pytest.mark.accept
def test_three_kilograms_and_the_papers_law_beside_it(tmp_path: Path) -> None:
    """At most 1.5 mrad within 5 s, gains back below 25 %; the law alone stays where the load has pushed it."""
    cell = load_cell(LEARNED_CELL)
    found = {}
    for name, each in (("learnt on", cell), ("law alone", paper_alone(cell))):
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        shown = show(each, folder, seed=0)
        assert not shown.fault, shown.fault
        found[name] = shown.phases
        for phase in shown.phases:
            print(f"{name}: {phase.name}: {phase.error * 1e3:.2f} mrad, {phase.share:.1%}, load {phase.mass:.2f} kg")
    before, _, after, _, released = found["learnt on"]
    assert before.error <= 1e-3
    assert before.share <= 0.15
    assert after.error <= 1.5e-3
    assert after.share <= 0.25
    assert abs(after.mass - MASS) < 0.1
    assert released.error <= 1.5e-3
    assert released.share <= 0.25
    assert found["law alone"][2].error > 10.0 * after.error


@pytest.mark.accept
def test_fifteen_kilograms_are_limited_visibly_without_a_fault() -> None:
    """Attached unannounced while the arm is held, above the robot's rated load; then carried through the motion."""
    with Session(load_cell(LEARNED_CELL), seed=0) as session:
        session.bring_up()
        session.enable()
        session.hold()
        session.step(500)
        session.mock.attach(15.0, AT)
        held = session.step(1500)
        session.start("swing")
        moved = session.step(8000)
        assert not session.supervisor.machine.faults
    limited = (held["limited"] != 0).sum(axis=0)
    error = np.sqrt(np.mean((moved["q_ref"][-2000:] - moved["q"][-2000:]) ** 2))
    print(f"cycles limited {limited}, load {held['load_mass'][-1]:.2f} kg, {error * 1e3:.2f} mrad")
    assert limited.max() > 0
    assert abs(held["load_mass"][-1] - 15.0) < 0.5
    assert error < 5e-3


@pytest.mark.accept
def test_the_demonstration_needs_neither_torch_nor_numba(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKED, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    made = subprocess.run(
        [sys.executable, "-c", "from hil.cli import main; main()", "demo", "--cell", "iiwa", "--learned"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert "after 5 s with it" in made.stdout
    assert list(tmp_path.glob("runs/*/report.html"))
