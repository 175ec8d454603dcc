"""What a learnt feed-forward torque costs in the cycle: rigid-body torque, mean and standard deviation of seven joints.

The time does not depend on what was learnt, so that arrays of the right sizes are drawn. Where GPyTorch is installed,
its own prediction with as many parameters stands beside. A call during which the operating system gave the core to
somebody else says nothing about the predictor, nor does the next one, which finds its arrays gone from the cache: such
calls are counted, and a second 99 % quantile leaves them out.
"""

from __future__ import annotations

import itertools
import resource
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
TAIL = 100.0
"""Aim for the 99 % quantile of the compiled call, µs."""
FASTER = 50.0
"""Aim: how many times faster than GPyTorch the compiled call is."""
CALLS = 5000


@dataclass(frozen=True)
class Cost:
    """Time of one call, µs."""

    size: str
    way: str
    p50: float
    p99: float
    budget: float | None
    undisturbed: float = float("nan")
    """The 99 % quantile of the calls for which the thread had kept its core, µs."""
    disturbed: float = 0.0
    """Share of the other calls."""
    cpu: float = float("nan")
    """Processor time of a call, mean over all, µs."""


def bench_dynamics(calls: int = CALLS) -> list[Cost]:
    """Every size in every way that is installed."""
    rigid_body = build_model(load_cell("iiwa14_polish"))
    rng = np.random.default_rng(0)
    rows = [tuple(part) for part in rng.uniform(-1.0, 1.0, (256, 3, rigid_body.n))]
    pairs = [tuple(part) for part in rng.uniform(-1.0, 1.0, (256, 3, 2, rigid_body.n))]
    found = []
    for size in SIZES:
        arrays = drawn(size, rigid_body.n)
        ways = {"numba": "compiled", "numpy": "numpy"} if has_numba() else {"numpy": "numpy"}
        for way, kernel in ways.items():
            one = DynamicsPredictor(arrays, Prior(rigid_body), kernel="compiled" if kernel == "compiled" else "numpy")
            found.append(_cost(size, way, one.step, rows, calls))
            found.append(_cost(size, f"{way}, two samples at once", one.steps, pairs, calls))
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
    columns = f"{'p50':>9}{'p99':>9}{'p99 kept':>10}{'lost':>8}{'cpu':>9}   aims"
    lines = [f"{'learnt torque of 7 joints with σ, µs a call':44}{columns}"]
    for each in costs:
        aims = []
        if each.budget is not None:
            aims.append(f"p50 {each.budget:.0f} {'reached' if each.p50 <= each.budget else 'missed'}")
        if each.way == "numba":
            aims.append(f"p99 {TAIL:.0f} {'reached' if each.undisturbed <= TAIL else 'missed'}")
        lines.append(
            f"{each.size + ', ' + each.way:44}{each.p50:9.1f}{each.p99:9.1f}{each.undisturbed:10.1f}"
            f"{each.disturbed:8.2%}{each.cpu:9.1f}   {', '.join(aims)}".rstrip()
        )
    lines.append("p99 kept: of the calls for which the operating system left the thread its core; lost: the others;")
    lines.append("cpu: mean processor time")
    by_way = {(each.size, each.way): each.cpu for each in costs}
    for size in SIZES:
        ours, theirs = by_way.get((size, "numba")), by_way.get((size, "gpytorch"))
        if ours is not None and theirs is not None:
            times = theirs / ours
            said = "reached" if times >= FASTER else "missed"
            lines.append(f"{size}: {times:.0f} times faster than GPyTorch by processor time (aim {FASTER:.0f}, {said})")
    if not any(each.way == "gpytorch" for each in costs):
        lines.append("GPyTorch is not installed (pip install 'hil-lab[learn]'): nothing to compare with")
    return "\n".join(lines)


def _cost(
    size: str, way: str, step: Callable[[Array, Array, Array], object], rows: list[tuple[Array, ...]], calls: int
) -> Cost:
    spent, lost = np.empty(calls), np.zeros(calls, dtype=np.bool_)
    for row in rows[:20]:
        step(*row)
    for k in range(calls):
        q, qd, qdd = rows[k % len(rows)]
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
        begin = time.perf_counter_ns()
        step(q, qd, qdd)
        spent[k] = time.perf_counter_ns() - begin
        lost[k] = before != resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    kept = ~lost
    kept[1:] &= ~lost[:-1]
    begin = time.thread_time_ns()
    for k in range(calls):
        step(*rows[k % len(rows)])
    cpu = (time.thread_time_ns() - begin) * 1e-3 / calls
    p50, p99 = np.quantile(spent, (0.5, 0.99)) * 1e-3
    tail = float(np.quantile(spent[kept], 0.99) * 1e-3) if kept.any() else float("nan")
    return Cost(size, way, float(p50), float(p99), BUDGETS.get((size, way)), tail, float(1.0 - kept.mean()), cpu)


def _gpytorch(size: str, n: int) -> Callable[[Array, Array, Array], object] | None:
    try:
        from estimators.dynamics.fitting.reference import single
    except ImportError:
        return None
    M, hidden, learnt = SIZES[size]
    return single(M, hidden, learnt, n)
