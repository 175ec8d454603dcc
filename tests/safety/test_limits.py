"""Limits: data with sources, overrides that only tighten, comparisons in which NaN never passes."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safety_rig import LIMITS, MS, N, sample, traits

from safety.limits import (
    IIWA7_R800,
    IIWA14_R820,
    POSITIVE,
    TIGHTER_UPWARDS,
    VECTORS,
    LimitsError,
    WindowExtremes,
    all_finite,
    checked_stiffness,
    exceeds,
    outside,
    predicted_total,
    sample_age_ns,
    vector,
    worst_change,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("limits", "tau", "qd"),
    [
        (IIWA14_R820, [320, 320, 176, 176, 110, 40, 40], [85, 85, 100, 75, 130, 135, 135]),
        (IIWA7_R800, [176, 176, 110, 110, 110, 40, 40], [98, 98, 100, 130, 140, 180, 180]),
    ],
)
def test_presets_are_the_data_sheet(limits, tau, qd):
    assert limits.tau_max.tolist() == tau
    assert np.degrees(limits.qd_max) == pytest.approx(qd)
    assert np.degrees(limits.q_max) == pytest.approx([170, 120, 170, 120, 170, 120, 175])
    assert (limits.q_min == -limits.q_max).all()
    assert (limits.tau_rate_max <= 1000.0).all()
    assert (limits.tau_rate_max[5:] < limits.tau_rate_max[:5].min()).all(), "the wrist is slower"
    assert (limits.tau_window_max <= limits.tau_rate_max * limits.window + 1e-12).all(), "extra ticks gain nothing"
    assert limits.n == 7


def test_every_number_has_a_source():
    for limits in (IIWA14_R820, IIWA7_R800):
        for name in (*VECTORS, "window", "total_margin"):
            assert limits.source[name]
    with pytest.raises(LimitsError, match="tau_max: has no source"):
        dataclasses.replace(LIMITS, source={**LIMITS.source, "tau_max": ""})


def test_limits_are_read_only_and_independent_of_the_arrays_given():
    tau_max = LIMITS.tau_max.copy()
    limits = dataclasses.replace(LIMITS, tau_max=tau_max)
    tau_max[0] = 1e6
    assert limits.tau_max[0] == 320.0
    with pytest.raises(ValueError, match="read-only"):
        limits.tau_max[0] = 1e6
    with pytest.raises(TypeError):
        limits.source["tau_max"] = "me"  # type: ignore[index]


def test_unusable_limits_are_all_named():
    with pytest.raises(LimitsError) as caught:
        dataclasses.replace(LIMITS, tau_max=np.ones(3), qd_max=np.full(N, NAN), window=0.0, total_margin=1.0)
    text = str(caught.value)
    assert len(caught.value.problems) == 5  # a NaN is neither finite nor above zero
    for part in ("tau_max: read shape (3,), expected (7,)", "qd_max: not finite", "window", "total_margin: read 1"):
        assert part in text
    with pytest.raises(LimitsError, match="q_min must lie below q_max"):
        dataclasses.replace(LIMITS, q_min=LIMITS.q_max)


@pytest.mark.parametrize("name", POSITIVE)
def test_a_limit_of_zero_is_refused(name):
    zero = np.zeros(N) if name in VECTORS else 0.0
    with pytest.raises(LimitsError, match=f"{name}: must be above zero"):
        dataclasses.replace(LIMITS, **{name: zero})


@pytest.mark.parametrize("name", [*VECTORS, "window", "total_margin"])
def test_each_limit_tightens_and_does_not_loosen(name):
    old = getattr(LIMITS, name)
    up = name in TIGHTER_UPWARDS
    tighter = old + (0.01 if up else -0.001)
    looser = old + (-0.01 if up else 0.001)
    new = LIMITS.tightened({name: tighter.tolist() if name in VECTORS else tighter})
    assert getattr(new, name) == pytest.approx(tighter)
    assert "tightened" in new.source[name]
    assert str(LIMITS.source[name]) in new.source[name]
    with pytest.raises(LimitsError, match=f"{name}: .*looser"):
        LIMITS.tightened({name: looser.tolist() if name in VECTORS else looser})
    same = LIMITS.tightened({name: old})
    assert getattr(same, name) == pytest.approx(old)


def test_one_number_holds_for_every_joint():
    limits = LIMITS.tightened({"qd_max": 0.5, "tau_cmd_max": (5.0,) * N})
    assert limits.qd_max.tolist() == [0.5] * N
    assert limits.tau_cmd_max.tolist() == [5.0] * N
    assert limits.tau_max is not LIMITS.tau_max
    assert limits.source["tau_max"] == LIMITS.source["tau_max"]


def test_one_looser_joint_spoils_the_override():
    tau = LIMITS.tau_max.copy()
    tau[0], tau[6] = 10.0, np.nextafter(40.0, 100.0)
    with pytest.raises(LimitsError, match="looser"):
        LIMITS.tightened({"tau_max": tau})


@pytest.mark.parametrize("bad", [[1.0] * 6, "12", True, [True] * N, None, [[1.0] * N], {"a": 1}])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(LimitsError, match="expected one number or 7 numbers"):
        LIMITS.tightened({"tau_max": bad})


@pytest.mark.parametrize("bad", [NAN, INF, -INF, [1.0] * 6 + [NAN]])
def test_an_override_that_is_not_finite_is_refused(bad):
    with pytest.raises(LimitsError, match="expected finite"):
        LIMITS.tightened({"tau_max": bad})


def test_all_faults_of_overrides_come_together():
    with pytest.raises(LimitsError) as caught:
        LIMITS.tightened({"tau_max": 1e3, "qd_max": NAN, "window": [1.0, 2.0], "speed": 1.0, "q_max": 2.0})
    assert len(caught.value.problems) == 4, "a q_max of 2.0 rad is tighter on every joint"
    assert "one number" in str(caught.value)
    assert "no such limit" in str(caught.value)


def test_tightening_to_nothing_is_refused():
    with pytest.raises(LimitsError, match="above zero"):
        LIMITS.tightened({"tau_cmd_max": 0.0})


def test_comparisons_at_the_limit():
    """The limit itself is allowed; one step beyond is not; NaN and infinity never are."""
    beyond = math.nextafter(10.0, INF)
    assert not exceeds(10.0, 10.0)
    assert not exceeds(-10.0, 10.0)
    assert exceeds(beyond, 10.0)
    assert exceeds(-beyond, 10.0)
    for bad in (NAN, INF, -INF):
        assert exceeds(bad, 10.0)
        assert outside(bad, -1.0, 1.0)
    assert exceeds(1.0, NAN)
    assert not outside(1.0, -1.0, 1.0)
    assert not outside(-1.0, -1.0, 1.0)
    assert outside(math.nextafter(1.0, 2.0), -1.0, 1.0)
    assert outside(math.nextafter(-1.0, -2.0), -1.0, 1.0)
    assert outside(0.0, NAN, 1.0)
    assert outside(0.0, -1.0, NAN)


def test_finite_is_told_even_where_the_sum_overflows():
    assert all_finite([1.0, -2.0])
    assert all_finite([1e308, 1e308, -1e308])
    for bad in ([NAN, 0.0], [0.0, INF], [INF, -INF], [1e308, 1e308, NAN]):
        assert not all_finite(bad)


def test_change_and_total():
    assert worst_change(3.0, 1.0, 2.0) == 2.0
    assert worst_change(-3.0, 1.0, 2.0) == 5.0
    assert predicted_total(1.0, 20.0, 100.0, -0.5) == -29.0


def test_a_vector_is_taken_only_as_it_should_be():
    assert vector(np.arange(7.0), 7) == list(range(7))
    assert vector(np.arange(14.0)[::2], 7) == list(range(0, 14, 2)), "a strided view is a vector"
    masked = np.ma.masked_array(np.zeros(7))
    for bad in (np.zeros(6), np.zeros((1, 7)), np.zeros(7, np.float32), np.zeros(7, int), [0.0] * 7, None, 1.0, masked):
        assert vector(bad, 7) is None
    assert vector(np.zeros(7, ">f8"), 7) is None


def test_age_of_a_sample():
    assert sample_age_ns(sample(t_ns=10, age_ns=5), 12) == 7
    assert sample_age_ns(sample(t_ns=10, age_ns=5), 8) == 5, "a clock that runs backwards makes nothing younger"
    assert sample_age_ns(sample(t_ns=10, age_ns=-1), 12) is None


def test_stiffness_is_checked_and_counts_only_where_the_robot_adds_it():
    k = np.full(N, 100.0)
    assert checked_stiffness(LIMITS, traits(), k) == [100.0] * N
    assert checked_stiffness(LIMITS, traits(adds=frozenset({"gravity"})), k) == [0.0] * N
    for bad in (np.zeros(6), np.full(N, -1.0), np.full(N, NAN), np.full(N, INF)):
        with pytest.raises(LimitsError, match="stiffness"):
            checked_stiffness(LIMITS, traits(), bad)
    for period in (0.0, -1.0, NAN, INF):
        with pytest.raises(LimitsError, match="period"):
            checked_stiffness(LIMITS, traits(period=period), k)
    with pytest.raises(LimitsError, match="limits are for 7 joints, iiwa has 6"):
        checked_stiffness(LIMITS, traits(n=6), k)


def test_window_remembers_as_long_as_it_says():
    window = WindowExtremes(0.020)
    window.add(100 * MS, [5.0], [6.0])
    assert window.extremes(120 * MS, [0.0], [0.0]) == ([0.0], [6.0])
    assert window.extremes(100 * MS + 20 * MS + 2 * MS, [0.0], [0.0])[1] in ([6.0], [0.0])
    assert window.extremes(123 * MS, [0.0], [0.0]) == ([0.0], [0.0])


def test_window_forgets_one_bucket_at_a_time():
    """Buckets of 2.5 ms: at 120 ms the one that began at 97.5 ms is gone and the one of 100 ms is not."""
    window = WindowExtremes(0.020)
    window.add(99 * MS, [-9.0], [9.0])
    window.add(100 * MS, [-5.0], [5.0])
    assert window.extremes(119 * MS, [0.0], [0.0]) == ([-9.0], [9.0])
    assert window.extremes(120 * MS, [0.0], [0.0]) == ([-5.0], [5.0])


def test_a_margin_of_zero_is_allowed():
    assert dataclasses.replace(LIMITS, total_margin=0.0).total_margin == 0.0
    with pytest.raises(LimitsError, match="total_margin"):
        dataclasses.replace(LIMITS, total_margin=-0.1)


def test_window_survives_a_clock_that_runs_backwards():
    window = WindowExtremes(0.020)
    window.add(100 * MS, [1.0], [1.0])
    window.add(50 * MS, [9.0], [9.0])
    assert window.extremes(101 * MS, [0.0], [0.0]) == ([0.0], [9.0])


@given(st.lists(st.tuples(st.integers(0, 3 * MS), st.floats(-100, 100)), min_size=1, max_size=200))
def test_window_never_forgets_early_and_stays_small(steps):
    """Against a plain list of everything; flooding does not grow it."""
    window, history, t = WindowExtremes(0.020), [], 0
    for step, value in steps:
        t += step
        low, high = window.extremes(t, [value], [value])
        recent = [v for s, v in history if t - s <= 20 * MS]
        older = [v for s, v in history if t - s <= 22.5 * MS]
        assert low[0] <= min([*recent, value])
        assert high[0] >= max([*recent, value])
        assert low[0] >= min([*older, value])
        assert high[0] <= max([*older, value])
        window.add(t, [value], [value])
        history.append((t, value))
        assert len(window._slots) <= 10
