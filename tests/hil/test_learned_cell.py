"""A learnt feed-forward in a running cell: the model in cell file and store, the closed loop in lockstep, its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from running import Running, shipped
from typer.testing import CliRunner

from drivers.contract import Array
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Scaling
from estimators.errors import ModelError
from hil.build import build_controllers, build_model, check_plugins
from hil.cell import Cell, CellError, load_cell
from hil.cli import app
from hil.code import code_of
from hil.control.variable_gain import VariableGain
from hil.learning.dynamics_data import commanded, from_segment
from hil.learning.feed_forward import COMMANDED, FILE, KIND
from hil.learning.segments import Segment
from hil.motion import JointSinusoids
from hil.recording import TelemetryWriter
from hil.store import store_of
from hil.telemetry.publisher import row_slots
from hil.telemetry.row import row_layout

N = 7
HIGH = [1000.0, 1000.0, 600.0, 600.0, 200.0, 120.0, 40.0]
CENTRE = np.array([0.0, 0.55, 0.0, -1.52, 0.0, 1.07, 0.0])


def model_of(cell: Cell, torque: str = COMMANDED, n: int = N) -> DynamicsPredictor:
    """Rigid-body physics, sure around the cell's home at low speed and nowhere else: one inducing point there."""
    centre = np.concatenate((CENTRE[:n], np.zeros(2 * n)))
    width = np.concatenate((np.full(n, 0.5), np.full(n, 1.0), np.full(n, 10.0)))
    scaling = Scaling(centre, width, np.zeros(n), np.array([10.0, 10.0, 6.0, 6.0, 2.0, 1.2, 0.8])[:n])
    posterior = Posterior(
        weights=(), biases=(), skip=False, lengths=np.full((n, 3 * n), 6.0), points=np.zeros((n, 1, 3 * n)),
        s2=np.ones(n), noise=np.full(n, 1e-3), alpha=np.zeros((n, 1)), B=np.full((n, 1, 1), 0.999), scaling=scaling,
    )  # fmt: skip
    prior = Prior(build_model(cell)) if n == N else None
    return DynamicsPredictor(posterior, prior, {"torque": torque}, "numpy")


def learned_cell(folder: Path, model: str | None = "dynamics.npz", **keys: Any) -> Cell:
    content = yaml.safe_load(shipped().dump())
    learned = {"kp_min": [0.1 * high for high in HIGH], "kp_max": HIGH, "innovation": False, **keys}
    content["controller"]["joint"]["learned"] = learned | ({} if model is None else {"model": model})
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


class Rows:
    """A sink that keeps some fields of every row."""

    KEPT = ("q", "q_ref", "tau_ff", "tau_ff_sd", "kp", "gain_tank", "kp_clamped", "kp_starved", "ff_fallback")

    def __init__(self) -> None:
        layout = row_layout(N)
        self._blank, self._body = layout.blank, bytearray(layout.blank)
        self._row = np.frombuffer(self._body, dtype=layout.dtype)
        self.slots = row_slots(memoryview(self._body), layout.dtype)
        self.rows: dict[str, list[Array]] = {name: [] for name in self.KEPT}

    def clear(self) -> None:
        self._body[:] = self._blank

    def publish(self) -> None:
        for name in self.KEPT:
            self.rows[name].append(self._row[name][0].copy())

    def event(self, kind: str, text: str, **data: Any) -> None:
        pass

    def phase(self, name: str) -> int:
        return 0

    def of(self, name: str) -> Array:
        return np.array(self.rows[name])


def test_an_unseen_motion_is_followed_softly_and_shown_in_the_rows(tmp_path: Path) -> None:
    """Through the mock's wire in lockstep: rigid-body physics as the model, near its one inducing point."""
    model_of(shipped()).save(tmp_path / "dynamics.npz")
    running = Running(learned_cell(tmp_path))
    try:
        running.hold(50)
        rows = Rows()
        running.writer.write = TelemetryWriter(rows).write  # type: ignore[method-assign]
        small = JointSinusoids(np.full(N, 0.04), np.linspace(0.3, 0.6, N), duration=1.5, ramp=0.5)
        running.supervisor.start(small)
        running.steps(1500)
        share = rows.of("kp")[500:] / HIGH
        error = (rows.of("q_ref") - rows.of("q"))[500:]
        assert running.supervisor.error is None, running.said
        assert running.supervisor.commanded, running.said
        assert 0.1 < share.mean() < 0.3
        assert np.isfinite(rows.of("tau_ff")).all()
        assert (rows.of("tau_ff_sd") > 0.0).all()
        assert (rows.of("gain_tank") >= 0.0).all()
        assert not rows.of("ff_fallback").any()
        assert float(np.sqrt(np.mean(error**2))) < 0.02
        # No such controller runs while the cell is stopped: nothing is shown.
        running.supervisor.stop()
        running.steps(5)
        assert running.supervisor.writer_failures == 0
        assert np.isnan(rows.of("kp")[-1]).all()
    finally:
        running.close()


def test_hil_check_and_a_run_refuse_a_model_that_is_missing_or_does_not_fit(tmp_path: Path) -> None:
    cell = learned_cell(tmp_path)
    path, file = tmp_path / "cell.yaml", tmp_path / "dynamics.npz"
    line = path.read_text(encoding="utf-8").splitlines().index("      model: dynamics.npz") + 1

    def said() -> str:
        result = CliRunner().invoke(app, ["check", str(path)])
        assert result.exit_code == 1, result.output
        assert f"cell.yaml:{line}" in result.stderr
        assert "controller.joint.learned.model" in result.stderr
        with pytest.raises(ModelError):
            check_plugins(cell, [])
        return result.stderr

    assert "hil train dynamics" in said()
    file.write_bytes(b"nothing")
    said()
    model_of(cell, n=6).save(file)
    assert "for 6 joints, the arm has 7" in said()
    model_of(cell, torque="measured").save(file)
    assert "has learnt measured torques" in said()
    model_of(load_cell("iiwa7_bench")).save(file)
    assert "another rigid-body model" in said()
    model_of(cell).save(file)
    assert CliRunner().invoke(app, ["check", str(path)]).exit_code == 0


def test_without_a_path_the_stored_version_in_use_runs_and_the_log_names_it(tmp_path: Path) -> None:
    cell = learned_cell(tmp_path, None)
    with pytest.raises(ModelError, match="has no dynamics in"):
        build_controllers(cell, cell.robot.terms)
    store = store_of(cell)
    model = model_of(cell)
    store.add(KIND, store.cell.about(headline="rigid body"), lambda folder: model.save(folder / FILE))
    with pytest.raises(ModelError, match="no version of dynamics is in use"):
        build_controllers(cell, cell.robot.terms)
    store.use(KIND, 1, "somebody")
    controller = build_controllers(cell, cell.robot.terms)["joint"]
    assert isinstance(controller, VariableGain)
    assert "dynamics version 1" in code_of("controller", controller)
    assert "accepted by somebody" in code_of("controller", controller)


def test_the_robots_own_gravity_is_left_out_of_the_command(tmp_path: Path) -> None:
    model_of(shipped()).save(tmp_path / "dynamics.npz")
    cell = learned_cell(tmp_path)
    arm, qd, qdd = build_model(cell), np.full(N, 0.2), np.full(N, 0.5)
    for adds, own in ((frozenset({"gravity"}), arm.gravity(CENTRE)), (frozenset[str](), np.zeros(N))):
        controller = build_controllers(cell, adds)["joint"]
        assert isinstance(controller, VariableGain)
        torque, _ = controller.predictor.step(CENTRE, qd, qdd)
        np.testing.assert_allclose(torque, arm.rnea(CENTRE, qd, qdd) - own, atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"kp_min": 100.0, "kp_max": [90.0] * N}, "kp_min up to kp_max; on A1 they are 100 and 90"),
        ({"kp_max": [1.0] * 6}, "7 values, here are 6"),
        ({"sensitivity": 0.0}, "more than 0"),
        ({"sigma_known": 2.0, "sigma_unknown": 1.0}, "sigma_known up to sigma_unknown"),
    ],
)
def test_gains_that_make_no_sense_are_mistakes_of_the_file(tmp_path: Path, keys: dict[str, Any], match: str) -> None:
    with pytest.raises(CellError) as caught:
        learned_cell(tmp_path, **keys)
    assert any(match in fault.allowed for fault in caught.value.faults)


def test_equal_sigmas_steer_nothing_and_are_refused(tmp_path: Path) -> None:
    model_of(shipped()).save(tmp_path / "dynamics.npz")
    cell = learned_cell(tmp_path, sigma_known=1.0, sigma_unknown=1.0)
    with pytest.raises(ModelError, match="would always be the largest"):
        build_controllers(cell, cell.robot.terms)


def test_what_is_learnt_for_a_controller_is_the_command() -> None:
    t = np.arange(4000) * 1e-3
    wave = np.sin(2.0 * np.pi * t)[:, None] * np.ones(N)
    piece = Segment("piece", wave, wave, 7.0 * wave, 1e-3, tau_cmd=2.0 * wave, g=wave + 3.0)
    for torque, expected in (("commanded", 2.0 * wave), ("commanded+gravity", 3.0 * wave + 3.0)):
        samples = from_segment(commanded(piece, torque))  # type: ignore[arg-type]
        np.testing.assert_allclose(samples.tau[:, 0], expected[100:-100:10, 0][: len(samples.tau)], atol=0.02)
