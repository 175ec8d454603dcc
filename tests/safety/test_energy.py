"""Kinetic energy and power at their bounds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_rig import N, at, sample

from safety.energy import EnergyMonitor
from safety.faults import FaultCode
from safety.limits import LimitsError

M = np.diag([5.0, 6.0, 1.5, 1.5, 0.15, 0.12, 0.02])


def codes(monitor, M=M, **changes):
    return [report.code for report in monitor.check(sample(**changes), M, 7)]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_energy_at_its_bound(sign):
    monitor = EnergyMonitor(N, energy_max=2.5)
    assert codes(monitor, qd=at(0, sign * 1.0)) == []
    (report,) = monitor.check(sample(qd=at(0, sign * 1.0001)), M, 7)
    assert (report.code, report.limit, report.unit) == (FaultCode.KINETIC_ENERGY, 2.5, "J")
    assert report.value == pytest.approx(2.5005, abs=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_power_at_its_bound_driving_and_braking(sign):
    monitor = EnergyMonitor(N, power_max=50.0)
    assert codes(monitor, qd=at(1, 0.5), tau=at(1, sign * 100.0)) == []
    (report,) = monitor.check(sample(qd=at(1, 0.5), tau=at(1, sign * 100.1)), M, 7)
    assert (report.code, report.limit, report.unit) == (FaultCode.POWER, 50.0, "W")
    assert report.value == pytest.approx(sign * 50.05)


def test_joints_add_up():
    """None is fast by itself."""
    monitor = EnergyMonitor(N, energy_max=1.0)
    assert codes(monitor, qd=at(0, 0.5)) == []
    assert codes(monitor, qd=np.full(N, 0.5)) == [FaultCode.KINETIC_ENERGY]


def test_both_are_told():
    both = EnergyMonitor(N, 1e-3, 1e-3)
    assert codes(both, qd=at(0, 1.0), tau=at(0, 1.0)) == [FaultCode.KINETIC_ENERGY, FaultCode.POWER]


def test_infinity_switches_a_check_off():
    assert codes(EnergyMonitor(N), qd=np.full(N, 1e6), tau=np.full(N, 1e6)) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite(bad):
    monitor = EnergyMonitor(N, 1.0, 1.0)
    assert codes(monitor, qd=at(2, bad)) == []
    assert codes(monitor, tau=at(2, bad)) == []
    assert codes(monitor, qd=np.zeros(6)) == []
    assert codes(monitor, tau=np.zeros(6)) == []
    assert codes(monitor, M=np.diag(at(2, bad)), qd=at(2, 0.1)) == [FaultCode.KINETIC_ENERGY]


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["energy_max", "power_max"])
def test_bounds_must_be_above_zero(name, bad):
    with pytest.raises(LimitsError, match=name):
        EnergyMonitor(N, **{name: bad})


speeds = st.lists(st.floats(-3.0, 3.0), min_size=N, max_size=N)


@given(speeds, speeds, st.floats(1e-3, 50.0), st.floats(1e-3, 50.0))
@settings(max_examples=80, deadline=None)
def test_no_state_beyond_a_bound_passes(qd, tau, energy_max, power_max):
    qd, tau = np.array(qd), 10.0 * np.array(tau)
    found = codes(EnergyMonitor(N, energy_max, power_max), qd=qd, tau=tau)
    assert (FaultCode.KINETIC_ENERGY in found) == (0.5 * qd @ M @ qd > energy_max)
    assert (FaultCode.POWER in found) == (abs(tau @ qd) > power_max)
