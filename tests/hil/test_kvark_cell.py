"""K-VARK in a running cell: bad samples in the cycle, lapses in words, its model in the cell file, point contact."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from running import FORCE, Recorded, Running, shipped, short_cell
from typer.testing import CliRunner

from drivers.contract import RobotSample
from estimators.kvark.artefact import CONTACT, TrainedKvark, save
from estimators.kvark.band import BandParams
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables
from estimators.residual.memory import MemoryParams
from estimators.residual.remembering import MemoryResidual
from estimators.residual.velocity import VelocityResidual
from hil.bench.observers import BLOCK, bench_observers, render
from hil.build import build_model
from hil.cell import Cell, load_cell
from hil.cli import app
from hil.lapse import PATIENCE, Lapse
from safety.faults import FaultCode

N = 7


def model_of(cell: Cell, kind: str = "velocity", n: int = N, robot: str = "", lag: int = 1) -> TrainedKvark:
    """A model that knows of nothing: zero residual."""
    tables = Tables(np.full(n, -3.0), np.full(n, 0.1), np.zeros((n, 61)), np.full((n, 61), 0.01))
    if kind == "velocity":
        residual = VelocityResidual(tables)
    else:
        memory = MemoryParams()
        parameters = build_model(cell).inertial_parameters()
        residual = MemoryResidual(memory, np.zeros((n, memory.count)), parameters, tables)
    params = RecursionParams(np.full(n, 100.0), np.full(n, 0.5), adapt_r="off")
    robot = robot or hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    return TrainedKvark(residual, params, robot, kind, lag=lag)


def kvark_cell(folder: Path, kind: str = "velocity", contact: str = "wrench", like: Cell | None = None) -> Cell:
    content = yaml.safe_load((like or shipped()).dump())
    sigma = content["observer"]["tau_sigma"]
    content["observer"] = {
        "kind": "kvark", "model": "kvark.npz", "contact": contact, "tau_sigma": sigma, "delay_ticks": 1
    }  # fmt: skip
    save(model_of(shipped(), kind), folder / "kvark.npz")
    path = folder / "cell.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_cell(path)


class Spoiler:
    """Changes the arm's samples while it is on."""

    def __init__(self) -> None:
        self.change: Callable[[RobotSample], None] | None = None
        self.last: RobotSample | None = None

    def __call__(self, sample: RobotSample) -> None:
        if self.change is not None:
            self.change(sample)
        else:
            self.q, self.tau = sample.q.copy(), sample.tau.copy()


@pytest.fixture(params=["velocity", "semiparametric"])
def spoilt(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Running, Spoiler]]:
    spoiler = Spoiler()
    running = Running(kvark_cell(tmp_path, request.param), distort=spoiler)
    running.hold(30)
    yield running, spoiler
    running.close()


@pytest.mark.parametrize("what", ["nan tau", "nan q", "infinite tau", "time jump", "back in time"])
def test_bad_samples_in_the_cycle_are_flagged_and_told_and_raise_nothing(
    spoilt: tuple[Running, Spoiler], what: str
) -> None:
    running, spoiler = spoilt
    supervisor = running.supervisor
    assert supervisor.estimate.known
    assert np.isfinite(supervisor.estimate.wrench).all()
    assert np.isfinite(supervisor.estimate.nis)

    def change(sample: RobotSample) -> None:
        if what == "nan tau":
            sample.tau = sample.tau * np.nan
        elif what == "nan q":
            sample.q = sample.q * np.nan
        elif what == "infinite tau":
            sample.tau = sample.tau + np.inf
        else:
            sample.dt = 0.5 if what == "time jump" else -1e-3

    spoiler.change = change
    for _ in range(40):
        supervisor.step()
        assert not supervisor.estimate.known
        assert np.isnan(supervisor.estimate.wrench).any()
    assert supervisor.error is None, "never an exception in the cycle"
    assert FaultCode.INTERNAL_ERROR not in running.codes
    told = [text for kind, text in running.writer.events if kind == "observer"]
    assert len(told) == 1, running.said
    assert "does not know" in told[0]
    spoiler.change = None
    running.steps(10)
    assert supervisor.estimate.known
    told = [text for kind, text in running.writer.events if kind == "observer"]
    assert "again, after 0.04" in told[1]


def test_what_the_detector_says_is_of_this_cycle_and_stops_nothing(tmp_path: Path) -> None:
    spoiler, cell = Spoiler(), kvark_cell(tmp_path)
    band = BandParams(np.full(N, 1.0), np.full(N, 1.0))
    save(replace(model_of(shipped()), band=band, thresholds={CONTACT: 50.0}), tmp_path / "kvark.npz")
    running = Running(cell, distort=spoiler)
    try:
        running.hold(30)
        estimate = running.supervisor.estimate
        assert estimate.contact == 0
        assert 0.0 <= estimate.contact_level < 1.0

        def push(sample: RobotSample) -> None:
            sample.tau = sample.tau - 25.0

        spoiler.change = push
        for _ in range(40):
            running.supervisor.step()
            if estimate.contact == 1:
                break
        assert estimate.contact == 1
        assert estimate.contact_level >= 1.0

        def lost(sample: RobotSample) -> None:
            sample.tau = sample.tau * np.nan

        spoiler.change = lost
        running.supervisor.step()
        assert estimate.contact == -1
        assert np.isnan(estimate.contact_level)
        assert running.supervisor.error is None
    finally:
        running.close()


def test_a_cell_that_presses_at_a_point_knows_a_force_and_no_moment(tmp_path: Path) -> None:
    running = Running(kvark_cell(tmp_path, contact="point"))
    try:
        running.hold(20)
        estimate = running.supervisor.estimate
        assert estimate.known
        assert np.isfinite(estimate.wrench[:3]).all()
        assert np.isnan(estimate.wrench[3:]).all()
        assert (estimate.wrench_cov.diagonal()[:3] > 0.0).all()
        assert running.parts.observed_by == "K-VARK, method velocity, point contact"
    finally:
        running.close()


def test_pressing_is_felt_at_the_place_and_with_the_sign_of_the_sensor(tmp_path: Path) -> None:
    """Tared with a model of its own: sensor and joints tell the same push, though the masses are 10 % off."""
    running = Running(kvark_cell(tmp_path, "semiparametric", like=short_cell(tmp_path)))
    try:
        recorded = Recorded(running)
        recorded.run(["polish"])
        assert running.supervisor.error is None, running.said
        rows = recorded.phase("press", "edge 1", "edge 2", "edge 3", "edge 4", "polish")
        pressing = rows["wrench_ft"][:, 2] > 0.9 * FORCE
        assert pressing.sum() > 100, set(recorded.rows["phase"])
        error = (rows["wrench"] - rows["wrench_ft"])[pressing, :3]
        assert (np.sqrt(np.mean(error**2, axis=0)) < [3.0, 3.0, 4.0]).all(), np.sqrt(np.mean(error**2, axis=0))
    finally:
        running.close()


def test_one_lost_sample_is_no_news_a_lapse_is_told_once_and_its_end_too() -> None:
    lapse, tick = Lapse(), 2.0**-10
    assert not any(lapse.take(False, tick) for _ in range(1000)), "before the first estimate nothing lapses"
    assert lapse.take(True, tick) == ""
    assert lapse.take(False, tick) == ""
    assert lapse.take(True, tick) == ""
    said = [lapse.take(False, tick) for _ in range(100)]
    assert [bool(text) for text in said].index(True) == int(PATIENCE / tick)
    assert sum(map(bool, said)) == 1
    assert "again, after 0.098 s" in lapse.take(True, tick)
    assert lapse.take(True, tick) == ""


def test_hil_check_tells_of_a_model_that_is_missing_or_does_not_fit(tmp_path: Path) -> None:
    cell = kvark_cell(tmp_path)
    path = tmp_path / "cell.yaml"
    line = path.read_text(encoding="utf-8").splitlines().index("  model: kvark.npz") + 1

    def said() -> str:
        result = CliRunner().invoke(app, ["check", str(path)])
        assert result.exit_code == 1, result.output
        assert f"cell.yaml:{line}" in result.stderr
        assert "observer.model" in result.stderr
        assert "observer.model: " not in result.stderr  # the place is told once
        assert "1 mistake" in result.stderr
        return result.stderr

    assert CliRunner().invoke(app, ["check", str(path)]).exit_code == 0
    save(model_of(cell, robot="ab" * 32), tmp_path / "kvark.npz")
    assert "another rigid-body model" in said()
    save(model_of(cell, n=6), tmp_path / "kvark.npz")
    assert "for 6 joints, the cell's robot has 7" in said()
    save(model_of(cell, lag=0), tmp_path / "kvark.npz")
    assert "lag by 0 ticks" in said()
    (tmp_path / "kvark.npz").write_bytes(b"nothing")
    assert "train it anew" in said()
    (tmp_path / "kvark.npz").unlink()
    assert "hil train residual" in said()


def test_the_benchmark_tells_each_observer_and_where_its_time_goes() -> None:
    steps = bench_observers(BLOCK)
    assert {step.name for step in steps} == {"momentum observer", "K-VARK", "K-VARK, semi-parametric"}
    assert all(0.0 < step.p50 <= step.p99 for step in steps)
    text = render(steps, BLOCK)
    assert "M, C, g" in text
    assert "residual model" in text
