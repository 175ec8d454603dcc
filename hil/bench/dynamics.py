"""What a learnt feed-forward torque costs in the cycle: rigid-body torque, mean and standard deviation of seven joints.

The time does not depend on what was learnt, so that arrays of the right sizes are drawn. Where GPyTorch is installed,
its own prediction with as many parameters stands beside.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.compiled import has_numba
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior
from estimators.dynamics.samples import Scaling
from hil.build import build_model
from hil.cell import load_cell

Array = npt.NDArray[np.float64]
SIZES = {"small": (128, 128, 8), "large": (192, 256, 16)}
"""Inducing points, hidden width, learnt features."""
BUDGETS = {("small", "numba"): 35.0, ("large", "numba"): 60.0, ("small", "numpy"): 80.0}
"""Aims for the median, µs."""
CALLS = 5000


@dataclass(frozen=True)
class Cost:
    """Time of one call, µs."""

    size: str
    way: str
    p50: float
    p99: float
    budget: float | None


def bench_dynamics(calls: int = CALLS) -> list[Cost]:
    """Every size in every way that is installed."""
    rigid_body = build_model(load_cell("iiwa14_polish"))
    rng = np.random.default_rng(0)
    rows = [tuple(part) for part in rng.uniform(-1.0, 1.0, (256, 3, rigid_body.n))]
    found = []
    for size in SIZES:
        arrays = drawn(size, rigid_body.n)
        ways = {"numba": "compiled", "numpy": "numpy"} if has_numba() else {"numpy": "numpy"}
        for way, kernel in ways.items():
            one = DynamicsPredictor(arrays, Prior(rigid_body), kernel="compiled" if kernel == "compiled" else "numpy")
            found.append(_cost(size, way, one.step, rows, calls))
        if (theirs := _gpytorch(size, rigid_body.n)) is not None:
            found.append(_cost(size, "gpytorch", theirs, rows, max(50, calls // 50)))
    return found


def drawn(size: str, n: int, seed: int = 0) -> Posterior:
    """Arrays of the sizes of a trained model of ``n`` joints, and of no meaning."""
    M, hidden, learnt = SIZES[size]
    rng = np.random.default_rng(seed)
    sizes = (3 * n, hidden, hidden, learnt)
    weights = tuple(rng.standard_normal((b, a)) / np.sqrt(a) for a, b in itertools.pairwise(sizes))
    F = learnt + 3 * n
    root = 0.01 * rng.standard_normal((n, M, M))
    unit = Scaling(np.zeros(3 * n), np.ones(3 * n), np.zeros(n), np.ones(n))
    return Posterior(
        weights,
        tuple(np.zeros(b) for b in sizes[1:]),
        True,
        np.full((n, F), 4.0),
        rng.standard_normal((n, M, F)) / 4.0,
        np.ones(n),
        np.full(n, 0.01),
        rng.standard_normal((n, M)),
        root @ root.transpose(0, 2, 1),
        unit,
    )


def render(costs: Sequence[Cost]) -> str:
    """The figures as text."""
    lines = [f"{'learnt torque of 7 joints with σ, µs a call':44}{'p50':>9}{'p99':>9}{'aim p50':>10}"]
    for each in costs:
        aim = "" if each.budget is None else f"{each.budget:10.0f} {'reached' if each.p50 <= each.budget else 'missed'}"
        lines.append(f"{each.size + ', ' + each.way:44}{each.p50:9.1f}{each.p99:9.1f}{aim}")
    if not any(each.way == "gpytorch" for each in costs):
        lines.append("GPyTorch is not installed (pip install 'hil-lab[learn]'): nothing to compare with")
    return "\n".join(lines)


def _cost(
    size: str, way: str, step: Callable[[Array, Array, Array], object], rows: list[tuple[Array, ...]], calls: int
) -> Cost:
    spent = np.empty(calls)
    for row in rows[:20]:
        step(*row)
    for k in range(calls):
        q, qd, qdd = rows[k % len(rows)]
        begin = time.perf_counter_ns()
        step(q, qd, qdd)
        spent[k] = time.perf_counter_ns() - begin
    p50, p99 = np.quantile(spent, (0.5, 0.99)) * 1e-3
    return Cost(size, way, float(p50), float(p99), BUDGETS.get((size, way)))


def _gpytorch(size: str, n: int) -> Callable[[Array, Array, Array], object] | None:
    try:
        from estimators.dynamics.fitting.reference import single
    except ImportError:
        return None
    M, hidden, learnt = SIZES[size]
    return single(M, hidden, learnt, n)
