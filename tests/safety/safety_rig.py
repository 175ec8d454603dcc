"""An arm on paper: traits, limits and samples for the tests of ``safety``."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from drivers.contract import (
    ArmState,
    ArmTraits,
    LinkHealth,
    MitCommand,
    OperationMode,
    PositionCommand,
    RobotSample,
    SafetyState,
    StopAction,
    StopCategory,
    TorqueCommand,
    WrenchCommand,
    WrenchSample,
)
from safety.limits import IIWA14_R820

N = 7
PERIOD = 0.001
MS = 1_000_000
LIMITS = IIWA14_R820
ZERO = np.zeros(N)
Q = np.array([0.1, 0.5, -0.2, -1.2, 0.3, 0.9, 0.0])


def traits(**changes: Any) -> ArmTraits:
    """An iiwa that takes every kind of command."""
    plain = ArmTraits(
        name="iiwa",
        n=N,
        period=PERIOD,
        torque_side="link",
        adds=frozenset({"gravity", "stiffness"}),
        commands=(TorqueCommand, PositionCommand, WrenchCommand, MitCommand),
        brakes=True,
        stops={
            StopCategory.OFF_NOW: StopAction.OFF,
            StopCategory.STOP_THEN_OFF: StopAction.BRAKE_THEN_OFF,
            StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD,
        },
    )
    return dataclasses.replace(plain, **changes)


def sample(**changes: Any) -> RobotSample:
    """A sound, fresh sample of a resting arm on which zero torque acts."""
    plain = RobotSample(
        t_ns=10 * MS,
        seq=42,
        valid=True,
        fresh=True,
        age_ns=0,
        dt=PERIOD,
        q=Q.copy(),
        qd=ZERO.copy(),
        qdd=ZERO.copy(),
        tau=ZERO.copy(),
        tau_ext_robot=ZERO.copy(),
        q_set=Q.copy(),
        tau_accepted_lo=ZERO.copy(),
        tau_accepted_hi=ZERO.copy(),
        q_ref_accepted=Q.copy(),
        state=ArmState.COMMANDED,
    )
    return dataclasses.replace(plain, **changes)


def health(**changes: Any) -> LinkHealth:
    """A link in best health."""
    plain = LinkHealth(quality=1.0, safety=SafetyState.NORMAL, mode=OperationMode.T1, drives_on=True)
    return dataclasses.replace(plain, **changes)


def wrench(**changes: Any) -> WrenchSample:
    """A sound sample of an unloaded wrench sensor."""
    plain = WrenchSample(t_ns=10 * MS, seq=3, valid=True, fresh=True, age_ns=0, wrench=np.zeros(6))
    return dataclasses.replace(plain, **changes)


def at(joint: int, value: float, base: np.ndarray | None = None) -> np.ndarray:
    """``base`` (zeros by default) with one element replaced."""
    x = ZERO.copy() if base is None else base.copy()
    x[joint] = value
    return x
