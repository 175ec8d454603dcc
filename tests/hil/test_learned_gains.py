"""The calibration of a learnt feed-forward's gains: from recorded motion to the model, and from there to the cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_learned_cell import CENTRE, HIGH, N, learned_cell, model_of
from typer.testing import CliRunner

from estimators.dynamics import predictor as predictors
from estimators.errors import ModelError, ParameterError
from estimators.gains.calibration import GainFigures
from hil.build import build_controllers, build_model
from hil.cell import Cell
from hil.cli import app
from hil.control.variable_gain import VariableGain
from hil.learning.feed_forward import FILE, KIND
from hil.learning.gains import calibrate
from hil.learning.gains_keep import about, calibrated_model, keep
from hil.learning.segments import Segment
from hil.store import store_of

DT = 1e-3
NOISE = 5e-3
"""Of the driver's velocity, rad/s."""


def piece(cell: Cell, seconds: float = 4.0, seed: int = 0) -> Segment:
    """Slow motion near the one place that :func:`model_of` knows, with noisy estimates of the driver."""
    rng = np.random.default_rng(seed)
    model = build_model(cell)
    t = np.arange(round(seconds / DT))[:, None] * DT
    w, a = np.linspace(1.0, 2.5, N), 0.05
    q, qd, qdd = CENTRE + a * np.sin(w * t), a * w * np.cos(w * t), -a * w**2 * np.sin(w * t)
    g = np.array([model.gravity(row) for row in q])
    tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) - g
    tau += 0.02 * rng.standard_normal(q.shape)
    noisy = qd + NOISE * rng.standard_normal(q.shape)
    return Segment("synthetic", q, noisy, tau + g, DT, None, tau, g, tau)


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    cell = learned_cell(tmp_path, innovation=True)
    model_of(cell).save(tmp_path / "dynamics.npz")
    return cell


def test_gains_come_from_recorded_motion_and_the_cell_runs_by_them(cell: Cell, tmp_path: Path) -> None:
    path = tmp_path / "dynamics.npz"
    model = predictors.load(path, build_model(cell))
    found = calibrate(cell, model, build_model(cell), [piece(cell)])
    figures = found.figures
    assert (found.known < 0.15).all()
    assert set(found.unknown) == {"shifted", "faster"}
    for share in found.unknown.values():
        assert (share >= 0.5 - 1e-6).all()
    # White noise behind a critically damped low-pass of ω, held over each cycle: ω dt/4 of its power is left, and ω² as
    # much of its derivative's.
    omega = 2.0 * np.pi * 15.0
    expected = NOISE * np.sqrt(0.25 * omega * DT)
    np.testing.assert_allclose(figures.qd_sigma, expected, rtol=0.2)
    np.testing.assert_allclose(figures.qdd_sigma, omega * expected, rtol=0.2)
    assert (figures.baseline >= 1.0).all()
    chose = calibrated_model(cell)
    store = store_of(cell)
    log = tmp_path / "run.mcap"
    log.write_bytes(b"a log")
    stored = keep(store, chose, found, about(chose, found, cell, [log]))
    assert (stored.page.kind, stored.page.version) == (KIND, 1)
    # The file of the version runs, and what it says is what the cell file does not name.
    path.write_bytes((stored.folder / FILE).read_bytes())
    made = build_controllers(cell, cell.robot.terms)["joint"]
    assert isinstance(made, VariableGain)
    np.testing.assert_allclose(made.law.sigma_n, figures.sigma_known)
    np.testing.assert_allclose(made.law.sigma_f, figures.sigma_unknown)
    assert made.params.baseline == tuple(figures.baseline.tolist())
    assert made.params.qdd_sigma == tuple(figures.qdd_sigma.tolist())
    named = learned_cell(tmp_path, sensitivity=5.0, sigma_known=[0.5] * N, sigma_unknown=[9.0] * N, qdd_sigma=[0.3] * N)
    own = build_controllers(named, named.robot.terms)["joint"]
    assert isinstance(own, VariableGain)
    assert own.law.sensitivity == 5.0
    np.testing.assert_array_equal(own.law.sigma_f, np.full(N, 9.0))
    assert own.params.qdd_sigma == (0.3,) * N
    assert own.params.baseline == made.params.baseline


def test_what_cannot_be_calibrated_is_told(cell: Cell, tmp_path: Path) -> None:
    model = predictors.load(tmp_path / "dynamics.npz", build_model(cell))
    with pytest.raises(ParameterError, match="no piece of free motion longer than"):
        calibrate(cell, model, build_model(cell), [piece(cell, seconds=1.0)])
    # A model that is equally unsure everywhere.
    flat = replace(model.posterior, B=0.0 * model.posterior.B)
    model.posterior = flat
    blind = predictors.DynamicsPredictor(flat, model.prior, model.provenance, "numpy")
    with pytest.raises(ParameterError, match="hardly larger on unknown motion"):
        calibrate(cell, blind, build_model(cell), [piece(cell)])


def test_a_damaged_calibration_keeps_the_cell_from_running(cell: Cell, tmp_path: Path) -> None:
    model = predictors.load(tmp_path / "dynamics.npz", build_model(cell))
    ones = np.ones(N)
    page = GainFigures(ones, 2.0 * ones, 3.0, ones, ones, ones, ones).to_mapping()
    model.provenance["gains"] = page | {"baseline": [1.0, 2.0]}
    model.save(tmp_path / "dynamics.npz")
    with pytest.raises(ModelError, match="not one of 7 joints"):
        build_controllers(cell, cell.robot.terms)


def test_the_command_says_what_it_needs(cell: Cell, tmp_path: Path) -> None:
    def said(*arguments: object) -> str:
        result = CliRunner().invoke(app, ["train", "gains", *map(str, arguments)])
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        return result.output

    assert "controller.joint.learned" in said("none.mcap", "--cell", "iiwa14_polish", "--out", tmp_path / "x.npz")
    assert "none.mcap" in said("none.mcap", "--cell", cell.path, "--out", tmp_path / "x.npz")
    assert "name one of them" in said("none.mcap", "--cell", cell.path, "--out", tmp_path / "x.npz", "--use")
    assert len(HIGH) == N
