"""State checks: each alone and at its boundary, all collected."""

import dataclasses
import math

import numpy as np
import pytest
from safety_rig import LIMITS, MS, PERIOD, N, Q, at, health, sample, traits, wrench

from drivers.contract import ArmState, SafetyState
from safety.faults import FaultCode
from safety.limits import LimitsError
from safety.monitors import MonitorParams, StateMonitor

NOW = 10 * MS
NAN, INF = math.nan, math.inf
DEGREE = math.radians(1.0)


def check(on=None, link=None, now_ns=NOW, enabled=True, sensor=None, params=None, **changes):
    monitor = StateMonitor(LIMITS, traits(**changes), params)
    return monitor.check(on or sample(), link or health(), now_ns, enabled, sensor)


def codes(faults):
    return [fault.code for fault in faults]


@pytest.mark.parametrize("enabled", [True, False])
def test_a_sound_cell_has_no_faults(enabled):
    assert check(enabled=enabled) == []
    assert check(enabled=enabled, sensor=wrench()) == []


def test_invalid_sample():
    assert codes(check(sample(valid=False))) == [FaultCode.SAMPLE_INVALID]


def test_before_the_first_frame_nothing_reads_as_zeros():
    nan = np.full(N, NAN)
    first = sample(seq=-1, valid=False, fresh=False, age_ns=-1, q=nan, qd=nan, tau=nan, state=ArmState.DISCONNECTED)
    assert codes(check(first, enabled=False)) == [FaultCode.SAMPLE_INVALID, FaultCode.SAMPLE_STALE]


@pytest.mark.parametrize("name", ["q", "qd", "tau"])
@pytest.mark.parametrize("bad", [NAN, INF])
def test_values_that_are_not_finite_are_reported_and_not_compared(name, bad):
    (fault,) = check(sample(**{name: at(4, bad, Q if name == "q" else None)}))
    assert (fault.code, fault.joint) == (FaultCode.SAMPLE_INVALID, 4)


@pytest.mark.parametrize("name", ["q", "qd", "tau"])
def test_vectors_of_the_wrong_shape(name):
    assert codes(check(sample(**{name: np.zeros(6)}))) == [FaultCode.SAMPLE_INVALID]


def test_stale_after_five_milliseconds_or_three_ticks():
    assert check(sample(age_ns=5 * MS)) == []
    (fault,) = check(sample(age_ns=5 * MS + 1))
    assert (fault.code, fault.limit) == (FaultCode.SAMPLE_STALE, pytest.approx(0.005))
    assert fault.value == pytest.approx(0.005)
    assert codes(check(sample(age_ns=2 * MS + 1), now_ns=NOW + 3 * MS)) == [FaultCode.SAMPLE_STALE]
    assert check(sample(age_ns=30 * MS), period=0.010) == []
    assert codes(check(sample(age_ns=30 * MS + 1), period=0.010)) == [FaultCode.SAMPLE_STALE]
    strict = MonitorParams(max_age_ticks=1.0, max_age=0.0)
    assert codes(check(sample(age_ns=MS + 1), params=strict)) == [FaultCode.SAMPLE_STALE]


@pytest.mark.parametrize("joint", range(N))
def test_position_ends_one_degree_before_the_range(joint):
    for end, inward in ((LIMITS.q_min[joint] + DEGREE, 1.0), (LIMITS.q_max[joint] - DEGREE, -1.0)):
        assert check(sample(q=at(joint, end, Q))) == []
        (fault,) = check(sample(q=at(joint, math.nextafter(end, end - inward), Q)))
        assert (fault.code, fault.joint, fault.limit) == (FaultCode.POSITION_RANGE, joint, pytest.approx(end))


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("name", "limit", "code"),
    [("qd", LIMITS.qd_max, FaultCode.VELOCITY), ("tau", LIMITS.tau_max, FaultCode.TORQUE_MEASURED)],
)
def test_speed_and_measured_torque(joint, sign, name, limit, code):
    edge = sign * float(limit[joint])
    assert check(sample(**{name: at(joint, edge)})) == []
    (fault,) = check(sample(**{name: at(joint, math.nextafter(edge, 2 * edge))}))
    assert (fault.code, fault.joint, fault.limit) == (code, joint, limit[joint])


def test_fractions_tighten_speed_and_torque():
    params = MonitorParams(speed_fraction=0.5, torque_fraction=0.5)
    assert codes(check(sample(qd=at(0, 0.8)), params=params)) == [FaultCode.VELOCITY]
    assert codes(check(sample(tau=at(0, 161.0)), params=params)) == [FaultCode.TORQUE_MEASURED]


@pytest.mark.parametrize("state", [s for s in ArmState if s is not ArmState.COMMANDED])
def test_link_left_commanded(state):
    (fault,) = check(sample(state=state))
    assert fault.code is FaultCode.LINK_LOST
    assert state.name in fault.detail
    assert check(sample(state=state), enabled=False) == []


@pytest.mark.parametrize("state", [SafetyState.STOP_0, SafetyState.STOP_1, SafetyState.STOP_2])
@pytest.mark.parametrize("enabled", [True, False])
def test_robots_own_safety_stop_counts_always(state, enabled):
    (fault,) = check(link=health(safety=state), enabled=enabled)
    assert fault.code is FaultCode.ROBOT_SAFETY
    assert state.name in fault.detail


def test_quality_below_good():
    for good in (2.0 / 3.0, 0.6667, 0.6666, 1.0):
        assert check(link=health(quality=good)) == []
    for poor in (0.66, 1.0 / 3.0, 0.0, -INF):
        assert codes(check(link=health(quality=poor))) == [FaultCode.LINK_QUALITY]
        assert check(link=health(quality=poor), enabled=False) == []


def test_drives_off():
    assert codes(check(link=health(drives_on=False))) == [FaultCode.DRIVES_OFF]
    assert check(link=health(drives_on=False), enabled=False) == []


@pytest.mark.parametrize(
    ("what", "unknown", "code"),
    [
        ("safety", {"safety": SafetyState.UNKNOWN}, FaultCode.ROBOT_SAFETY),
        ("quality", {"quality": NAN}, FaultCode.LINK_QUALITY),
        ("drives", {"drives_on": None}, FaultCode.DRIVES_OFF),
    ],
)
def test_what_a_device_does_not_state_is_a_fault_unless_it_never_does(what, unknown, code):
    (fault,) = check(link=health(**unknown))
    assert fault.code is code
    assert "does not state" in fault.detail
    assert check(link=health(**unknown), enabled=False) == []
    assert check(link=health(**unknown), params=MonitorParams(not_stated=frozenset({what}))) == []


def test_sensor_invalid():
    (fault,) = check(sensor=wrench(valid=False, flags=frozenset({"overrange", "error"})))
    assert (fault.code, fault.detail) == (FaultCode.SENSOR_INVALID, "error, overrange")
    for bad in (np.array([0, 0, NAN, 0, 0, 0]), np.zeros(5), np.full(6, INF)):
        assert codes(check(sensor=wrench(wrench=bad))) == [FaultCode.SENSOR_INVALID]


def test_sensor_stale():
    assert check(sensor=wrench(age_ns=100 * MS)) == []
    (fault,) = check(sensor=wrench(age_ns=100 * MS + 1))
    assert (fault.code, fault.limit) == (FaultCode.SENSOR_STALE, 0.1)
    assert fault.value == pytest.approx(0.1)
    assert codes(check(on=sample(t_ns=NOW + 99 * MS), now_ns=NOW + 99 * MS, sensor=wrench(age_ns=2 * MS))) == [
        FaultCode.SENSOR_STALE
    ]
    assert codes(check(sensor=wrench(age_ns=-1))) == [FaultCode.SENSOR_STALE]
    assert codes(check(sensor=wrench(age_ns=20 * MS), params=MonitorParams(sensor_max_age=0.01))) == [
        FaultCode.SENSOR_STALE
    ]


def test_up_to_date_means_neither_arm_nor_sensor_is_older_than_the_checks_allow():
    monitor = StateMonitor(LIMITS, traits(), None)
    assert monitor.up_to_date(sample(age_ns=5 * MS), None, NOW)
    assert monitor.up_to_date(sample(), wrench(age_ns=100 * MS), NOW)
    assert not monitor.up_to_date(sample(age_ns=5 * MS + 1), None, NOW)
    assert not monitor.up_to_date(sample(age_ns=-1), None, NOW)
    assert not monitor.up_to_date(sample(), wrench(age_ns=100 * MS + 1), NOW)
    assert not monitor.up_to_date(sample(), wrench(age_ns=-1), NOW)


def test_a_sensor_that_the_motion_does_not_need_is_not_judged():
    assert check(sensor=None) == []


def test_all_faults_are_collected():
    on = sample(valid=False, age_ns=MS * 9, q=at(0, 9.0), qd=at(1, 9.0), tau=at(6, 99.0), state=ArmState.READY)
    link = health(safety=SafetyState.STOP_1, quality=0.0, drives_on=False)
    found = codes(check(on, link, sensor=wrench(valid=False, age_ns=200 * MS)))
    assert found == [
        FaultCode.SAMPLE_INVALID,
        FaultCode.SAMPLE_STALE,
        FaultCode.POSITION_RANGE,
        FaultCode.VELOCITY,
        FaultCode.TORQUE_MEASURED,
        FaultCode.ROBOT_SAFETY,
        FaultCode.LINK_LOST,
        FaultCode.LINK_QUALITY,
        FaultCode.DRIVES_OFF,
        FaultCode.SENSOR_STALE,
        FaultCode.SENSOR_INVALID,
    ]


def test_sizes_that_disagree_are_refused_at_once():
    with pytest.raises(LimitsError):
        StateMonitor(LIMITS, traits(n=6))


def test_defaults_are_the_stated_ones():
    params = MonitorParams()
    assert (params.max_age_ticks, params.max_age, params.sensor_max_age) == (3.0, 0.005, 0.1)
    assert params.quality_min == pytest.approx(2 / 3)
    assert dataclasses.replace(params).not_stated == frozenset()
    assert PERIOD == 0.001
