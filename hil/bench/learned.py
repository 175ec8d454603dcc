"""What the controller with a learnt feed-forward costs in the cycle while the cell goes on learning.

The shipped cell in lockstep, in this process, with a load that it has to estimate; what is timed is the controller's
step, by the processor time of its thread: two predictions with their physics, gains, innovation, load estimate, and
handing samples over to the process that learns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array, RobotSample
from estimators.compiled import has_numba
from estimators.dynamics.predictor import Kernel
from estimators.rigid_body import Dynamics
from hil.cell import Cell, load_cell
from hil.control.variable_gain import VariableGain
from hil.grasp_demo import AT, MASS, motion_of
from hil.learning import feed_forward
from hil.motion.base import Reference
from hil.session import Session

CYCLES = 2000


@dataclass(frozen=True)
class Cost:
    """Processor time of the controller's step, µs, and its share of the supervisor's."""

    way: str
    learning: bool
    p50: float
    p99: float
    share: float


class _Timed:
    """Notes the processor time of each step of ``inner``, ns."""

    def __init__(self, inner: VariableGain) -> None:
        self._inner, self._torque = inner, inner.torque
        self.spent: list[int] = []
        inner.torque = self._timed  # type: ignore[method-assign]

    def _timed(
        self, sample: RobotSample, dyn: Dynamics, reference: Reference, wrench_measured: Array | None, dt: float
    ) -> Array:
        begin = time.thread_time_ns()
        tau = self._torque(sample, dyn, reference, wrench_measured, dt)
        self.spent.append(time.thread_time_ns() - begin)
        return tau


def bench_learned(cycles: int = CYCLES) -> list[Cost]:
    """With and without learning, in every way that is installed. Raises EstimatorError, ConnectError."""
    cell = load_cell("iiwa14_learned")
    kernels: tuple[Kernel, ...] = ("compiled", "numpy") if has_numba() else ("numpy",)
    return [_cost(cell, kernel, learning, cycles) for kernel in kernels for learning in (False, True)]


def render(costs: Sequence[Cost]) -> str:
    """The figures as text."""
    lines = [f"{'learnt controller of 7 joints, processor time, µs':52}{'p50':>9}{'p99':>9}{'share':>8}"]
    for each in costs:
        name = f"{each.way}, {'learning on, 3 kg' if each.learning else 'not learning'}"
        lines.append(f"{name:52}{each.p50:9.0f}{each.p99:9.0f}{each.share:8.0%}")
    lines.append("share: of the whole lockstep cycle in this process, mock included")
    return "\n".join(lines)


def _cost(cell: Cell, kernel: Kernel, learning: bool, cycles: int) -> Cost:
    controller = cell.controller
    learned = controller.joint.learned
    assert learned is not None
    if not learning:
        joint = controller.joint.model_copy(update={"learned": learned.model_copy(update={"online": None})})
        cell = cell.model_copy(update={"controller": controller.model_copy(update={"joint": joint})})
    made = feed_forward.controller(cell, cell.robot.terms, kernel)
    timed = _Timed(made)
    if made.adapting is not None:
        made.adapting.open(lockstep=True)
    try:
        with Session(cell, seed=0) as session:
            session.bring_up()
            session.enable()
            session.use(made)
            session.start(motion_of(cell))
            session.step(1500)
            if learning:
                session.mock.attach(MASS, AT)
            session.step(500)
            timed.spent.clear()
            begin = time.thread_time_ns()
            session.step(cycles)
            whole = time.thread_time_ns() - begin
    finally:
        if made.adapting is not None:
            made.adapting.close()
    spent = np.array(timed.spent)
    p50, p99 = np.quantile(spent, (0.5, 0.99)) * 1e-3
    way = {"compiled": "numba", "numpy": "numpy"}[kernel]
    return Cost(way, learning, float(p50), float(p99), float(spent.sum() / whole))
