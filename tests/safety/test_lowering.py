"""An arm without brakes is let down: speed, rest, time; on an arm on paper with gravity, friction and a floor."""

import math

import numpy as np
import pytest
from safety_rig import LIMITS, PERIOD, ZERO, N, at, sample, traits

from drivers.contract import StopAction, StopCategory
from safety.limits import LimitsError
from safety.lowering import Lowering, LoweringParams
from safety.stops import StepKind, StopController, StopParams

LOWERED = traits(
    brakes=False,
    adds=frozenset(),
    stops={
        StopCategory.OFF_NOW: StopAction.LOWER,
        StopCategory.STOP_THEN_OFF: StopAction.LOWER,
        StopCategory.STOP_AND_HOLD: StopAction.BRAKE_AND_HOLD,
    },
)
M = np.diag([5.0, 4.0, 1.5, 1.5, 0.15, 0.12, 0.02])
A2 = 1
FLOOR = 0.45


class Pendulum:
    """Joint A2 lifts a weight of ``load`` N·m at the horizontal; dry ``friction`` N·m, a floor at ``floor`` rad;
    ``model`` is the part of the weight that the model knows."""

    def __init__(self, load=40.0, friction=0.0, floor=-math.inf, model=1.0, qd=0.0, category=StopCategory.STOP_THEN_OFF,
                 q=0.6):  # fmt: skip
        self.load, self.friction, self.floor, self.model = load, friction, floor, model
        self.q, self.qd, self.off, self.speeds = q, qd, False, []
        self.tau = at(A2, self.weight())
        self.stop = StopController(LIMITS, LOWERED)
        self.stop.begin(category, self.sample())

    def weight(self):
        return self.load * math.cos(self.q)

    def sample(self):
        return sample(q=at(A2, self.q), qd=at(A2, self.qd), tau_accepted_lo=self.tau, tau_accepted_hi=self.tau)

    def tick(self):
        step = self.stop.step(self.sample(), M, at(A2, self.model * self.weight()), PERIOD)
        self.off = self.off or step.kind is StepKind.OFF
        self.tau = ZERO if self.off else self.tau if step.tau is None else step.tau
        push = self.tau[A2] - self.weight()
        if abs(self.qd) < 1e-4 and abs(push) <= self.friction:
            self.qd = 0.0
        else:
            before = self.qd
            self.qd += PERIOD / M[A2, A2] * (push - math.copysign(self.friction, self.qd or push))
            if before * self.qd < 0.0 and abs(push) <= self.friction:
                self.qd = 0.0
        self.q += PERIOD * self.qd
        if self.q < self.floor:
            self.q, self.qd = self.floor, max(0.0, self.qd)
        self.speeds.append(self.qd)
        return step

    def until_off(self, within=25_000):
        for _ in range(within):
            step = self.tick()
            if step.kind is StepKind.OFF:
                return step
        raise AssertionError("the power never went")


@pytest.mark.parametrize("category", [StopCategory.OFF_NOW, StopCategory.STOP_THEN_OFF])
@pytest.mark.parametrize("friction", [0.0, 12.0])
def test_an_arm_is_let_down_onto_the_floor_before_its_power_goes(category, friction):
    arm = Pendulum(friction=friction, floor=FLOOR, category=category)
    step = arm.until_off()
    assert step.reason == "the arm rests without torque"
    assert arm.q == FLOOR
    assert step.standing
    assert -1.4 * LoweringParams().speed < min(arm.speeds) < -0.5 * LoweringParams().speed
    assert max(arm.speeds) < 0.02
    here = arm.q
    kinds = {arm.tick().kind for _ in range(200)}
    assert kinds == {StepKind.OFF, StepKind.DONE}
    assert arm.q == here, "switching off changed nothing"


def test_an_arm_that_hangs_in_the_end():
    arm = Pendulum(friction=0.5, q=-1.3)
    assert arm.until_off().reason == "the arm rests without torque"
    assert arm.q == pytest.approx(-math.pi / 2, abs=0.05)


def test_an_arm_that_its_gears_carry_stays_where_it_is():
    arm = Pendulum(friction=60.0)
    assert arm.until_off().reason == "the arm rests without torque"
    assert arm.q == 0.6


def test_a_tool_that_nobody_told_of_is_not_dropped():
    """A quarter more than the model knows."""
    arm = Pendulum(model=0.8, floor=FLOOR)
    assert arm.until_off().standing
    assert min(arm.speeds) > -1.6 * LoweringParams().speed


def test_a_tool_that_is_not_there_does_not_make_it_rise():
    arm = Pendulum(model=1.2, floor=FLOOR)
    assert arm.until_off().standing
    assert arm.q == FLOOR
    assert max(arm.speeds) < 0.15


def test_a_moving_arm_is_braked_first():
    arm = Pendulum(qd=0.8, floor=FLOOR)
    braking = [arm.tick() for _ in range(100)]
    assert {step.kind for step in braking} == {StepKind.COMMAND}
    assert arm.stop._lowering.elapsed < 0.1
    assert abs(arm.qd) < 0.25
    assert arm.until_off().standing


def test_a_lowering_has_an_end():
    """Somebody holds the arm up, moving it: after twenty seconds the power goes all the same."""
    stop = StopController(LIMITS, LOWERED, StopParams(lowering=LoweringParams(timeout=0.5)))
    held = sample(qd=at(A2, 0.05))
    stop.begin(StopCategory.STOP_THEN_OFF, held)
    steps = [stop.step(held, M, at(A2, 40.0), PERIOD) for _ in range(502)]
    assert {step.kind for step in steps[:499]} == {StepKind.COMMAND}
    assert (steps[-1].kind, steps[-1].reason) == (StepKind.OFF, "not at rest within 0.5 s of lowering")


def test_where_nothing_can_be_commanded_the_power_goes():
    arm = Pendulum()
    arm.stop.step(sample(valid=False), M, ZERO, PERIOD)
    assert arm.tick().kind is StepKind.OFF


def test_a_held_arm_is_lowered_by_the_next_stop():
    arm = Pendulum(floor=FLOOR, category=StopCategory.STOP_AND_HOLD)
    assert {arm.tick().kind for _ in range(1000)} == {StepKind.COMMAND}
    assert arm.q == pytest.approx(0.6, abs=0.01)
    arm.stop.begin(StopCategory.STOP_THEN_OFF, arm.sample())
    assert arm.until_off().standing
    assert arm.q == FLOOR


def test_a_more_severe_stop_does_not_begin_a_lowering_anew():
    arm = Pendulum(floor=FLOOR)
    for _ in range(500):
        arm.tick()
    share = arm.stop._lowering.share
    assert arm.stop.begin(StopCategory.OFF_NOW, arm.sample()) is StopCategory.OFF_NOW
    assert arm.stop._lowering.share == share < 1.0
    assert arm.until_off().standing


def test_every_stop_begins_with_all_of_the_weight():
    arm = Pendulum(floor=FLOOR)
    arm.until_off()
    while arm.tick().kind is not StepKind.DONE:
        pass
    arm.stop.begin(StopCategory.STOP_THEN_OFF, arm.sample())
    assert arm.stop._lowering.share == 1.0


def test_an_arm_that_adds_gravity_by_itself_cannot_be_lowered():
    with pytest.raises(LimitsError, match="adds gravity by itself"):
        StopController(LIMITS, traits(stops=LOWERED.stops))


def test_the_share_has_bounds():
    lowering = Lowering()
    g = at(A2, 40.0)
    for _ in range(3000):
        lowering.torque(at(A2, -5.0), M, g, PERIOD)
    assert lowering.share == LoweringParams().share_max
    for _ in range(5000):
        tau = lowering.torque(ZERO, M, g, PERIOD)
    assert lowering.released
    assert tau.tolist() == [0.0] * N
