"""What a class of somebody's own may not do, and what is told when it does something wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hil
from hil.motion import JointReference, MotionError, check_joint_motion
from safety.faults import FaultCode


class Holding:
    """Holds the arm where it was, and does ``mischief`` to what it is given after 50 cycles."""

    kind = "joint"

    def __init__(self, mischief) -> None:
        self._mischief, self._cycles = mischief, 0

    def reset(self, sample, dyn, tau_initial=None) -> None:
        self._q = sample.q.copy()

    def torque(self, sample, dyn, reference, wrench_measured, dt):
        self._cycles += 1
        if self._cycles > 50:
            self._mischief(sample, dyn, wrench_measured)
        return dyn.M @ (400.0 * (self._q - sample.q) - 40.0 * sample.qd)


def overwrite_speed(sample, dyn, wrench) -> None:
    sample.qd[:] = 0.0


def overwrite_position(sample, dyn, wrench) -> None:
    error = sample.q
    error -= 0.5


def overwrite_bounds(sample, dyn, wrench) -> None:
    sample.tau_accepted_lo[0] = -1e3


def overwrite_model(sample, dyn, wrench) -> None:
    dyn.g[:] = 0.0


def overwrite_jacobian(sample, dyn, wrench) -> None:
    dyn.J[0, 0] = 1.0


def overwrite_momentum(sample, dyn, wrench) -> None:
    dyn.p += 1.0


def overwrite_wrench(sample, dyn, wrench) -> None:
    wrench[:] = 0.0


MISCHIEF = [
    overwrite_speed,
    overwrite_position,
    overwrite_bounds,
    overwrite_model,
    overwrite_jacobian,
    overwrite_momentum,
    overwrite_wrench,
]


def test_what_checks_and_log_go_by_cannot_be_overwritten_and_the_place_is_named() -> None:
    """Each attempt stops the arm, with file, line and function in the sentence and the traceback as an event."""
    with hil.open("iiwa14_polish") as session:
        session.bring_up()
        for mischief in MISCHIEF:
            session.enable()
            session.use(Holding(mischief))
            session.hold()
            with pytest.raises(hil.FaultError) as caught:
                session.step(200)
            assert caught.value.faults[0].code is FaultCode.INTERNAL_ERROR
            assert "read-only" in str(caught.value)
            assert f"test_blame.py, line {mischief.__code__.co_firstlineno + 1}" in str(caught.value) or (
                mischief is overwrite_position and "in overwrite_position" in str(caught.value)
            )
            assert isinstance(caught.value.__cause__, ValueError)
            traces = [text for kind, text in session.events if kind == "error"]
            assert mischief.__name__ in traces[-1]
            assert "Traceback" in traces[-1]
            session.acknowledge()
            session.use(Holding(lambda *_: None))
            session.bring_up()
        assert np.abs(session.truth()["qd"]).max() < 0.1


class Malformed:
    kind = "joint"
    name = "malformed"

    def __init__(self, duration: object, reference: object) -> None:
        self.duration, self._reference = duration, reference

    def start(self, q, x, R) -> None:
        """Nothing."""

    def at(self, t: float) -> object:
        return self._reference

    def phase(self, t: float) -> str:
        return "on"


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (None, "duration None; expected seconds"),
        ("2", "duration '2'"),
        (math.nan, "duration nan"),
        (-1.0, "duration -1"),
    ],
)
def test_a_motion_without_a_duration_is_refused_in_words(duration: object, words: str) -> None:
    q = np.zeros(2)
    motion = Malformed(duration, JointReference(q, q, q))
    with pytest.raises(MotionError, match=words):
        check_joint_motion(motion, q - 1.0, q + 1.0, q + 1.0)  # type: ignore[arg-type]


def test_a_motion_that_returns_something_else_is_refused_in_words() -> None:
    q = np.zeros(2)
    with pytest.raises(MotionError, match=r"at\(0\) returned ndarray; expected a JointReference"):
        check_joint_motion(Malformed(1.0, q), q - 1.0, q + 1.0, q + 1.0)  # type: ignore[arg-type]
