"""Learning while a cell runs, in lockstep: an unknown load, the model learnt on, the same run twice, a dead learner."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Running, shipped
from test_learned_cell import CENTRE, HIGH, N, learned_cell, model_of
from typer.testing import CliRunner

from drivers.contract import Array
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.errors import ModelError
from estimators.gains.smoothed import SmoothedMotion
from estimators.rigid_body import BodyInertia
from hil.build import build_controllers, build_model
from hil.cell import Cell, CellError
from hil.cli import app
from hil.learning.adaptation import Adaptation
from hil.learning.load import LoadWatch
from hil.motion import JointSinusoids

QUICK = {"batch": 40, "every": 2, "settle": 30}
KEPT = ("q", "tau_ff", "tau_ff_sd", "kp", "load_mass", "load_mass_sd", "ff_version", "ff_rmse")


def judged(cell: Cell) -> DynamicsPredictor:
    """The rigid-body model of ``cell`` with samples that judge what is learnt."""
    rng = np.random.default_rng(0)
    x = np.concatenate((CENTRE, np.zeros(2 * N))) + rng.normal(0.0, 0.05, (50, 3 * N))
    made = model_of(cell)
    return DynamicsPredictor(made.posterior, made.prior, made.provenance, "numpy", (x, rng.normal(0.0, 0.8, (50, N))))


def online_cell(folder: Path, **online: Any) -> Cell:
    judged(shipped()).save(folder / "dynamics.npz")
    cell = learned_cell(folder, online=online, innovation=True)
    assert cell.mock is not None
    return cell.model_copy(update={"mock": cell.mock.model_copy(update={"profile": "ideal"})})


class Carried:
    """A run in which 3 kg are attached at a tick that nobody announces; what the rows and events say."""

    def __init__(self, cell: Cell, ticks: int, at: dict[int, Callable[[Running], None]]) -> None:
        running = Running(cell)
        self.rows: dict[str, list[Any]] = {name: [] for name in KEPT}
        try:
            running.hold(20)
            amplitude = np.array([0.05, 0.15, 0.05, 0.15, 0.05, 0.15, 0.05])
            running.supervisor.start(JointSinusoids(amplitude, np.linspace(0.5, 0.8, N), duration=9.0, ramp=0.3))
            for k in range(ticks):
                if k in at:
                    at[k](running)
                running.supervisor.step()
                self._keep(running)
            assert running.supervisor.commanded, running.said
            self.events = [(kind, text) for kind, text in running.writer.events if kind == "learning"]
        finally:
            running.close()

    def _keep(self, running: Running) -> None:
        shown, sample = running.supervisor.gains, running.supervisor.sample
        assert shown is not None
        assert shown.learnt is not None
        assert sample is not None
        learnt = shown.learnt
        row = (sample.q, shown.tau_ff, shown.tau_ff_sd, shown.kp, learnt.load_mass, learnt.load_mass_sd)
        for values, value in zip(self.rows.values(), (*row, learnt.version, learnt.rmse), strict=True):
            values.append(np.copy(value))

    def of(self, name: str) -> Array:
        return np.array(self.rows[name], dtype=np.float64)


def attach(running: Running) -> None:
    running.control.attach(3.0, (0.0, 0.0, 0.1))


def kill(running: Running) -> None:
    (adapting,) = running.parts.adapting
    assert isinstance(adapting, Adaptation)
    assert adapting.learner is not None
    os.kill(adapting.learner.pid, signal.SIGKILL)
    adapting.learner._process.wait()


def test_an_unknown_load_is_found_and_a_dead_learner_changes_nothing(tmp_path: Path) -> None:
    cell = online_cell(tmp_path, **QUICK)
    at = {400: attach, 900: kill}
    first, again = Carried(cell, 1500, at), Carried(cell, 600, at)
    for name in KEPT:
        np.testing.assert_array_equal(first.of(name)[:600], again.of(name), err_msg=name)
    # Before: a model that is learnt on, and no doubt about the load.
    version, share = first.of("ff_version"), first.of("kp").mean(axis=1) / np.mean(HIGH)
    assert version[0] == 0 < version[390]
    assert (first.of("load_mass")[:400] == 0.0).all()
    # The load is noticed and estimated; the gains rise and fall again.
    assert share[400:600].max() > 1.1 * share[300:400].max()
    assert share[-200:].max() < 0.7 * share[400:600].max()
    assert abs(first.of("load_mass")[-1] - 3.0) < 0.05
    assert first.of("load_mass_sd")[-1] < 0.2
    told = [text for _, text in first.events]
    assert any("estimated anew" in text for text in told), told
    assert any("the load is known" in text for text in told), told
    assert any("has ended" in text for text in told), told
    assert version[-1] == version[1000] > 0


def test_a_model_that_cannot_judge_what_is_learnt_is_refused(tmp_path: Path) -> None:
    model_of(shipped()).save(tmp_path / "dynamics.npz")
    cell = learned_cell(tmp_path, online={})
    with pytest.raises(ModelError, match="no probe samples"):
        build_controllers(cell, cell.robot.terms)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "cell.yaml")])
    assert result.exit_code == 1
    assert "hil train dynamics" in result.stderr
    # Loads can be estimated without.
    cell = learned_cell(tmp_path, online={"posterior": False})
    assert build_controllers(cell, cell.robot.terms)


def test_a_batch_must_be_dealt_with_before_the_next_is_complete(tmp_path: Path) -> None:
    with pytest.raises(CellError) as caught:
        learned_cell(tmp_path, online={"batch": 10, "every": 2, "settle": 20})
    assert "20 ticks" in caught.value.faults[0].allowed


def follow(watch: LoadWatch, truth: Any, seconds: float, declared: BodyInertia | None, t0: float = 0.0) -> list[str]:
    """The arm moves with the load of ``truth``; its commands are told without the weight of ``declared``."""
    alone, n = build_model(shipped()), N
    told, phase = [], np.arange(n)
    weight = np.zeros(n)
    rng = np.random.default_rng(1)
    for k in range(round(seconds * 1e3)):
        t = t0 + k * 1e-3
        q = CENTRE + 0.3 * np.sin(3.0 * t + phase)
        qd, qdd = 0.9 * np.cos(3.0 * t + phase), -2.7 * np.sin(3.0 * t + phase)
        watch.carry(declared is not None)
        if declared is not None:
            weight = alone.load_regressor(q, np.zeros(n), np.zeros(n)).dot(alone.load_parameters(declared))
        watch.torque(q, qd, qdd, weight)
        mean = alone.rnea(q, qd, qdd)
        tau = truth.rnea(q, qd, qdd) - weight + rng.normal(0.0, 0.1, n)
        if news := watch.step(q, qd, qdd, tau - mean, np.full(n, 0.02), 1e-3):
            told.append(news)
    return told


def test_a_declared_load_is_not_counted_twice() -> None:
    cell = shipped()
    held = BodyInertia(2.0, np.array([0.0, 0.0, 0.1]), np.diag([0.002] * 3))
    heavier = replace(held, mass=2.5)
    watch = LoadWatch(build_model(cell), np.full(N, 0.2), 0.0, held)
    loaded, more = build_model(cell), build_model(cell)
    loaded.set_payload(held)
    more.set_payload(heavier)
    assert follow(watch, loaded, 0.5, held) == []
    assert watch.mass == pytest.approx(2.0)
    # What is left for the estimate to carry is what the weight alone leaves out.
    assert np.abs(watch.carried).max() < 3.0
    # It is half a kilogram heavier than declared, then it is let go.
    assert "anew" in follow(watch, more, 3.0, held, 0.5)[0]
    assert watch.mass == pytest.approx(2.5, abs=0.1)
    assert follow(watch, build_model(cell), 0.5, None, 3.5) == []
    assert watch.mass == 0.0


def test_a_load_that_is_let_go_is_noticed() -> None:
    cell = shipped()
    watch = LoadWatch(build_model(cell), np.full(N, 0.2), 0.0)
    loaded = build_model(cell)
    loaded.set_payload(BodyInertia(3.0, np.array([0.02, 0.0, 0.1]), np.diag([0.003] * 3)))
    assert follow(watch, build_model(cell), 0.3, None) == []
    assert len(follow(watch, loaded, 2.0, None, 0.3)) == 2
    assert watch.mass == pytest.approx(3.0, abs=0.1)
    assert len(follow(watch, build_model(cell), 2.0, None, 2.3)) == 2
    assert watch.mass == pytest.approx(0.0, abs=0.1)


def test_smoothed_motion_belongs_to_its_torque() -> None:
    """A pendulum-like relation tau = 2 qdd + 3 qd holds between smoothed signals as between the true ones."""
    smoothed = SmoothedMotion(1, 15.0)
    t = np.arange(3000) * 1e-3
    qd = np.sin(8.0 * t)
    rows = []
    for k in range(len(t)):
        q = np.array([(1.0 - np.cos(8.0 * t[k])) / 8.0])
        tau = np.array([16.0 * np.cos(8.0 * t[k]) + 3.0 * qd[k]])
        assert smoothed.step(q, qd[k : k + 1], tau, 1e-3)
        rows.append((smoothed.qdd[0], smoothed.qd[0], smoothed.tau[0], smoothed.q[0]))
    qdd, qd_s, tau_s, q_s = np.array(rows)[500:].T
    np.testing.assert_allclose(2.0 * qdd + 3.0 * qd_s, tau_s, atol=0.15)
    np.testing.assert_allclose(np.gradient(q_s, 1e-3)[1:-1], qd_s[1:-1], atol=0.01)
    assert not smoothed.step(np.array([np.nan]), np.zeros(1), np.zeros(1), 1e-3)
    assert smoothed.step(np.ones(1), np.zeros(1), np.ones(1), 1e-3)
    assert smoothed.q[0] == 1.0
