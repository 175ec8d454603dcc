"""Random rhythmic motions: within every limit, the same for the same seed, through the command that makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from estimators.errors import EstimatorError, ParameterError
from estimators.excitation import Rhythm, load
from estimators.excitation.plan import require_fit
from hil.cell import load_cell
from hil.cell.parts import array
from hil.cli import app
from hil.exciting import build_arena, make_rhythmic, plan_motions, robot_hash

FEW = Rhythm(motions=3, seconds=6.0, around=0.4)


def test_each_is_within_the_limits_somewhere_else_and_at_another_speed() -> None:
    cell = load_cell("iiwa14_free")
    arena = build_arena(cell)
    plan = make_rhythmic(cell, arena, FEW, seed=3)
    home = array(cell.robot.home)
    require_fit(plan, arena, robot_hash(cell), home, "the plan")
    assert len(plan.runs) == 3
    assert all(run.period == 6.0 for run in plan.runs)
    mids = np.array([run.mid for run in plan.runs])
    assert (np.abs(mids - home) <= 0.4 + 1e-12).all()
    assert (np.ptp(mids, axis=0) > 0.02).all()
    peaks = np.array([np.abs(run.sample(np.linspace(0.0, 6.0, 300))[1]).max(axis=0) for run in plan.runs])
    limits = cell.robot.joint_limits.qd_max
    assert (peaks <= np.array(plan.speeds)[:, None] * limits).all()
    assert np.ptp(plan.speeds) > 0.2
    again = make_rhythmic(cell, arena, FEW, seed=3)
    other = make_rhythmic(cell, arena, FEW, seed=4)
    np.testing.assert_array_equal(again.runs[2].a, plan.runs[2].a)
    assert not np.array_equal(other.runs[2].a, plan.runs[2].a)
    # Fewer of them are the first of more.
    first = make_rhythmic(cell, arena, Rhythm(motions=2, seconds=6.0, around=0.4), seed=3)
    np.testing.assert_array_equal(first.runs[1].b, plan.runs[1].b)
    motions = plan_motions(plan, cell, arena)
    np.testing.assert_allclose(motions[0].way[0], home)


def test_an_interrupted_drawing_keeps_what_there_is() -> None:
    cell = load_cell("iiwa14_free")
    plan = make_rhythmic(cell, build_arena(cell), FEW, stop=lambda: True)
    assert len(plan.runs) == 1


def test_what_cannot_be_drawn_is_refused() -> None:
    for wrong in ({"motions": 0}, {"seconds": 4.0}, {"slowest": 0.0}, {"swing": 0.0}):
        with pytest.raises(ParameterError):
            Rhythm(**wrong)
    cell = load_cell("iiwa14_free")
    arena = build_arena(cell)
    tight = type(arena)(arena.model, arena.collision, arena.bounds, 5.0)
    with pytest.raises(EstimatorError, match="home, where the arm stands"):
        make_rhythmic(cell, tight, FEW)


def test_the_command_writes_a_plan_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["excite", "iiwa14_free", "--rhythmic", "2", "--seconds", "6", "--optimise-only"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "runs").iterdir()
    plan = load(folder / "plan.npz")
    assert [run.period for run in plan.runs] == [6.0, 6.0]
    assert plan.provenance["rhythm"]["motions"] == 2
    assert "hil excite iiwa14_free --plan" in result.output
    refused = CliRunner().invoke(app, ["excite", "iiwa14_free", "--rhythmic", "2", "--seconds", "2"])
    assert refused.exit_code == 2
    assert "2 motions of 2 s up to 0.5 Hz" in refused.output
    assert list((tmp_path / "runs").iterdir()) == [folder]
