"""What an observer's step costs: momentum observer and K-VARK, by machine code and by numpy alone.

A step is all from a sample to the estimate with its covariance, M, C and g included. CPU time, so that other programs
do not count. Tables and weights are made up: what they hold changes nothing in how long they take.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.momentum import MomentumObserver
from estimators.observer import Observer
from estimators.residual.base import ResidualModel
from estimators.residual.kmp import Tables
from estimators.residual.memory import MemoryParams
from estimators.residual.remembering import MemoryResidual
from estimators.residual.velocity import VelocityResidual
from hil.bench.figures import machine
from hil.build import build_model
from hil.cell import Cell, load_cell

Array = npt.NDArray[np.float64]

CELL = "cobot"
SAMPLES = 20_000
BLOCK = 500
"""Samples of one observer before the next one's turn: what disturbs the machine disturbs all of them."""
MUST = {"numpy": 40.0, "compiled": 15.0}
"""µs, p50 of the whole step: required without a compiler, aimed at with one."""
DT = 2e-3
POINTS = 3001


@dataclass(frozen=True)
class Step:
    """Durations of one observer's step, µs."""

    name: str
    way: str
    """By ``numpy`` or ``compiled``."""
    p50: float
    p99: float
    shares: dict[str, float]
    """Mean of each part, µs."""


def residual_of(cell: Cell, kind: str, use_compiled: bool) -> ResidualModel:
    """A made-up residual model of realistic size; ``kind``: ``velocity`` or ``semiparametric``."""
    n, rng = cell.robot.joint_limits.n, np.random.default_rng(0)
    low, step = np.full(n, -3.0), np.full(n, 6.0 / (POINTS - 1))
    tables = Tables(low, step, rng.standard_normal((n, POINTS)), 0.1 + rng.random((n, POINTS)))
    if kind == "velocity":
        return VelocityResidual(tables, use_compiled)
    memory = MemoryParams(ripple=(202.0,))
    weights = 0.1 * rng.standard_normal((n, memory.count))
    return MemoryResidual(memory, weights, build_model(cell).inertial_parameters(), tables, use_compiled)


def observer_of(cell: Cell, kind: str, use_compiled: bool) -> KvarkObserver:
    """K-VARK on a made-up model, with every rule of adaptation at work."""
    n = cell.robot.joint_limits.n
    residual = residual_of(cell, kind, use_compiled)
    params = RecursionParams(np.full(n, 50.0), np.full(n, 0.1), colour=10.0, dt_colour=DT)
    own = None if residual.inertial_parameters is None else build_model(cell)
    return KvarkObserver(
        residual, params, scale=1.1, level=0.1, lag=1, model=own, use_compiled=use_compiled
    )


def motion(cell: Cell, samples: int) -> tuple[Array, Array, Array]:
    """q, qd, tau (samples, n) of an arm that swings, with noise on tau."""
    n, rng = cell.robot.joint_limits.n, np.random.default_rng(1)
    t = np.arange(samples)[:, None] * DT
    omega = rng.uniform(0.5, 3.0, n)
    q = np.array(cell.robot.home) + 0.3 * np.sin(omega * t)
    return q, 0.3 * omega * np.cos(omega * t), 20.0 * np.sin(0.7 * t) + 0.2 * rng.standard_normal((samples, n))


def bench_observers(samples: int = SAMPLES) -> list[Step]:
    """All observers on the same samples, taking turns."""
    cell = load_cell(CELL)
    n = cell.robot.joint_limits.n
    rows = motion(cell, samples)
    entries: list[_Entry] = [_Entry("momentum observer", "numpy", cell, MomentumObserver(n, 30.0, np.ones(n)), None)]
    for kind, name in (("velocity", "K-VARK"), ("semiparametric", "K-VARK, semi-parametric")):
        for fast in (False, True) if COMPILED else (False,):
            way = "compiled" if fast else "numpy"
            entries.append(
                _Entry(name, way, cell, observer_of(cell, kind, fast), residual_of(cell, kind, fast))
            )
    gc.collect()
    gc.disable()
    try:
        for begin in range(0, samples, BLOCK):
            for entry in entries:
                entry.turn(*(part[begin : begin + BLOCK] for part in rows))
    finally:
        gc.enable()
    return [entry.figures() for entry in entries]


class _Entry:
    """One observer, and what its steps took."""

    def __init__(self, name: str, way: str, cell: Cell, observer: Observer, residual: ResidualModel | None) -> None:
        self.name, self.way = name, way
        self._observer, self._residual = observer, residual
        self._model = build_model(cell)
        self._dyn = self._model.update(np.array(cell.robot.home), np.zeros(self._model.n))
        self._own = isinstance(observer, KvarkObserver) and observer.model is not None
        self._took: dict[str, list[int]] = {"whole": [], "M, C, g": [], "residual model": []}

    def turn(self, q: Array, qd: Array, tau: Array) -> None:
        """Some samples in a row, then the parts on the same samples."""
        model, dyn, observer = self._model, self._dyn, self._observer

        def whole(k: int) -> None:
            if not self._own:
                model.momentum(q[k], qd[k])
            dyn.q, dyn.qd = q[k], qd[k]
            observer.step(tau[k], dyn, DT)

        self._timed("whole", whole, len(q))
        self._timed("M, C, g", lambda k: model.momentum(q[k], qd[k]), len(q))
        residual = self._residual
        if residual is not None:
            self._timed("residual model", lambda k: residual.step(q[k], qd[k], tau[k], DT), len(q))

    def _timed(self, part: str, call: Callable[[int], object], count: int) -> None:
        clock, took = time.thread_time_ns, self._took[part]
        for k in range(count):
            begin = clock()
            call(k)
            took.append(clock() - begin)

    def figures(self) -> Step:
        durations = {part: np.array(took[BLOCK // 2 :]) * 1e-3 for part, took in self._took.items() if took}
        p50, p99 = np.quantile(durations["whole"], [0.5, 0.99]).tolist()
        medians = {part: float(np.median(took)) for part, took in durations.items() if part != "whole"}
        return Step(self.name, self.way, p50, p99, {**medians, "filter, covariance": p50 - sum(medians.values())})


def render(steps: list[Step], count: int = SAMPLES) -> str:
    """A table for people."""
    about = machine()
    lines = [
        f"One step of an observer, {CELL} ({count} samples), µs of CPU time",
        f"{about['processor']}, load {about['load']:.1f}",
        "",
        f"{'observer':<26}{'by':<10}{'p50':>7}{'p99':>8}   parts, p50",
    ]
    for step in steps:
        parts = ", ".join(f"{part} {took:.1f}" for part, took in step.shares.items())
        lines.append(f"{step.name:<26}{step.way:<10}{step.p50:>7.1f}{step.p99:>8.1f}   {parts}")
    lines += ["", f"expected, K-VARK: at most {MUST['numpy']:.0f} by numpy; aim {MUST['compiled']:.0f} compiled (p50)"]
    if not COMPILED:
        lines.append("numba is not installed: nothing is compiled (pip install 'hil-lab[kvark]')")
    return "\n".join(lines)
