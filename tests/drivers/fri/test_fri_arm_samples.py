"""Signs, times, derivatives and plausibility of the samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fri_rig import ACTIVE, IDLE, IPO, PERIOD_NS, Q0, Q_MAX, READY, TAU_EXT, TAU_MAX, TAU_WIRE, WAIT, Rig

from drivers.contract import ArmState
from drivers.fri.plausibility import TAU_FACTOR


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def test_before_the_first_frame_everything_is_unknown(rig: Rig) -> None:
    """No frame yet reads as NaN, not as zeros."""
    sample = rig.arm.read()
    assert (sample.seq, sample.valid, sample.fresh, sample.age_ns, sample.t_device_ns) == (-1, False, False, -1, -1)
    arrays = (sample.q, sample.qd, sample.qdd, sample.tau, sample.tau_ext_robot, sample.q_set, sample.q_ref_accepted)
    assert all(a.shape == (7,) and np.isnan(a).all() for a in arrays)


def test_measured_torque_changes_sign_and_external_torque_does_not(rig: Rig) -> None:
    """The wire's measured torque is the contract's negative, joint by joint; positions and external torque pass."""
    sample = rig.until_commanded()
    np.testing.assert_array_equal(sample.tau, -TAU_WIRE)
    np.testing.assert_array_equal(sample.tau_ext_robot, TAU_EXT)
    np.testing.assert_array_equal(sample.q, Q0)
    np.testing.assert_array_equal(sample.q_set, IPO)


def test_what_the_wire_lacks_is_nan(rig: Rig) -> None:
    """Without external torque and set-point the sample holds NaN there and is valid."""
    sample = rig.tick(READY, tau_external=None)
    assert sample.valid
    assert np.isnan(sample.tau_ext_robot).all()
    assert np.isnan(sample.q_set).all()


def test_times_of_a_sample(rig: Rig) -> None:
    """Time of reading, device stamp, age and freshness are the frame's; a tick without data only ages."""
    rig.tick(READY)
    m = rig.controller.send(READY)
    sample = rig.arm.read()
    assert (sample.t_ns, sample.t_device_ns) == (rig.ticks.now, m.t_device_ns)
    assert (sample.fresh, sample.age_ns, sample.dt) == (True, 0, pytest.approx(1e-3))
    later = rig.arm.read()
    assert (later.fresh, later.age_ns, later.seq, later.valid) == (False, PERIOD_NS, sample.seq, True)
    assert later.q is sample.q


def test_dt_and_velocity_come_from_the_devices_counter(rig: Rig) -> None:
    """Lost frames stretch dt by whole periods, whenever this side happened to read."""
    assert np.isnan(rig.tick(READY, q=Q0).dt)
    rig.ticks.tick_ns = 7 * PERIOD_NS
    sample = rig.tick(READY, q=Q0 + 1e-3)
    assert sample.dt == pytest.approx(1e-3)
    np.testing.assert_allclose(sample.qd, 1.0)
    rig.controller.seq += 3
    sample = rig.tick(READY, q=Q0 + 3e-3)
    assert sample.dt == pytest.approx(4e-3)
    np.testing.assert_allclose(sample.qd, 0.5)


def test_dt_follows_the_stated_send_period(rig: Rig) -> None:
    """A controller that sends every 5 ms gives dt of 5 ms; one that states nothing gives the cell's period."""
    rig.tick(READY, send_period_ms=5)
    assert rig.tick(READY, send_period_ms=5).dt == pytest.approx(5e-3)
    assert rig.tick(READY, send_period_ms=-1).dt == pytest.approx(1e-3)


def test_a_changed_send_period_is_believed_at_its_second_frame(rig: Rig) -> None:
    """One frame with another period is invalid and forgotten; two in a row are a new period."""
    rig.tick(READY)
    assert not rig.tick(READY, send_period_ms=4).valid
    sample = rig.tick(READY)
    assert (sample.valid, sample.dt) == (True, pytest.approx(2e-3))
    assert not rig.tick(READY, send_period_ms=4).valid
    assert rig.tick(READY, send_period_ms=4).valid
    assert rig.arm.health().rejected == {"send_period": 2}


def test_differentiator_starts_anew_at_the_first_frame_and_after_long_gaps(rig: Rig) -> None:
    """The first frame and one after more than 50 periods reset it; 50 periods still count as one step."""
    rig.tick(READY)
    assert rig.differentiator.resets == 1
    rig.controller.seq += 49
    rig.tick(READY)
    assert (rig.differentiator.resets, rig.differentiator.dts) == (1, [pytest.approx(0.05)])
    rig.controller.seq += 50
    sample = rig.tick(READY, q=Q0 + 0.5)
    assert (rig.differentiator.resets, sample.valid) == (2, True)
    np.testing.assert_array_equal(sample.qd, np.zeros(7))


def _one(base: np.ndarray, joint: int, value: float) -> np.ndarray:
    changed = base.copy()
    changed[joint] = value
    return changed


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda j: {"q": _one(Q0, j, np.nan)}, "not_finite"),
        (lambda j: {"tau_measured": _one(TAU_WIRE, j, np.inf)}, "not_finite"),
        (lambda j: {"tau_external": _one(TAU_EXT, j, np.nan)}, "not_finite"),
        (lambda j: {"q_ipo": _one(IPO, j, -np.inf)}, "not_finite"),
        (lambda j: {"q": _one(Q0, j, Q_MAX[j] + 0.04)}, "q_range"),
        (lambda j: {"q": _one(Q0, j, -Q_MAX[j] - 0.04)}, "q_range"),
        (lambda j: {"q_ipo": _one(IPO, j, Q_MAX[j] + 0.04)}, "ipo_range"),
        (lambda j: {"tau_measured": _one(TAU_WIRE, j, 1.01 * TAU_FACTOR * TAU_MAX[j])}, "tau_range"),
        (lambda j: {"tau_measured": _one(TAU_WIRE, j, -1.01 * TAU_FACTOR * TAU_MAX[j])}, "tau_range"),
        (lambda j: {"q": _one(Q0, j, Q0[j] + 0.05)}, "q_step"),
        (lambda j: {"q": _one(Q0, j, Q0[j] - 0.05)}, "q_step"),
    ],
)
def test_an_implausible_frame_is_invalid_and_leaves_the_measurement(
    rig: Rig, make: Any, reason: str, joint: int
) -> None:
    """Each impossible value in each joint makes the sample invalid under its reason; the last good arrays stay,
    the session goes on, and the next good frame is valid with the time it bridges."""
    good = rig.until_commanded()
    bad = rig.tick(ACTIVE, **make(joint))
    assert (bad.valid, bad.fresh, bad.seq, bad.state) == (False, True, good.seq + 1, ArmState.COMMANDED)
    assert rig.arm.health().rejected == {reason: 1}
    assert (bad.q is good.q, bad.tau is good.tau) == (True, True)
    after = rig.tick(ACTIVE)
    assert (after.valid, after.dt) == (True, pytest.approx(2e-3))


def test_missing_joint_data_is_invalid_except_when_the_session_ends(rig: Rig) -> None:
    """A frame without positions is invalid and counted; the empty IDLE frame that ends a session is only invalid."""
    rig.tick(READY)
    assert not rig.tick(READY, q=None).valid
    assert rig.arm.health().rejected == {"no_joint_data": 1}
    assert not rig.tick(IDLE, q=None, tau_measured=None).valid
    assert rig.arm.health().rejected == {"no_joint_data": 1}


def test_values_at_the_edge_of_the_possible_are_valid(rig: Rig) -> None:
    """The mechanical end stop, twice the rated torque and full rated speed are no faults."""
    q = Q_MAX * np.array([1, -1, 1, -1, 1, -1, 1])
    assert rig.tick(READY, q=q, tau_measured=2 * TAU_MAX).valid
    assert rig.tick(READY, q=q - np.sign(q) * 1.4e-3).valid
    assert rig.arm.health().rejected == {}


def test_a_true_position_after_a_false_first_one_is_accepted_in_time(rig: Rig) -> None:
    """A first frame that lied does not keep the truth out for longer than 50 periods."""
    rig.tick(WAIT, q=np.zeros(7))
    valid = [rig.tick(WAIT, q=Q0).valid for _ in range(51)]
    assert not valid[0]
    assert valid[-1]


def test_invalid_frames_are_still_answered_in_monitoring(rig: Rig) -> None:
    """Plausibility is our business; the link is kept alive all the same."""
    rig.tick(READY, q=np.full(7, np.nan))
    assert len(rig.controller.answers()) == 1
