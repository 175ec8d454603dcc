"""Signals that are frozen or contradict one another, each at its boundary."""

import math

import numpy as np
import pytest
from safety_rig import LIMITS, PERIOD, N, sample, traits, wrench

from safety.consistency import ConsistencyMonitor, ConsistencyParams
from safety.faults import FaultCode
from safety.limits import LimitsError

NONE = [0.0] * N
STUCK = 50
"""Repetitions at 1 kHz that make 50 ms."""


def noisy(tick, size):
    return 1e-4 * np.sin(np.arange(1.0, size + 1) * (tick + 1))


class Cycles:
    """Cycles of a monitor on signals that live, but for what a test changes."""

    def __init__(self, params=None):
        self.monitor = ConsistencyMonitor(LIMITS, traits(), params)
        self.tick = 0

    def cycle(self, q=None, tau=None, force=None, residual=NONE, gap=0.0, sensor=True, **changes):
        self.tick += 1
        q = noisy(self.tick, N) if q is None else q
        tau = noisy(2 * self.tick, N) if tau is None else tau
        force = noisy(self.tick, 6) if force is None else force
        on = sample(**{"q": q, "tau": tau, "fresh": True, **changes})
        return self.monitor.check(on, wrench(wrench=force) if sensor else None, residual, gap, self.tick)

    def until_fault(self, within=200, **how):
        for count in range(1, within + 1):
            found = self.cycle(**{name: value(self.tick) if callable(value) else value for name, value in how.items()})
            if found:
                return count, found
        return None, []


def one(joint, value, size=N):
    return lambda tick: np.concatenate([noisy(tick, size)[:joint], [value], noisy(tick, size)[joint + 1 :]])


def test_live_signals_that_agree_have_no_faults():
    assert Cycles().until_fault(500) == (None, [])
    assert Cycles().until_fault(500, sensor=False) == (None, [])


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("name", ["q", "tau"])
def test_a_frozen_joint_is_found_after_fifty_milliseconds(name, joint):
    count, (fault,) = Cycles().until_fault(**{name: one(joint, 2e-5)})
    assert count == STUCK + 1  # the first occurrence is no repetition
    assert (fault.code, fault.joint) == (FaultCode.JOINT_STUCK, joint)
    assert fault.value == pytest.approx(0.05)
    assert "repeats 2e-05" in fault.detail


def test_one_change_begins_the_count_anew():
    cycles = Cycles()
    for _ in range(STUCK):
        assert cycles.cycle(tau=np.zeros(N)) == []
    assert cycles.cycle() == []
    assert cycles.until_fault(tau=np.zeros(N))[0] == STUCK + 1


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dt", [0.001, 0.004, math.nan])
def test_a_position_moves_no_farther_than_the_speed_limit_allows(joint, sign, dt):
    allowed = LIMITS.qd_max[joint] * (0.001 if math.isnan(dt) else dt) + 3e-4
    q = np.zeros(N)
    for step, expected in ((0.999 * allowed, []), (1.001 * allowed, [(FaultCode.POSITION_STEP, joint)])):
        cycles = Cycles()
        assert cycles.cycle(q=q, dt=dt) == []
        moved = q.copy()
        moved[joint] = sign * step
        assert [(f.code, f.joint) for f in cycles.cycle(q=moved, dt=dt)] == expected
        assert cycles.cycle(q=moved, dt=dt) == []


@pytest.mark.parametrize("axis", range(6))
def test_a_frozen_axis_of_the_wrench(axis):
    count, (fault,) = Cycles().until_fault(force=one(axis, 1.5, 6))
    assert (count, fault.code) == (STUCK + 1, FaultCode.SENSOR_STUCK)


@pytest.mark.parametrize("changes", [{"fresh": False}, {"valid": False}])
def test_samples_that_say_nothing_new_are_no_repetition(changes):
    assert Cycles().until_fault(q=np.zeros(N), tau=np.zeros(N), **changes) == (None, [])


def test_shapes_that_are_wrong_are_left_to_the_state_checks():
    assert Cycles().until_fault(q=np.zeros(6), tau=np.zeros(6), force=np.zeros(5)) == (None, [])


def test_values_without_noise_may_repeat_where_the_check_is_off():
    still = {"q": np.zeros(N), "tau": np.zeros(N), "force": np.zeros(6)}
    assert Cycles(ConsistencyParams(stuck_time=math.inf)).until_fault(**still) == (None, [])


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_torque_that_the_sensor_does_not_see(joint, sign):
    tolerance = 0.12 * LIMITS.tau_max[joint]
    residual = [0.0] * N
    residual[joint] = sign * tolerance
    assert Cycles().until_fault(residual=residual) == (None, [])
    residual[joint] = sign * tolerance * 1.001
    count, (fault,) = Cycles().until_fault(residual=residual)
    assert count == pytest.approx(0.05 / PERIOD, abs=1)
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.TORQUE_MODEL, joint, pytest.approx(tolerance))


def test_force_that_the_joints_do_not_feel():
    assert Cycles().until_fault(gap=20.0) == (None, [])
    count, (fault,) = Cycles().until_fault(gap=20.1)
    assert count == pytest.approx(0.05 / PERIOD, abs=1)
    assert (fault.code, fault.limit) == (FaultCode.WRENCH_MISMATCH, 20.0)


def test_a_short_disagreement_and_an_unknown_one_pass():
    cycles = Cycles()
    for _ in range(20):
        for _ in range(40):
            assert cycles.cycle(gap=1e3, residual=[1e3] * N) == []
        assert cycles.cycle() == []
    assert cycles.until_fault(gap=math.nan, residual=[math.nan] * N) == (None, [])


def test_reset_begins_anew():
    cycles = Cycles()
    for _ in range(45):
        cycles.cycle(gap=99.0, q=np.zeros(N))
    cycles.monitor.reset()
    assert cycles.until_fault(40, gap=99.0, q=np.zeros(N)) == (None, [])


def test_sizes_that_disagree_are_refused_at_once():
    with pytest.raises(LimitsError):
        ConsistencyMonitor(LIMITS, traits(n=6))


def judged(cycles, thresholds, force_max, residual=NONE, gap=0.0):
    """The faults after more than 50 ms with the tolerances of a cycle."""
    for _ in range(52):
        cycles.tick += 1
        on = sample(q=noisy(cycles.tick, N), tau=noisy(2 * cycles.tick, N))
        found = cycles.monitor.check(on, None, residual, gap, cycles.tick, thresholds, force_max)
    return [(fault.code, fault.limit) for fault in found]


def test_tolerances_of_a_cycle_tighten_and_never_loosen():
    fixed = 0.12 * float(LIMITS.tau_max[0])
    for moving, binds in ((10.0, 10.0), (fixed, fixed), (1e3, fixed), (math.inf, fixed), (math.nan, fixed)):
        thresholds = [moving] + [1e9] * (N - 1)
        beyond, within = [1.01 * binds] + [0.0] * (N - 1), [0.99 * binds] + [0.0] * (N - 1)
        assert judged(Cycles(), thresholds, math.inf, beyond) == [(FaultCode.TORQUE_MODEL, pytest.approx(binds))]
        assert judged(Cycles(), thresholds, math.inf, within) == []
    for moving, binds in ((5.0, 5.0), (20.0, 20.0), (100.0, 20.0), (math.nan, 20.0)):
        assert judged(Cycles(), None, moving, gap=1.01 * binds) == [(FaultCode.WRENCH_MISMATCH, binds)]
        assert judged(Cycles(), None, moving, gap=0.99 * binds) == []


def test_a_comparison_that_is_off_stays_off():
    off = ConsistencyParams(torque_fraction=math.inf, force_max=math.inf)
    assert judged(Cycles(off), [1.0] * N, 1.0, [1e6] * N, 1e6) == []
    assert off.torque_scale == ConsistencyParams().torque_fraction
    assert ConsistencyParams(torque_fraction=0.3).torque_scale == 0.3
