"""The closed form of a stop, against its differential equation and against stops that are really braked."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_rig import LIMITS, PERIOD, Q, at, sample, traits

from drivers.contract import StopCategory
from safety.faults import FaultCode
from safety.limits import LimitsError
from safety.prediction import REACTION_TICKS, RestPrediction
from safety.stopping import STANDING, BrakingLaw, stop_from, stop_of, worst_stop_of
from safety.stops import StepKind, StopParams

from test_stops import SPEED, M, PaperArm  # isort: skip

LAW = BrakingLaw(30.0, 0.5, LIMITS.tau_rate_max.tolist(), LIMITS.tau_cmd_max.tolist(), 0.002)


def integrated(law, momentum, dt=1e-5):
    """Path and duration of the braking alone, by small steps."""
    sizes = [abs(p) for p in momentum]
    s, path, t, duration = 1.0, 0.0, 0.0, 0.0
    while s > 1e-6 and t < 20.0:
        gain = law.damping
        for size, rate, torque in zip(sizes, law.tau_rate_max, law.tau_max, strict=True):
            if size > 0.0:
                gain = min(gain, math.sqrt(2 * law.rate_share * rate / (size * s)), torque / (size * s))
        path += s * dt
        s -= gain * s * dt
        t += dt
        if s > STANDING:
            duration = t
    return path, duration


@pytest.mark.parametrize(
    ("damping", "rates", "torques", "momentum"),
    [
        (30.0, [1000.0, 500.0], [160.0, 55.0], [0.1, 0.02]),  # damping alone
        (30.0, [1000.0, 500.0], [160.0, 55.0], [12.0, 0.1]),  # the rate, then damping
        (30.0, [1e6, 1e6], [20.0, 20.0], [5.0, -3.0]),  # the torque, then damping
        (30.0, [1000.0, 500.0], [20.0, 55.0], [12.0, 0.1]),  # torque, rate, damping
        (2.0, [1000.0], [160.0], [1.0]),
    ],
)
def test_the_closed_form_is_the_integral(damping, rates, torques, momentum):
    law = BrakingLaw(damping, 0.5, rates, torques, 0.0)
    gain = min(
        damping,
        *(math.sqrt(rate / abs(p)) for rate, p in zip(rates, momentum, strict=True)),
        *(torque / abs(p) for torque, p in zip(torques, momentum, strict=True)),
    )
    rise = max(gain * abs(p) / rate for rate, p in zip(rates, momentum, strict=True))
    stop = stop_from(law, momentum)
    path, duration = integrated(law, momentum)
    assert stop.path == pytest.approx(path + rise, rel=2e-3)
    assert stop.duration == pytest.approx(duration + rise, rel=2e-3)


def test_an_arm_at_rest_needs_the_reaction_only_for_the_path_of_damping():
    stop = stop_from(LAW, [0.0] * 7)
    assert stop.path == pytest.approx(0.002 + 1 / 30)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_cannot_be_stopped(bad):
    for law, momentum in (
        (LAW, [bad] + [0.0] * 6),
        (dataclasses.replace(LAW, tau_max=[bad] + [1.0] * 6), [0.1] * 7),
        (dataclasses.replace(LAW, tau_rate_max=[bad] + [1.0] * 6), [0.1] * 7),
        (dataclasses.replace(LAW, damping=bad), [0.1] * 7),
        (dataclasses.replace(LAW, reaction=bad), [0.1] * 7),
    ):
        assert stop_from(law, momentum).path == math.inf
        assert stop_from(law, momentum).duration == math.inf


@pytest.mark.parametrize("change", [{"tau_max": [0.0] + [1.0] * 6}, {"tau_rate_max": [0.0] + [1.0] * 6},
                                    {"tau_max": [-1.0] + [1.0] * 6}, {"damping": 0.0}])  # fmt: skip
def test_without_torque_there_is_no_stop(change):
    assert stop_from(dataclasses.replace(LAW, **change), [0.1] * 7).path == math.inf


momenta = st.lists(st.floats(-50.0, 50.0), min_size=7, max_size=7)


@given(momenta, st.floats(1.0, 10.0))
@settings(max_examples=60, deadline=None)
def test_more_momentum_never_stops_earlier(momentum, factor):
    slow, fast = stop_from(LAW, momentum), stop_from(LAW, [factor * p for p in momentum])
    assert fast.path >= slow.path - 1e-12
    assert fast.duration >= slow.duration - 1e-12
    assert slow.path >= LAW.reaction + 1 / LAW.damping - 1e-12


@given(momenta, st.floats(0.1, 1.0))
@settings(max_examples=60, deadline=None)
def test_less_torque_never_stops_earlier(momentum, share):
    """But for the time in which torque rises, which is taken as lost: less torque has risen earlier."""
    quick = dataclasses.replace(LAW, tau_rate_max=[1e9] * 7)
    weak = dataclasses.replace(quick, tau_max=[share * tau for tau in LAW.tau_max])
    assert stop_from(weak, momentum).path >= stop_from(quick, momentum).path - 1e-6


def test_the_worst_of_all_directions_is_no_better_than_any():
    rng = np.random.default_rng(0)
    worst = worst_stop_of(LAW, M, np.abs(SPEED))
    for _ in range(50):
        assert stop_of(LAW, M, np.abs(SPEED) * rng.uniform(-1.0, 1.0, 7)).path <= worst.path + 1e-12


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_braked_arm_stays_within_the_predicted_distance(share):
    """Through stop controller, saturation and gate."""
    arm = PaperArm(qd=share * SPEED)
    path = RestPrediction(LIMITS, traits(), StopParams()).stop(M, np.zeros(7), arm.qd).path
    arm.stop.begin(StopCategory.STOP_THEN_OFF, arm.sample())
    for _ in range(1000):
        if arm.tick().kind is StepKind.OFF:
            break
    moved = np.abs(arm.q - Q)
    assert (moved <= path * np.abs(share * SPEED)).all()
    assert (moved >= 0.3 * path * np.abs(share * SPEED)).any(), "not absurdly careful either"


def rest(**changes):
    return RestPrediction(LIMITS, traits(**changes))


def test_an_arm_that_could_not_stop_before_the_end_is_told():
    """Right at the distance and right beyond it, on both ends."""
    monitor, speed = rest(), 0.8
    path = monitor.stop(M, np.zeros(7), at(0, speed)).path
    end = float(LIMITS.q_max[0])
    for sign in (1.0, -1.0):
        for room, faults in ((1e-6, 0), (-1e-6, 1)):
            on = sample(q=at(0, sign * (end - path * speed - room), Q), qd=at(0, sign * speed))
            found = monitor.check(on, M, np.zeros(7), on.t_ns)
            assert len(found) == faults
            for report in found:
                assert (report.code, report.joint, report.unit) == (FaultCode.BRAKING_DISTANCE, 0, "rad")
                assert report.limit == sign * end
                assert abs(report.value) > end
                assert "rad/s" in report.detail


def test_all_joints_are_told_and_none_hides_another():
    q = LIMITS.q_max - 0.001
    found = rest().check(sample(q=q, qd=np.full(7, 0.5)), M, np.zeros(7), 0)
    assert [report.joint for report in found] == list(range(7))


def test_away_from_the_end_any_speed_is_allowed():
    assert rest().check(sample(q=LIMITS.q_max - 0.001, qd=np.full(7, -0.5)), M, np.zeros(7), 0) == []


def test_an_arm_at_rest_at_the_end_is_no_news_here():
    assert rest().check(sample(q=LIMITS.q_max.copy()), M, np.zeros(7), 0) == []


def test_what_is_not_finite_is_left_to_the_state_checks():
    for change in ({"q": at(1, math.nan)}, {"qd": at(1, math.inf)}, {"qd": np.zeros(6)}):
        assert rest().check(sample(**change), M, np.zeros(7), 0) == []


def test_a_model_that_is_not_finite_cannot_promise_a_stop():
    found = rest().check(sample(qd=at(3, 0.1)), np.full((7, 7), math.nan), np.zeros(7), 0)
    assert [report.joint for report in found] == [3]
    assert found[0].value == math.inf


def test_weight_that_is_ours_leaves_less_torque_for_braking():
    heavy = 0.9 * LIMITS.tau_cmd_max
    qd = at(1, 1.4)
    ours, robots = rest(adds=frozenset()), rest(adds=frozenset({"gravity"}))
    assert ours.stop(M, heavy, qd).path > robots.stop(M, heavy, qd).path
    assert ours.stop(M, np.zeros(7), qd).path == robots.stop(M, heavy, qd).path
    assert ours.stop(M, LIMITS.tau_cmd_max, qd).path == math.inf


def test_the_reaction_is_counted_in_cycles():
    slow = rest(period=0.005)
    assert slow.stop(M, np.zeros(7), np.zeros(7)).path == pytest.approx(REACTION_TICKS * 0.005 + 1 / 30)
    assert rest().stop(M, np.zeros(7), np.zeros(7)).path == pytest.approx(REACTION_TICKS * PERIOD + 1 / 30)


def test_limits_and_arm_must_agree():
    with pytest.raises(LimitsError, match="7 joints"):
        RestPrediction(LIMITS, traits(n=6))
