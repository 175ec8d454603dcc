"""Limits that move with the variance: never looser than the fixed ones, most careful where nothing is known."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safety.faults import FaultCode
from safety.limits import LimitsError
from safety.variance import (
    VarianceMonitor,
    VarianceParams,
    contact_threshold,
    deviation,
    doubt,
    gains_beyond,
    lowered,
    usable,
)

PERIOD = 0.001
BAD = (math.nan, math.inf, -math.inf, -1e-300, -1.0)
hards = st.floats(1e-3, 1e4)
shares = st.floats(1e-3, 1.0)
widths = st.floats(1e-2, 100.0)
anything = st.floats(allow_nan=True, allow_infinity=True)
variances = st.lists(anything, min_size=3, max_size=3)


@given(hards, shares, widths, anything)
@example(10.0, 0.25, 5.0, math.nan)
@example(10.0, 0.25, 5.0, math.inf)
@example(10.0, 0.25, 5.0, -1.0)
@example(10.0, 0.25, 5.0, 1e308)
@settings(max_examples=200, deadline=None)
def test_a_threshold_is_never_looser_than_the_hard_one(hard, share, width, sd):
    threshold = contact_threshold(hard, share, width, sd)
    assert math.isfinite(threshold)
    assert share * hard <= threshold <= hard
    if not (math.isfinite(sd) and sd >= 0.0):
        assert threshold == share * hard


@given(hards, shares, anything)
@example(1.0, 0.5, math.nan)
@example(1.0, 0.5, -1e-9)
@example(1.0, 0.5, 1.0000001)
@settings(max_examples=200, deadline=None)
def test_a_lowered_limit_is_never_looser_than_the_hard_one(hard, share, value):
    limit = lowered(hard, share, value)
    assert share * hard <= limit <= hard
    if not 0.0 <= value <= 1.0:
        assert limit == share * hard


@given(hards, shares, widths, st.floats(0.0, 1e5), st.floats(0.0, 1e5))
@settings(max_examples=200, deadline=None)
def test_more_variance_is_more_doubt_and_less_speed(hard, share, width, a, b):
    low, high = sorted((a, b))
    less, more = doubt(hard, share, width, low), doubt(hard, share, width, high)
    assert 0.0 <= less <= more <= 1.0
    assert lowered(hard, share, more) <= lowered(hard, share, less)
    assert contact_threshold(hard, share, width, low) <= contact_threshold(hard, share, width, high)


@pytest.mark.parametrize("bad", BAD)
def test_what_says_nothing_is_full_doubt(bad):
    assert not usable(bad)
    assert doubt(10.0, 0.25, 5.0, bad) == 1.0
    assert math.isnan(deviation(bad))
    assert contact_threshold(10.0, 0.25, 5.0, bad) == 2.5


def test_the_way_between_the_ends():
    assert usable(0.0)
    assert deviation(4.0) == 2.0
    assert contact_threshold(10.0, 0.25, 5.0, 0.5) == 2.5
    assert contact_threshold(10.0, 0.25, 5.0, 0.6) == 3.0
    assert contact_threshold(10.0, 0.25, 5.0, 2.0) == 10.0
    assert contact_threshold(10.0, 0.25, 5.0, 2.1) == 10.0
    assert doubt(10.0, 0.25, 5.0, 0.5) == 0.0
    assert doubt(10.0, 0.25, 5.0, 1.25) == pytest.approx(0.5)
    assert doubt(10.0, 0.25, 5.0, 2.0) == 1.0
    assert doubt(10.0, 1.0, 5.0, 1.9) == 0.0, "no way between: the share is the whole"
    assert doubt(10.0, 1.0, 5.0, 2.0) == 1.0
    assert lowered(2.0, 0.5, 0.0) == 2.0
    assert lowered(2.0, 0.5, 0.5) == 1.5
    assert lowered(2.0, 0.5, 1.0) == 1.0


@pytest.mark.parametrize(
    ("gain", "beyond"),
    [(0.0, False), (100.0, False), (100.0001, True), (-1e-9, True), (math.nan, True), (math.inf, True)],
)
def test_gains_have_a_hard_bound(gain, beyond):
    assert gains_beyond([50.0, gain], [100.0, 100.0]) == ([1] if beyond else [])


@pytest.mark.parametrize("name", ["width", "torque_share", "speed_share", "time"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 101.0])
def test_params_out_of_range_are_refused(name, bad):
    with pytest.raises(LimitsError, match=name):
        VarianceParams(**{name: bad})


def monitor(**changes):
    args = {"torque_hard": [10.0, 20.0, 5.0], "speed_hard": [1.0, 2.0, 3.0], "force_hard": 20.0, "period": PERIOD}
    return VarianceMonitor(**(args | changes))


@pytest.mark.parametrize(
    "change",
    [
        {"speed_hard": [1.0, 2.0]},
        {"gain_hard": [1.0]},
        {"torque_hard": [10.0, math.inf, 5.0]},
        {"torque_hard": [10.0, 0.0, 5.0]},
        {"speed_hard": [1.0, math.nan, 3.0]},
        {"gain_hard": [1.0, -1.0, 1.0]},
        {"force_hard": 0.0},
        {"force_hard": math.nan},
        {"force_hard": -1.0},
        {"period": 0.0},
    ],
)
def test_hard_limits_that_cannot_be_used_are_refused(change):
    with pytest.raises(LimitsError):
        monitor(**change)


def test_before_anything_is_known_the_limits_are_the_lowest():
    m = monitor()
    assert m.thresholds == [2.5, 5.0, 1.25]
    assert m.force == 5.0
    assert m.speeds == [0.5, 1.0, 1.5]


@given(variances, anything, st.none() | variances)
@settings(max_examples=200, deadline=None)
def test_whatever_the_models_say_nothing_is_looser(observed, force, feed_forward):
    m = monitor()
    m.update(observed, force, feed_forward)
    assert all(0.25 * hard <= t <= hard for t, hard in zip(m.thresholds, (10.0, 20.0, 5.0), strict=True))
    assert 5.0 <= m.force <= 20.0
    assert all(0.5 * hard <= v <= hard for v, hard in zip(m.speeds, (1.0, 2.0, 3.0), strict=True))
    hard, sds = (10.0, 20.0, 5.0), [deviation(v) for v in observed]
    assert m.thresholds == [contact_threshold(h, 0.25, 5.0, sd) for h, sd in zip(hard, sds, strict=True)]
    pairs = [*zip(hard, sds, strict=True), *(zip(hard, feed_forward, strict=True) if feed_forward else ())]
    assert m.doubt == max(doubt(h, 0.25, 5.0, sd) for h, sd in pairs)
    assert m.speeds == pytest.approx([lowered(v, 0.5, m.doubt) for v in (1.0, 2.0, 3.0)])
    said = [*observed, *(feed_forward or [])]
    if any(not (math.isfinite(x) and x >= 0.0) for x in said):
        assert m.speeds == [0.5, 1.0, 1.5]


def test_sure_models_give_low_thresholds_and_full_speed():
    m = monitor()
    m.update([0.01, 0.04, 0.0], 0.25, None)
    assert m.thresholds == [2.5, 5.0, 1.25]
    assert m.doubt == 0.0
    assert m.speeds == [1.0, 2.0, 3.0]
    m.update([0.01, 4.0, 0.0], 4.0, None)
    assert m.thresholds == [2.5, 10.0, 1.25]
    assert m.force == 10.0
    assert m.doubt == pytest.approx((10.0 - 5.0) / 15.0)


def test_the_largest_doubt_of_all_models_counts():
    m = monitor()
    m.update([0.0] * 3, 0.0, [0.0, 0.0, 0.625])
    assert m.doubt == pytest.approx(0.5)
    assert m.speeds == pytest.approx([0.75, 1.5, 2.25])
    assert m.thresholds == [2.5, 5.0, 1.25], "a learnt torque says nothing of the observer's band"


def test_vectors_of_the_wrong_length_are_full_doubt():
    m = monitor()
    m.update([0.0] * 2, 0.0, None)
    assert (m.doubt, m.thresholds) == (1.0, [2.5, 5.0, 1.25])
    m.update([0.0] * 3, 0.0, [0.0] * 2)
    assert m.doubt == 1.0


def test_without_a_model_of_the_observer_the_thresholds_are_the_fixed_ones():
    m = monitor()
    m.update(None, math.nan, None)
    assert (m.thresholds, m.force, m.doubt, m.speeds) == ([10.0, 20.0, 5.0], 20.0, 0.0, [1.0, 2.0, 3.0])
    m.update(None, math.nan, [0.0, 0.0, math.nan])
    assert (m.thresholds, m.doubt, m.speeds) == ([10.0, 20.0, 5.0], 1.0, [0.5, 1.0, 1.5])
    m.update([0.0] * 3, 0.0, None)
    assert m.thresholds == [2.5, 5.0, 1.25]
    m.thresholds[0] = 99.0
    m.update(None, 0.0, None)
    assert m.thresholds[0] == 10.0


def test_infinity_switches_the_force_off():
    m = monitor(force_hard=math.inf)
    m.update([0.0] * 3, math.nan, None)
    assert m.force == math.inf


def ticks(m, qd, count):
    found = []
    for tick in range(count):
        found = m.check(qd, tick, tick * 1_000_000)
    return found


def test_a_speed_may_be_beyond_its_lowered_limit_for_a_moment():
    m = monitor()
    m.update([0.0, 0.0, math.nan], 0.0, None)
    assert ticks(m, [0.51, 0.0, 0.0], 50) == []
    (report,) = ticks(m, [0.51, 0.0, 0.0], 1)
    assert (report.code, report.joint, report.value, report.limit) == (FaultCode.SPEED_DOUBT, 0, 0.51, 0.5)
    assert "100%" in report.detail


def test_the_moment_begins_anew():
    m = monitor()
    m.update([0.0, 0.0, math.nan], 0.0, None)
    ticks(m, [0.51, 0.0, 0.0], 50)
    ticks(m, [0.5, 0.0, 0.0], 1)
    assert ticks(m, [0.51, 0.0, 0.0], 50) == []
    m.reset()
    assert ticks(m, [0.51, 0.0, 0.0], 50) == []


def test_all_joints_are_told_and_what_is_not_finite_is_beyond():
    m = monitor()
    assert [r.joint for r in ticks(m, [9.0, math.nan, -math.inf], 51)] == [0, 1, 2]


def test_gains_are_judged_where_a_bound_is_stated():
    kp = np.array([10.0, 200.0, math.nan])
    assert monitor().check([0.0] * 3, 1, 2, kp) == []
    found = monitor(gain_hard=[100.0] * 3).check([0.0] * 3, 1, 2, kp)
    assert [(r.joint, r.limit) for r in found] == [(1, 100.0), (2, 100.0)]
    assert {r.code for r in found} == {FaultCode.GAIN_BOUND}
    assert monitor(gain_hard=[100.0] * 3).check([0.0] * 3, 1, 2) == []
