"""Stop actions on an arm on paper, through saturation and gate: time, distance, hold, escalation, power off."""

import dataclasses
import math

import numpy as np
import pytest
from safety_rig import LIMITS, MS, PERIOD, ZERO, N, Q, at, sample, traits

from drivers.contract import ArmState, PassedCommand, StopCategory, TorqueCommand
from safety.gate import CommandGate
from safety.limits import LimitsError
from safety.saturation import Saturation
from safety.stops import StepKind, StopController, StopParams

OFF, STOP, HOLD = StopCategory.OFF_NOW, StopCategory.STOP_THEN_OFF, StopCategory.STOP_AND_HOLD
# An iiwa-like inertia matrix, with coupling between joints.
M = np.diag([5.0, 6.0, 1.5, 1.5, 0.15, 0.12, 0.02])
M[0, 2] = M[2, 0] = 1.2
M[1, 3] = M[3, 1] = -1.5
M[3, 5] = M[5, 3] = 0.1
SPEED = np.array([0.8, -0.6, 0.9, 0.7, -1.2, 1.0, -1.0])


class PaperArm:
    """M qdd = tau + tau_error, one tick of delay between command and effect; gravity is compensated by the robot up
    to ``tau_error``. After OFF its brakes stop it within some ticks."""

    def __init__(self, qd=SPEED, tau_error=ZERO, adds=("gravity",), g=ZERO) -> None:
        self.q, self.qd, self.tau = Q.copy(), qd.copy(), ZERO.copy()
        self.tau_error, self.g, self.adds = tau_error, g, frozenset(adds)
        if "gravity" not in self.adds:
            self.tau = g.copy()
        self.q_ref, self.now, self.off, self.M = Q.copy(), 10 * MS, False, M
        arm = traits(adds=self.adds)
        self.stop = StopController(LIMITS, arm)
        self.saturation = Saturation(LIMITS, arm, ZERO)
        self.gate = CommandGate(LIMITS, arm, ZERO)

    def sample(self):
        return sample(t_ns=self.now, q=self.q.copy(), qd=self.qd.copy(), tau_accepted_lo=self.tau,
                      tau_accepted_hi=self.tau, q_ref_accepted=self.q_ref)  # fmt: skip

    def tick(self):
        """One cycle of the supervisor, then one of the arm."""
        on = self.sample()
        step = self.stop.step(on, self.M, self.g, PERIOD)
        if step.kind is StepKind.COMMAND:
            tau, q_ref, _ = self.saturation.apply(step.tau, step.q_ref, on, self.g, self.now)
            verdict = self.gate.judge(TorqueCommand(tau, q_ref), on, self.g, now_ns=self.now, permitted=True)
            assert isinstance(verdict, PassedCommand), [fault.headline() for fault in verdict.faults]
            self.tau, self.q_ref = verdict.command.tau, verdict.command.q_ref
        elif step.kind is StepKind.OFF:
            self.off = True
        if self.off:
            self.qd = 0.9 * self.qd
        else:
            load = self.tau_error - (0.0 if "gravity" in self.adds else self.g)
            self.qd = self.qd + PERIOD * np.linalg.solve(self.M, self.tau + load)
        self.q = self.q + PERIOD * self.qd
        self.now += MS
        return step

    def run(self, ticks):
        return [self.tick() for _ in range(ticks)]


def test_a_payload_that_the_robot_does_not_know_is_carried_in_every_phase_of_a_stop():
    """Braking and holding get its weight on top; an arm whose gravity is ours has it in ``g`` already."""
    load = at(1, 0.5)
    for adds, carried in ((frozenset({"gravity"}), load), (frozenset(), ZERO)):
        for qd in (at(1, 1e-4), ZERO):
            stop, plain = StopController(LIMITS, traits(adds=adds)), StopController(LIMITS, traits(adds=adds))
            on = sample(qd=qd)
            for controller in (stop, plain):
                controller.begin(HOLD, on)
            difference = stop.step(on, M, ZERO, PERIOD, load).tau - plain.step(on, M, ZERO, PERIOD).tau
            assert difference == pytest.approx(carried)


def test_category_1_brakes_then_lets_the_power_go():
    arm = PaperArm()
    assert arm.stop.begin(STOP, arm.sample()) is STOP
    steps = []
    while not steps or steps[-1].kind is not StepKind.DONE:
        steps.append(arm.tick())
        assert len(steps) < 1000
    kinds = [step.kind for step in steps]
    braking = kinds.index(StepKind.OFF)
    assert braking < 600, "standstill within 0.6 s from about half of full speed"
    assert steps[braking].reason == "the arm stands"
    assert set(kinds[:braking]) == {StepKind.COMMAND}
    assert steps[-1].standing
    assert arm.stop.category is None
    assert np.abs(arm.q - Q).max() < 0.35
    assert np.abs(arm.qd).max() < 0.02


def test_category_2_stops_and_holds_without_creeping():
    """The robot's gravity compensation is wrong by several newton metres; the arm still stands where it stopped."""
    error = np.array([0.0, 6.0, -2.0, 3.0, 0.5, -0.4, 0.1])
    arm = PaperArm(tau_error=error)
    arm.stop.begin(HOLD, arm.sample())
    arm.run(1500)
    held = arm.q.copy()
    steps = arm.run(3000)
    assert {step.kind for step in steps} == {StepKind.COMMAND}
    assert all(step.standing for step in steps)
    assert np.abs(arm.q - held).max() < 2e-3
    assert np.abs(arm.qd).max() < 1e-3
    assert arm.tau == pytest.approx(-error, abs=0.05)
    assert len({tuple(step.q_ref) for step in steps}) == 1, "the reference is frozen"


def test_the_integral_is_bounded():
    """A push is not integrated away: the arm gives, and comes back."""
    arm = PaperArm(qd=ZERO, tau_error=at(0, 60.0))
    arm.stop.begin(HOLD, arm.sample())
    arm.run(4000)
    assert arm.stop._integral[0] == pytest.approx(-16.0), "5 % of 320 N·m"
    assert arm.tau[0] == pytest.approx(-60.0, abs=1.0)
    assert 0.01 < arm.q[0] - Q[0] < 0.1
    arm.tau_error = ZERO
    arm.run(4000)
    assert arm.q == pytest.approx(Q, abs=2e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1.2])
def test_braking_takes_momentum_away(scale):
    """The momentum of every joint falls to zero and overshoots little, though the torque rate is limited."""
    arm = PaperArm(qd=scale * SPEED)
    start = np.abs(M @ arm.qd)
    arm.stop.begin(STOP, arm.sample())
    worst = np.zeros(N)
    for _ in range(400):
        arm.tick()
        worst = np.maximum(worst, -np.sign(M @ (scale * SPEED)) * (M @ arm.qd))
    assert (worst < 0.3 * start + 0.02).all()


def test_an_arm_that_does_not_add_gravity_is_held_up():
    g = np.array([0.0, -40.0, 5.0, 20.0, 1.0, -2.0, 0.0])
    arm = PaperArm(adds=(), g=g)
    arm.stop.begin(HOLD, arm.sample())
    arm.run(2000)
    assert np.abs(arm.qd).max() < 1e-3
    assert arm.tau == pytest.approx(g, abs=0.05)
    assert np.abs(arm.q - arm.stop._hold).max() < 1e-3, "with no error left for spring and integral"


def test_gravity_is_added_only_where_the_robot_does_not():
    g = np.arange(1.0, 8.0)
    for adds, expected in ((frozenset({"gravity"}), ZERO), (frozenset(), g)):
        stop = StopController(LIMITS, traits(adds=adds))
        on = sample(tau_accepted_lo=expected, tau_accepted_hi=expected)
        stop.begin(HOLD, on)
        assert stop.step(on, M, g, PERIOD).tau.tolist() == expected.tolist()


def test_the_braking_law():
    """Linear in the momentum where that is small, with a root where the rate limit binds: √(2 · 0.5 · 1000 · 5)."""
    for p, tau in ((0.5, -15.0), (5.0, -math.sqrt(5000.0)), (-5.0, math.sqrt(5000.0))):
        stop = StopController(LIMITS, traits())
        acting = at(0, tau, at(6, -0.05 * abs(tau / p)))  # as wanted already: no rate limit binds
        on = sample(qd=at(0, p / 5.0, at(6, 0.5)), tau_accepted_lo=acting, tau_accepted_hi=acting)
        stop.begin(STOP, on)
        assert stop.step(on, np.diag([5.0] + [1e-9] * 5 + [0.1]), ZERO, PERIOD).tau == pytest.approx(acting)


def test_braking_asks_for_no_more_than_a_joint_may_give():
    """One joint at its limit keeps the others from braking harder: the direction stays that of the momentum."""
    limits = dataclasses.replace(LIMITS, tau_cmd_max=np.array([300.0, 300.0, 150.0, 150.0, 80.0, 40.0, 2.0]))
    acting = np.array([-20.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0])
    on = sample(qd=at(0, 1.0, at(6, 1.0)), tau_accepted_lo=acting, tau_accepted_hi=acting)
    stop = StopController(limits, traits())
    stop.begin(STOP, on)
    assert stop.step(on, np.diag([1.0] + [1e-9] * 5 + [0.1]), ZERO, PERIOD).tau == pytest.approx(acting)


def test_all_joints_go_towards_the_wanted_torque_in_one_step():
    stop = StopController(LIMITS, traits())
    acting = np.array([5.0, 3.0, 3.0, 0.0, 0.8, 0.7, 0.1])
    on = sample(qd=SPEED, tau_accepted_lo=acting, tau_accepted_hi=acting)
    stop.begin(STOP, on)
    step = stop.step(on, M, ZERO, PERIOD).tau - acting
    used = np.abs(step / (LIMITS.tau_rate_max * PERIOD)).max()
    assert 0.8 < used <= 1.0  # the window of the rate limit leaves a little less than the limit itself
    wanted = -stop._braking(np.abs(M @ SPEED)) * (M @ SPEED) - acting
    assert step / np.linalg.norm(step) == pytest.approx(wanted / np.linalg.norm(wanted))


@pytest.mark.parametrize("gain", [0.0, 3.0])
def test_joints_that_move_the_same_inertia_do_not_throw_each_other(gain):
    """A1 and A3 of an arm that stands upright turn nearly the same mass. While braking none of them gets faster than
    the motion makes it (``qdd = gain qd``) until its torque has faded."""
    arm = PaperArm(qd=np.array([0.75, 0.18, 0.75, 0.29, 0.79, 0.51, 1.0]))
    arm.M = np.diag([3.0, 3.5, 2.2, 1.2, 0.15, 0.15, 0.02])
    arm.M[0, 2] = arm.M[2, 0] = 2.5
    arm.M[2, 4] = arm.M[4, 2] = 0.1
    assert np.linalg.eigvalsh(arm.M).min() > 0.0
    arm.tau = gain * (arm.M @ arm.qd)
    before = np.abs(arm.qd)
    energy = [arm.qd @ arm.M @ arm.qd]
    arm.stop.begin(STOP, arm.sample())
    for _ in range(300):
        arm.tick()
        assert (np.abs(arm.qd) < 1.1 * before).all()
        energy.append(arm.qd @ arm.M @ arm.qd)
    assert energy[150] < 0.05 * energy[0]


def test_asking_again_does_not_buy_time():
    stop = StopController(LIMITS, traits(), StopParams(timeout=0.05))
    on = sample(qd=SPEED)
    kinds = []
    for _ in range(52):
        stop.begin(STOP, on)
        kinds.append(stop.step(on, M, ZERO, PERIOD).kind)
    assert kinds[-1] is StepKind.OFF


def test_the_reference_follows_while_braking():
    stop = StopController(LIMITS, traits())
    on = sample(qd=SPEED)
    stop.begin(HOLD, on)
    step = stop.step(on, M, ZERO, PERIOD)
    assert step.q_ref.tolist() == on.q.tolist()
    assert step.q_ref is not on.q
    assert (step.tau * (M @ SPEED) < 0.0).all()
    assert (np.abs(step.tau) <= 30.0 * np.abs(M @ SPEED) + 1e-12).all()


def test_category_0_lets_the_power_go_at_once():
    arm = PaperArm()
    arm.stop.begin(OFF, arm.sample())
    step = arm.tick()
    assert (step.kind, step.tau, step.reason) == (StepKind.OFF, None, "power away at once")
    kinds = [step.kind for step in arm.run(300)]
    assert set(kinds) == {StepKind.OFF, StepKind.DONE}
    assert arm.stop.category is None


def off_at_once(on, M=M, g=ZERO, category=STOP, began_on=None):
    stop = StopController(LIMITS, traits())
    stop.begin(category, began_on or sample(qd=SPEED))
    return stop.step(on, M, g, PERIOD)


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (sample(valid=False), "not valid"),
        (sample(age_ns=5 * MS + 1), "too old"),
        (sample(age_ns=-1), "too old"),
        (sample(q=at(1, math.nan)), "not finite"),
        (sample(qd=at(1, math.inf)), "not finite"),
        (sample(qd=np.zeros(6)), "not finite"),
        (sample(state=ArmState.MONITORING), "takes no commands"),
    ],
)
@pytest.mark.parametrize("category", [STOP, HOLD])
def test_a_state_that_cannot_be_braked_by_takes_the_power_away(on, why, category):
    step = off_at_once(on, category=category)
    assert step.kind is StepKind.OFF
    assert why in step.reason
    assert off_at_once(sample(age_ns=5 * MS, qd=SPEED)).kind is StepKind.COMMAND


def test_a_model_that_is_not_finite_takes_the_power_away():
    bad = M.copy()
    bad[0, 0] = math.nan
    assert off_at_once(sample(qd=SPEED), M=bad).kind is StepKind.OFF
    assert off_at_once(sample(qd=SPEED), g=at(0, math.inf)).kind is StepKind.OFF


def test_a_stop_that_begins_on_an_invalid_state_does_not_come_back():
    step = off_at_once(sample(qd=SPEED), began_on=sample(valid=False))
    assert (step.kind, step.reason) == (StepKind.OFF, "the state of the robot is not valid")


def test_no_standstill_in_time_takes_the_power_away():
    stop = StopController(LIMITS, traits(), StopParams(timeout=0.1))
    on = sample(qd=at(0, 0.5))
    stop.begin(HOLD, on)
    kinds = [stop.step(on, M, ZERO, PERIOD).kind for _ in range(102)]
    assert kinds[:99] == [StepKind.COMMAND] * 99
    assert kinds[-1] is StepKind.OFF


def test_power_off_waits_for_standstill_or_gives_up_waiting():
    stop = StopController(LIMITS, traits(), StopParams(off_timeout=0.05))
    stop.begin(OFF, sample(qd=SPEED))
    steps = [stop.step(sample(valid=False), M, ZERO, PERIOD) for _ in range(52)]
    assert [step.kind for step in steps[:49]] == [StepKind.OFF] * 49
    done = next(step for step in steps if step.kind is StepKind.DONE)
    assert not done.standing
    assert done.reason == "power away at once; standstill was not seen"


def test_standstill_counts_anew_after_power_off():
    """Brakes close with a delay: an arm that stood before may sag."""
    stop = StopController(LIMITS, traits())
    on = sample()
    stop.begin(STOP, on)
    kinds = [stop.step(on, M, ZERO, PERIOD).kind for _ in range(62)]
    off, done = kinds.index(StepKind.OFF), kinds.index(StepKind.DONE)
    assert off == pytest.approx(30, abs=1)
    assert done - off == pytest.approx(30, abs=1)


def test_a_sample_that_comes_again_proves_no_standstill():
    """Lost packets: the last speed, small as it is, is no news; it neither counts nor interrupts."""
    stop = StopController(LIMITS, traits())
    stop.begin(HOLD, sample())
    old, new = sample(fresh=False), sample()
    for _ in range(100):
        assert not stop.step(old, M, ZERO, PERIOD).standing
    ticks = round(StopParams().standstill_time / PERIOD)
    standing = [stop.step(on, M, ZERO, PERIOD).standing for _ in range(ticks + 1) for on in (old, new)]
    assert standing.index(True) in range(2 * ticks - 1, 2 * ticks + 2)


def test_standstill_is_not_interrupted():
    """Thirty milliseconds in a row; one faster tick begins them anew."""
    stop = StopController(LIMITS, traits())
    stop.begin(HOLD, sample())
    for i in range(80):
        fast = i % 25 == 24
        assert not stop.step(sample(qd=at(6, 0.021 if fast else 0.019)), M, ZERO, PERIOD).standing
    steps = [stop.step(sample(qd=at(6, 0.02)), M, ZERO, PERIOD) for _ in range(40)]
    assert steps[-1].standing


@pytest.mark.parametrize("first", StopCategory)
@pytest.mark.parametrize("second", StopCategory)
def test_a_stop_becomes_more_severe_and_never_less(first, second):
    stop = StopController(LIMITS, traits())
    on = sample(qd=SPEED)
    assert stop.begin(first, on) is first
    assert stop.begin(second, on) is min(first, second)
    kind = stop.step(on, M, ZERO, PERIOD).kind
    assert (kind is StepKind.OFF) == (OFF in (first, second))


def test_a_hold_ends_by_a_more_severe_stop():
    arm = PaperArm()
    arm.stop.begin(HOLD, arm.sample())
    arm.run(2500)
    arm.stop.begin(STOP, arm.sample())
    steps = arm.run(100)
    assert steps[0].kind is StepKind.OFF
    assert StepKind.DONE in [step.kind for step in steps]


def test_a_push_during_a_hold_is_no_timeout_but_one_after_escalation_is():
    params = StopParams(timeout=0.1)
    stop = StopController(LIMITS, traits(), params)
    stop.begin(HOLD, sample())
    for _ in range(50):
        stop.step(sample(), M, ZERO, PERIOD)
    pushed = sample(qd=at(0, 0.5))
    assert {stop.step(pushed, M, ZERO, PERIOD).kind for _ in range(300)} == {StepKind.COMMAND}
    stop.begin(STOP, pushed)
    kinds = [stop.step(pushed, M, ZERO, PERIOD).kind for _ in range(102)]
    assert kinds[98] is StepKind.COMMAND
    assert kinds[-1] is StepKind.OFF


def test_a_new_stop_starts_from_nothing():
    arm = PaperArm()
    arm.stop.begin(OFF, arm.sample())
    while arm.tick().kind is not StepKind.DONE:
        pass
    arm.off = False
    arm.stop.begin(HOLD, arm.sample())
    assert arm.tick().kind is StepKind.COMMAND
    assert arm.stop.category is HOLD


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan, math.inf])
def test_time_goes_on_even_if_dt_does_not(dt):
    stop = StopController(LIMITS, traits(), StopParams(timeout=0.01))
    on = sample(qd=SPEED)
    stop.begin(STOP, on)
    kinds = [stop.step(on, M, ZERO, dt).kind for _ in range(12)]
    assert StepKind.OFF in kinds
    assert kinds[:9] == [StepKind.COMMAND] * 9


def test_stepping_without_a_stop_commands_nothing():
    step = StopController(LIMITS, traits()).step(sample(), M, ZERO, PERIOD)
    assert (step.kind, step.tau) == (StepKind.DONE, None)


def test_arms_that_cannot_be_stopped_are_refused_at_once():
    stops = dict(traits().stops)
    with pytest.raises(LimitsError, match="no action for stop category 1"):
        StopController(LIMITS, traits(stops={k: v for k, v in stops.items() if k is not STOP}))
    with pytest.raises(LimitsError, match="7 joints"):
        StopController(LIMITS, traits(n=6))


def test_a_hold_can_be_ended_by_a_person_and_only_a_hold():
    arm = PaperArm()
    arm.stop.begin(HOLD, arm.sample())
    assert not arm.stop.end()
    arm.run(2500)
    assert arm.stop.holds
    assert arm.stop.end()
    assert arm.stop.category is None
    assert not arm.stop.holds
    arm.stop.begin(STOP, arm.sample())
    arm.run(40)
    assert not arm.stop.end()


def test_default_gains_are_stable():
    """kp critically damped, and the integral below the bound of Routh and Hurwitz."""
    params = StopParams()
    assert params.damping == pytest.approx(2.0 * math.sqrt(params.kp))
    assert params.ki < 0.5 * params.kp * params.damping
    assert dataclasses.replace(params).rate_share < 0.87, "below what the window leaves of the rate"
