"""Each check of the gate stands between a controller and the wire: one wish that trips it and nothing else.

The soft saturation is bypassed, since its task is that none of these ever happens to a sound controller.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import safety.gate
from drivers.contract import ArmState, Array, PositionCommand, RobotSample
from estimators.rigid_body import Dynamics
from hil.build import build_model
from safety.faults import FaultCode
from safety.states import State
from tests.hil.bypass import Bypass, Wish
from tests.hil.running import shipped

MARK = 0.0125
"""N·m; a torque that no limit minds, by which the refused command is known."""
NAN = math.nan
ROOM = 0.3
"""N·m that the limit on the total torque leaves above the weight, on A2."""


def marked(first: float = MARK, second: float = 0.0) -> Array:
    return np.array([first, second, 0.0, 0.0, 0.0, 0.0, 0.0])


def same_q(k: int, q: Array) -> Array:
    return q


def creeping(k: int, q: Array) -> Array:
    """A1 runs away by 1 mrad a tick, slowly enough for the limit on the step."""
    return q + marked(1e-3 * (k + 1))


@dataclass
class Case:
    """How one check is tripped."""

    wish: Wish = lambda k, sample, dyn: marked()
    reference: Callable[[int, Array], Array] = same_q
    overrides: dict[str, Any] = field(default_factory=dict)
    within: int = 5
    """Ticks in which it must happen."""


def breaking(change: Callable[[RobotSample, Dynamics], None]) -> Wish:
    """A broken controller that writes into what it is only allowed to read; the gate comes after it."""

    def wish(k: int, sample: RobotSample, dyn: Dynamics) -> Array:
        change(sample, dyn)
        return marked()

    return wish


def sets(**values: Any) -> Wish:
    def change(sample: RobotSample, dyn: Dynamics) -> None:
        for name, value in values.items():
            setattr(sample, name, value)

    return breaking(change)


def heavy() -> float:
    """Share of A2's torque beyond its weight at home and a little room."""
    cell = shipped()
    weight = abs(build_model(cell).gravity(np.array(cell.robot.home))[1])
    return float(1.0 - (weight + ROOM) / cell.robot.joint_limits.tau_max[1])


def total(k: int, sample: RobotSample, dyn: Dynamics) -> Array:
    return marked(MARK, math.copysign(2.0 * ROOM, dyn.g[1]))


CODES = FaultCode
CASES: dict[FaultCode, Case] = {
    CODES.COMMAND_KIND: Case(),
    CODES.COMMAND_SHAPE: Case(lambda k, sample, dyn: marked()[:6]),
    CODES.COMMAND_NOT_FINITE: Case(lambda k, sample, dyn: marked(second=NAN)),
    CODES.NOT_PERMITTED: Case(),
    CODES.NOT_COMMANDED: Case(sets(state=ArmState.READY)),
    CODES.MODEL_NOT_FINITE: Case(breaking(lambda sample, dyn: setattr(dyn, "g", np.full(7, NAN)))),
    CODES.ACCEPTED_UNKNOWN: Case(sets(tau_accepted_lo=np.full(7, NAN))),
    CODES.TORQUE_MAGNITUDE: Case(lambda k, sample, dyn: marked(0.6), overrides={"tau_cmd_max": 0.5}),
    CODES.TORQUE_TOTAL: Case(total, overrides={"total_margin": heavy()}),
    CODES.TORQUE_RATE: Case(lambda k, sample, dyn: marked(1.1)),
    # At the very rate that is allowed, for longer than the window, which is rounded up to buckets.
    CODES.TORQUE_WINDOW: Case(lambda k, sample, dyn: marked(0.999 * (k + 1)), within=24),
    CODES.REFERENCE_UNKNOWN: Case(sets(q_ref_accepted=np.full(7, NAN))),
    CODES.REFERENCE_RANGE: Case(
        reference=creeping, overrides={"q_max": (0.018, 2.0, 2.9, 2.0, 2.9, 2.0, 3.0)}, within=25
    ),
    CODES.REFERENCE_STEP: Case(reference=lambda k, q: q + marked(5e-3)),
    CODES.REFERENCE_DISTANCE: Case(reference=creeping, overrides={"q_ref_distance_max": 0.01}, within=15),
    CODES.SAMPLE_INVALID: Case(sets(valid=False)),
    CODES.SAMPLE_STALE: Case(sets(age_ns=6_000_000)),
}
OTHER_KINDS = {CODES.REFERENCE_VELOCITY, CODES.GAINS, CODES.WRENCH_FORCE, CODES.WRENCH_MOMENT}
"""Checks of commands that no controller of this cell can give and no arm of it takes."""


def test_no_check_is_left_out() -> None:
    text = Path(safety.gate.__file__).read_text(encoding="utf-8")
    checks = {FaultCode[name] for name in re.findall(r"FaultCode\.([A-Z_]+)", text)}
    assert checks == set(CASES) | OTHER_KINDS


@pytest.mark.parametrize("code", CASES, ids=lambda code: code.value)
def test_each_check_of_the_gate_is_on_the_path_to_the_wire(code: FaultCode) -> None:
    case = CASES[code]
    # The reference creeps from the moment on in which the wish begins.
    begun = False
    cell = Bypass(
        case.overrides, saturated=False, reference=lambda k, q: case.reference(k, q) if begun else same_q(k, q)
    )
    try:
        cell.hold(5)
        assert not cell.batches
        if code is FaultCode.COMMAND_KIND:
            cell.replace_gate(replace(cell.parts.arm.traits, commands=(PositionCommand,)))
        begun = True
        cell.adversary.want(without_permission(cell) if code is FaultCode.NOT_PERMITTED else case.wish)
        cell.until(lambda: bool(cell.batches), case.within)

        # Exactly this check, at once a latched fault and a stop.
        assert set(cell.batches[0]) == {code}
        assert cell.codes[0] is code
        assert cell.supervisor.state in (State.STOPPING, State.FAULTED)
        assert cell.refused
        cell.until(lambda: cell.supervisor.state is State.FAULTED, 1500)
        cell.until(cell.braked, 100)
        assert cell.codes[0] is code
        cell.check()  # among other things: no refused command is among the datagrams
        assert not [tau for tau, _ in cell.wire if tau is not None and not np.isfinite(tau).all()]
    finally:
        cell.close()


def without_permission(cell: Bypass) -> Wish:
    """The state machine leaves ENABLED between the supervisor's look at it and the gate's."""

    def change(sample: RobotSample, dyn: Dynamics) -> None:
        cell.supervisor.machine.state = State.READY

    return breaking(change)
