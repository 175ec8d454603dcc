"""Contact limits: the band of the force, both kinds of contact at their boundaries, and what is not known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety.contact import BAND, TRANSIENT_TIME, Band, ContactLimits, ContactMonitor, force_band
from safety.faults import FaultCode
from safety.limits import LimitsError

LIMITS = ContactLimits(200.0, 100.0, "hand by force", "a table of the test's own")
DT = 0.001
SURE = np.zeros((3, 3))
NAN = np.full(3, math.nan)


def force(size, direction=(0.0, 0.0, 1.0)):
    return size * np.asarray(direction)


def ticks(monitor, size, count, covariance=SURE, dt=DT):
    """Codes of the last of ``count`` cycles at one force."""
    found = []
    for tick in range(count):
        found = monitor.check(force(size), covariance, dt, tick, tick)
    return [report.code for report in found]


@pytest.mark.parametrize(
    ("transient", "lasting"),
    [(100.0, 100.1), (100.0, 0.0), (100.0, -1.0), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (0.0, 0.0)],
)
def test_limits_that_cannot_be_used_are_refused(transient, lasting):
    with pytest.raises(LimitsError, match="quasi-static"):
        ContactLimits(transient, lasting, "hand", "somewhere")


@pytest.mark.parametrize(("by", "source"), [("", "x"), ("x", "")])
def test_limits_need_words(by, source):
    with pytest.raises(LimitsError, match="source"):
        ContactLimits(2.0, 1.0, by, source)


def test_equal_limits_are_allowed():
    assert ContactLimits(1.0, 1.0, "x", "y").transient == 1.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_patience_must_be_a_time(bad):
    with pytest.raises(LimitsError, match="patience"):
        ContactMonitor(LIMITS, bad)


def test_the_band_lies_along_the_force():
    covariance = np.diag([4.0, 9.0, 25.0])
    assert force_band(force(10.0), covariance) == Band(10.0, 10.0 + BAND * 5.0)
    assert force_band(force(10.0, (1, 0, 0)), covariance).upper == pytest.approx(10.0 + BAND * 2.0)
    covariance[0, 1] = covariance[1, 0] = 3.0
    both = force_band(force(10.0, (math.sqrt(0.5), math.sqrt(0.5), 0.0)), covariance)
    assert both.upper == pytest.approx(10.0 + BAND * math.sqrt(0.5 * (4 + 9) + 3.0))


def test_at_zero_force_the_band_is_no_narrower_than_any_direction():
    assert force_band(force(0.0), np.diag([4.0, 9.0, 25.0])).upper == pytest.approx(BAND * math.sqrt(38.0))


@given(st.lists(st.floats(-500, 500), min_size=3, max_size=3), st.lists(st.floats(-20, 20), min_size=9, max_size=9))
@settings(max_examples=100, deadline=None)
def test_the_band_is_that_of_the_quadratic_form(f, a):
    f, a = np.array(f), np.array(a).reshape(3, 3)
    covariance = a @ a.T
    band = force_band(f, covariance)
    size = float(np.linalg.norm(f))
    assert band.force == pytest.approx(size)
    assert band.upper >= band.force
    if size > 1e-3:
        u = f / size
        assert band.upper == pytest.approx(size + BAND * math.sqrt(max(0.0, u @ covariance @ u)), abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", range(12))
def test_anything_not_finite_makes_it_unknown(bad, at):
    f, covariance = force(10.0, (1.0, 2.0, 3.0)), np.eye(3)
    f, covariance = f.copy(), covariance.copy()
    if at < 3:
        f[at] = bad
    else:
        covariance.flat[at - 3] = bad
    assert math.isnan(force_band(f, covariance).upper)
    assert math.isnan(force_band(f, covariance).force)


def test_a_negative_variance_is_none():
    assert math.isnan(force_band(force(10.0), np.diag([1.0, 1.0, -1e-9])).upper)
    assert math.isnan(force_band(force(10.0), np.diag([-1e-9, 1.0, 1.0])).upper), "though not along the force"
    bent = np.array([[1.0, 3.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert math.isnan(force_band(force(1.0, (1.0, -1.0, 0.0)), bent).upper)


def test_a_blow_beyond_the_transient_limit_is_told_at_once():
    monitor = ContactMonitor(LIMITS)
    assert ticks(monitor, 200.0, 1) == []
    (report,) = monitor.check(force(200.001), SURE, DT, 5, 6)
    assert (report.code, report.limit, report.tick) == (FaultCode.CONTACT_TRANSIENT, 200.0, 5)
    assert report.value == pytest.approx(200.001)
    assert "hand by force" in report.detail
    assert "a table of the test's own" in report.detail


def test_the_band_counts_as_force():
    assert ticks(ContactMonitor(LIMITS), 180.0, 1, 100.0 * np.eye(3)) == []
    assert ticks(ContactMonitor(LIMITS), 181.0, 1, 100.0 * np.eye(3)) == [FaultCode.CONTACT_TRANSIENT]


def test_a_lasting_contact_is_told_after_half_a_second():
    monitor = ContactMonitor(LIMITS)
    assert ticks(monitor, 100.0, 2000) == [], "at the limit, for ever"
    assert ticks(monitor, 100.001, 499) == []
    assert ticks(monitor, 100.001, 2) == [FaultCode.CONTACT_QUASI_STATIC]
    (report,) = monitor.check(force(120.0), SURE, DT, 0, 0)
    assert (report.value, report.limit) == (120.0, 100.0)
    assert "120 N seen" in report.detail


def test_both_kinds_are_told_together():
    monitor = ContactMonitor(LIMITS)
    ticks(monitor, 150.0, 501)
    assert ticks(monitor, 250.0, 1) == [FaultCode.CONTACT_TRANSIENT, FaultCode.CONTACT_QUASI_STATIC]


def test_a_force_that_swings_about_the_limit_clamps_as_well():
    monitor = ContactMonitor(LIMITS)
    for _ in range(3):
        assert ticks(monitor, 150.0, 150) == []
        assert ticks(monitor, 50.0, 10) == []
    assert ticks(monitor, 150.0, 79) == []
    assert ticks(monitor, 150.0, 2) == [FaultCode.CONTACT_QUASI_STATIC]


def test_time_is_taken_back_below_the_limit():
    monitor = ContactMonitor(LIMITS)
    ticks(monitor, 150.0, 400)
    ticks(monitor, 50.0, 400)
    assert monitor.above_for == pytest.approx(0.0, abs=1e-9)
    assert ticks(monitor, 150.0, 499) == []
    ticks(monitor, 50.0, 5000)
    assert monitor.above_for == 0.0


def test_the_fault_ends_when_the_force_has_been_low_for_long_enough():
    monitor = ContactMonitor(LIMITS)
    ticks(monitor, 150.0, 3000)
    assert monitor.above_for <= TRANSIENT_TIME
    assert ticks(monitor, 50.0, 2) == []


def test_an_unknown_force_is_told_after_the_patience():
    monitor = ContactMonitor(LIMITS, 0.0505)
    for tick in range(50):
        assert monitor.check(NAN, SURE, DT, tick, 0) == []
    (report,) = monitor.check(NAN, SURE, DT, 50, 0)
    assert (report.code, report.limit) == (FaultCode.CONTACT_UNKNOWN, 0.0505)
    assert ticks(monitor, 0.0, 1) == [], "it is known again"
    assert monitor.check(NAN, SURE, DT, 0, 0) == []


def test_nobody_knows_that_an_unknown_force_went_down():
    monitor = ContactMonitor(LIMITS, 0.2)
    ticks(monitor, 150.0, 450)
    codes = []
    for _ in range(52):
        codes = [report.code for report in monitor.check(NAN, SURE, DT, 0, 0)]
    assert codes == [FaultCode.CONTACT_QUASI_STATIC]
    fresh = ContactMonitor(LIMITS, 0.2)
    for _ in range(100):
        fresh.check(NAN, SURE, DT, 0, 0)
    assert fresh.above_for == 0.0, "no contact was seen before"


def test_the_words_when_the_force_is_unknown():
    monitor = ContactMonitor(LIMITS, 10.0)
    ticks(monitor, 150.0, 500)
    reports = [report for _ in range(3) for report in monitor.check(NAN, SURE, DT, 0, 0)]
    assert "force unknown now" in reports[-1].detail
    assert math.isnan(reports[-1].value)


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_not_known_is_not_short(dt):
    monitor = ContactMonitor(LIMITS, 0.3)
    assert ticks(monitor, 150.0, 1, dt=dt) == []
    assert ticks(monitor, 150.0, 1, dt=dt) == [FaultCode.CONTACT_QUASI_STATIC]


def test_reset_forgets():
    monitor = ContactMonitor(LIMITS)
    ticks(monitor, 150.0, 499)
    monitor.reset()
    assert ticks(monitor, 150.0, 499) == []


@given(st.lists(st.floats(0.0, 400.0) | st.just(math.nan), min_size=1, max_size=60), st.floats(0.001, 0.02))
@settings(max_examples=80, deadline=None)
def test_no_sequence_hides_a_blow_or_a_clamping(sizes, dt):
    monitor = ContactMonitor(LIMITS)
    above = 0.0
    for size in sizes:
        codes = {report.code for report in monitor.check(force(size), SURE, dt, 0, 0)}
        assert (FaultCode.CONTACT_TRANSIENT in codes) == (size > LIMITS.transient)
        above = above + dt if size > LIMITS.quasi_static else 0.0
        if above > TRANSIENT_TIME + dt:
            assert FaultCode.CONTACT_QUASI_STATIC in codes
