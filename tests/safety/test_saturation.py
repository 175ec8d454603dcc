"""Soft saturation: each limit reported by name, nothing masked, rate kept where limits exclude each other."""

import dataclasses
import math

import numpy as np
import pytest
from safety_rig import LIMITS, MS, ZERO, N, Q, at, sample, traits

from drivers.contract import PassedCommand, TorqueCommand
from safety.gate import CommandGate, Refusal
from safety.limits import LimitsError
from safety.saturation import LimitedBy, Saturation

NOW = 10 * MS
WIDE = dataclasses.replace(LIMITS, tau_rate_max=np.full(N, 1e9), tau_window_max=np.full(N, 1e9))


def apply(tau=ZERO, q_ref=Q, on=None, g=ZERO, limits=LIMITS, stiffness=ZERO, **changes):
    return Saturation(limits, traits(**changes), stiffness).apply(tau, q_ref, on or sample(), g, NOW)


def test_what_is_within_limits_is_left_alone():
    wish, ref = at(2, 0.4), at(3, Q[3] + 1e-4, Q)
    tau, q_ref, limited = apply(wish, ref)
    assert tau.tolist() == wish.tolist()
    assert q_ref.tolist() == ref.tolist()
    assert limited.tolist() == [0] * N
    assert limited.dtype.kind == "i"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_magnitude(sign):
    tau, _, limited = apply(at(0, sign * 500.0), limits=WIDE)
    assert tau[0] == pytest.approx(sign * 160.0, rel=1e-8)
    assert limited.tolist() == at(0, LimitedBy.MAGNITUDE).tolist()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_total(sign):
    tau, _, limited = apply(at(0, sign * 150.0), g=at(0, sign * 200.0), limits=WIDE)
    assert tau[0] == pytest.approx(sign * 88.0, rel=1e-8)
    assert limited.tolist() == at(0, LimitedBy.TOTAL).tolist()
    tau, _, limited = apply(at(0, sign * 150.0), g=at(0, sign * 200.0), limits=WIDE, adds=frozenset())
    assert tau[0] == sign * 150.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_total_counts_the_spring(sign):
    """The spring pulls with 2000 N·m/rad · 0.05 rad; 288 N·m are allowed in all, of which gravity takes 150."""
    on = sample(q=at(0, Q[0] - sign * 0.05, Q))
    wish = at(0, sign * 150.0)
    tau, _, limited = apply(wish, on=on, g=wish, limits=WIDE, stiffness=np.full(N, 2000.0))
    assert tau[0] == pytest.approx(sign * 38.0, rel=1e-6)
    assert limited[0] == LimitedBy.TOTAL


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rate(sign):
    tau, _, limited = apply(at(5, sign * 5.0))
    assert tau[5] == pytest.approx(sign * 0.3, rel=1e-8)
    assert limited.tolist() == at(5, LimitedBy.RATE).tolist()


def test_window():
    tight = dataclasses.replace(LIMITS, tau_window_max=np.full(N, 0.5))
    tau, _, limited = apply(at(1, 0.9), limits=tight)
    assert tau[1] == pytest.approx(0.5, rel=1e-8)
    assert limited.tolist() == at(1, LimitedBy.WINDOW).tolist()


def test_reference_keeps_range_step_and_distance():
    _, q_ref, limited = apply(q_ref=Q + 1.0)
    assert q_ref == pytest.approx(Q + LIMITS.qd_max * 0.001, rel=1e-6)
    assert limited.tolist() == [LimitedBy.REFERENCE] * N
    edge = at(0, LIMITS.q_max[0], Q)
    _, q_ref, _ = apply(q_ref=at(0, 9.0, Q), on=sample(q=edge, q_ref_accepted=edge))
    assert q_ref[0] == LIMITS.q_max[0]
    edge = at(0, LIMITS.q_min[0], Q)
    _, q_ref, _ = apply(q_ref=at(0, -9.0, Q), on=sample(q=edge, q_ref_accepted=edge))
    assert q_ref[0] == LIMITS.q_min[0]
    _, q_ref, _ = apply(q_ref=Q, on=sample(q=at(0, Q[0] + 0.1005, Q)))
    assert q_ref[0] == pytest.approx(Q[0] + 0.0005, abs=1e-8)


def test_a_spring_gets_half_of_the_rate():
    tau, q_ref, limited = apply(at(0, 9.0), Q + 1.0, stiffness=np.full(N, 2000.0))
    assert 2000.0 * (q_ref[0] - Q[0]) == pytest.approx(0.5, rel=1e-6)
    assert tau[0] == pytest.approx(0.5, rel=1e-6)
    assert limited[0] == LimitedBy.RATE | LimitedBy.REFERENCE


def test_a_controller_at_its_limit_goes_on():
    """One second of a constant wish far beyond the limits: every tick passes, the torque arrives, the limit shows."""
    gate, saturation = CommandGate(LIMITS, traits(), ZERO), Saturation(LIMITS, traits(), ZERO)
    acting, names = ZERO, set()
    for tick in range(1000):
        now = NOW + tick * MS
        on = sample(t_ns=now, tau_accepted_lo=acting, tau_accepted_hi=acting)
        tau, q_ref, limited = saturation.apply(np.full(N, 1e4), Q, on, ZERO, now)
        verdict = gate.judge(TorqueCommand(tau, q_ref), on, ZERO, now_ns=now, permitted=True)
        assert isinstance(verdict, PassedCommand)
        acting = verdict.command.tau
        names |= set(limited.tolist())
        if tick == 250:
            assert acting == pytest.approx(LIMITS.tau_cmd_max, rel=1e-6), "about 0.9 of the rate while it rises"
    assert acting == pytest.approx(LIMITS.tau_cmd_max, rel=1e-6)
    assert LimitedBy.MAGNITUDE in names
    assert any(flags & LimitedBy.RATE for flags in names)


def test_where_limits_exclude_each_other_the_rate_is_kept_and_the_gate_decides():
    """The arm itself has moved into a posture where even the acting torque is too much."""
    on = sample(tau_accepted_lo=at(5, 10.0), tau_accepted_hi=at(5, 10.0))
    g = at(5, 35.0)
    tau, q_ref, limited = apply(at(5, 10.0), on=on, g=g)
    assert tau[5] == pytest.approx(9.7, rel=1e-6), "as near to the total's limit as the rate allows"
    assert limited[5] & LimitedBy.TOTAL
    assert limited[5] & LimitedBy.RATE
    verdict = CommandGate(LIMITS, traits(), ZERO).judge(TorqueCommand(tau, q_ref), on, g, now_ns=NOW, permitted=True)
    assert isinstance(verdict, Refusal)
    assert [fault.code.value for fault in verdict.faults] == ["torque_total"]


@pytest.mark.parametrize("name", ["q", "tau_accepted_lo", "tau_accepted_hi", "q_ref_accepted"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_state_that_is_not_finite_leaves_that_joint_to_the_gate(name, bad):
    saturation = Saturation(LIMITS, traits(), ZERO)
    wish = np.full(N, 1e3)
    tau, _, limited = saturation.apply(wish, Q, sample(**{name: at(2, bad)}), ZERO, NOW)
    assert tau[2] == 1e3
    assert limited[2] == 0
    assert (np.delete(tau, 2) <= 1.0).all()
    tau, _, _ = saturation.apply(wish, Q, sample(), ZERO, NOW + MS)
    assert np.isfinite(saturation._acted._low).all()
    assert np.isfinite(saturation._acted._high).all()
    assert (tau <= 1.0).all(), "and does not spoil the window of later ticks"


@pytest.mark.parametrize("bad", [np.zeros(3), None, np.zeros(N, np.float32)])
def test_a_wish_of_the_wrong_shape_is_left_to_the_gate(bad):
    tau, q_ref, limited = apply(tau=bad)
    assert tau is bad
    assert q_ref is Q
    assert limited.tolist() == [0] * N


def test_the_wish_is_not_changed_in_place():
    wish, ref = np.full(N, 1e3), Q + 1.0
    apply(wish, ref)
    assert (wish == 1e3).all()
    assert (ref == Q + 1.0).all()


def test_sizes_that_disagree_are_refused_at_once():
    with pytest.raises(LimitsError):
        apply(n=6)
