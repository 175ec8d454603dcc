"""Guiding the arm by hand: torque-bias correction at standstill, free drive while the enabling key is held, stop.

Letting the key go, and going faster than the speed cap, end in a stop of category 2: the arm brakes and is held under
power. Both are requests like any other stop, not faults.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from drivers.contract import Array, StopCategory
from hil.control.free_drive import FreeDrive, FreeDriveParams, SpeedCap
from hil.motion import JointHold
from hil.procedure import Procedure, StepFailedError
from hil.supervisor import Supervisor
from safety.states import State

FREE_DRIVE = "free drive"
"""Name of the motion while the arm gives way."""
BIAS_TIME = 0.5
"""Time over which the holding torque is averaged, s."""
BIAS_TIMEOUT = 5.0
BIAS_SHARE = 0.06
"""Largest bias as a part of the data-sheet torque: an error of the gravity model. More is a hand, or another tool."""
STILL = 0.01
"""Joint speed below which the arm stands while the bias is taken, rad/s."""


class GuidingEnd(enum.Enum):
    """Why guiding ended."""

    RELEASED = "the enabling key was let go"
    TOO_FAST = "the arm was moved faster than the speed cap"
    STOPPED = "somebody stopped the arm"


@dataclass
class Guided:
    """What came of it."""

    bias: Array | None = None
    """Torque-bias correction (n,), N·m."""
    end: GuidingEnd | None = None
    """None: it was ended by a fault, or has not ended."""
    speed: float = 0.0
    """Highest speed of the TCP, m/s."""


def free_drive(
    supervisor: Supervisor,
    held: Callable[[], bool],
    result: Guided,
    qd_max: Array,
    params: FreeDriveParams | None = None,
    cap: SpeedCap | None = None,
) -> Procedure:
    """Take the bias, then let the hand move the arm for as long as ``held()`` says so, asked once in each cycle.

    The arm must be under command. ``qd_max`` (n,) rad/s. Raises StepFailedError where the arm does not stand still or
    its holding torque is no error of the model; nothing gave way then.
    """
    cap = SpeedCap() if cap is None else cap
    parts = supervisor.parts
    supervisor.hold()
    result.bias = bias = yield from _bias(supervisor)
    model = parts.model
    drive = FreeDrive(model.n, parts.arm.traits.adds, model.q_min, model.q_max, bias, params)
    motion = JointHold(FREE_DRIVE)
    supervisor.start(motion, drive, touched="it is guided by hand")
    while supervisor.motion is motion:
        sample, dyn = supervisor.sample, supervisor.dyn
        if not held():
            result.end = GuidingEnd.RELEASED
            break
        if sample is not None and sample.fresh and dyn is not None:
            speed = float(np.linalg.norm(dyn.J[:3].dot(sample.qd)))
            result.speed = max(result.speed, speed)
            # Not "is faster": what is not a number must stop as well.
            if not (speed <= cap.tcp and (np.abs(sample.qd) <= cap.joint * qd_max).all()):
                result.end = GuidingEnd.TOO_FAST
                break
        yield
    else:
        result.end = GuidingEnd.STOPPED
        return
    supervisor.stop(StopCategory.STOP_AND_HOLD)
    while supervisor.state is State.STOPPING and not supervisor.standing:
        yield


def _bias(supervisor: Supervisor) -> Generator[None, None, Array]:
    """Mean of the torque that holds the arm still, (n,) N·m, without what the robot adds."""
    parts = supervisor.parts
    begin = parts.ticks.now_ns()
    needed = round(BIAS_TIME / parts.arm.traits.period)
    acting: list[Array] = []
    while len(acting) < needed:
        yield
        sample = supervisor.sample
        assert sample is not None
        if not (np.abs(sample.qd) <= STILL).all():
            acting.clear()
        elif sample.fresh:
            acting.append(0.5 * (sample.tau_accepted_lo + sample.tau_accepted_hi))
        if (parts.ticks.now_ns() - begin) * 1e-9 > BIAS_TIMEOUT:
            raise StepFailedError("free drive: the arm does not stand still; let go of it until it gives way")
    bias: Array = np.mean(acting, axis=0)
    assert supervisor.dyn is not None
    # Torque for the weight that is ours to carry is no error of the model: all of it, or that of the payload.
    dyn = supervisor.dyn
    bias = bias - (dyn.g_payload if "gravity" in parts.arm.traits.adds else dyn.g)
    limit = BIAS_SHARE * parts.model.tau_max
    if not (np.abs(bias) <= limit).all():
        j = int(np.argmax(~(np.abs(bias) <= limit)))
        raise StepFailedError(
            f"free drive: holding A{j + 1} takes {bias[j]:.3g} N·m beyond the model, at most {limit[j]:.3g} are "
            "an error of the model: let go of the arm, and check mass and centre of mass of the tool in the cell file"
        )
    return bias
