"""Standstill torque against the model: each mistake that it is there for is told by name."""

import math

import numpy as np
import pytest
from safety_rig import N, at, sample

from safety.faults import FaultCode
from safety.interlocks import StandstillMean, check_standstill

G = np.array([0.0, -60.0, 10.0, 25.0, 2.0, -3.0, 0.0])
TOLERANCE = np.array([3.0, 3.0, 2.0, 2.0, 1.0, 0.8, 0.8])


def check(tau, g=G, tolerance=TOLERANCE, rel=0.05):
    return check_standstill(tau, g, tolerance, rel)


def texts(faults):
    assert faults
    assert {fault.code for fault in faults} == {FaultCode.STANDSTILL_TORQUE}
    return {fault.detail.split(": ", 1)[1] for fault in faults}


def test_agreement():
    assert check(G) == []
    assert check(G + TOLERANCE + 0.05 * np.abs(G) - 1e-9) == []


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tolerance_is_absolute_plus_relative(joint, sign):
    by = TOLERANCE[joint] + 0.05 * abs(G[joint])
    assert check(at(joint, G[joint] + sign * by * (1 - 1e-9), G)) == []
    (fault,) = check(at(joint, G[joint] + sign * by * (1 + 1e-9), G))
    assert fault.joint == joint
    assert fault.limit == pytest.approx(by)
    assert fault.value == pytest.approx(sign * by)
    assert "one joint only" in fault.detail


def test_flipped_sign():
    (text,) = texts(check(-G))
    assert "flipped sign" in text


def test_another_robot():
    (text,) = texts(check(1.4 * G))
    assert "1.40 times the model: another robot (iiwa 7 or 14?)" in text


def test_sensors_that_read_nothing():
    (text,) = texts(check(np.zeros(N)))
    assert "hardly any torque is measured" in text


def test_wrong_load():
    (text,) = texts(check(G + np.array([0.0, -12.0, 3.0, 9.0, 1.0, -2.5, 0.0])))
    assert "load data" in text


def test_posture_without_gravity():
    (text,) = texts(check(at(0, 9.0), g=np.zeros(N)))
    assert "hardly any gravity torque" in text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_not_finite_is_a_fault_and_not_compared(bad):
    (fault,) = check(at(1, bad, G))
    assert (fault.joint, fault.detail) == (1, f"measured torque is {bad}")
    (fault,) = check(G, g=at(1, bad, G))
    assert (fault.joint, fault.detail) == (1, f"gravity torque of the model is {bad}")


def test_mistakes_of_the_caller():
    for bad in (np.zeros(6), np.zeros((1, N))):
        with pytest.raises(ValueError, match="expected shape"):
            check(bad)
        with pytest.raises(ValueError, match="expected shape"):
            check(G, tolerance=bad)
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite numbers ≥ 0"):
            check(G, tolerance=at(0, bad, TOLERANCE))
        with pytest.raises(ValueError, match="finite numbers ≥ 0"):
            check(G, rel=bad)


def test_mean_over_standing_samples():
    mean = StandstillMean(N, samples=4)
    assert np.isnan(mean.tau_mean).all()
    for value in (1.0, 3.0, 1.0):
        mean.add(sample(tau=at(2, value)))
    mean.add(sample(tau=at(2, 99.0), fresh=False))
    assert not mean.ready
    assert mean.count == 3
    mean.add(sample(tau=at(2, 3.0)))
    assert mean.ready
    assert mean.count == 4
    assert mean.tau_mean.tolist() == at(2, 2.0).tolist()


@pytest.mark.parametrize(
    "spoiled",
    [
        sample(valid=False),
        sample(qd=at(3, 0.021)),
        sample(qd=at(3, math.nan)),
        sample(tau=at(3, math.nan)),
        sample(tau=np.zeros(6)),
        sample(qd=np.zeros(6)),
    ],
)
def test_mean_begins_anew_when_the_arm_moves_or_the_state_is_invalid(spoiled):
    mean = StandstillMean(N, samples=2)
    mean.add(sample())
    mean.add(sample())
    assert mean.ready
    mean.add(spoiled)
    assert not mean.ready
    assert mean.count == 0
    assert np.isnan(mean.tau_mean).all()
