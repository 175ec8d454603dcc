"""The command gate: each check alone, at its boundary, and what no command may ever get through."""

import dataclasses
import math

import numpy as np
import pytest
from safety_rig import LIMITS, MS, PERIOD, ZERO, N, Q, at, sample, traits

from drivers.contract import ArmState, MitCommand, PassedCommand, PositionCommand, TorqueCommand, WrenchCommand
from safety.faults import FaultCode
from safety.gate import CommandGate, GateParams, Refusal
from safety.limits import LimitsError

NAN, INF = math.nan, math.inf
NOW = 10 * MS
# Wide limits of rate and window, so that magnitude and total can be tested alone.
WIDE = dataclasses.replace(LIMITS, tau_rate_max=np.full(N, 1e9), tau_window_max=np.full(N, 1e9))


def gate(limits=LIMITS, params=None, stiffness=ZERO, **changes) -> CommandGate:
    return CommandGate(limits, traits(**changes), stiffness, params)


def judge(command, g=ZERO, now_ns=NOW, permitted=True, on=None, by=None):
    return (by or gate()).judge(command, on or sample(), g, now_ns=now_ns, permitted=permitted)


def codes(verdict) -> list[FaultCode]:
    assert isinstance(verdict, Refusal), "the gate passed it"
    return [fault.code for fault in verdict.faults]


def torque(tau=ZERO, q_ref=Q) -> TorqueCommand:
    return TorqueCommand(tau, q_ref)


def mit(q_ref=Q, qd_ref=ZERO, kp=ZERO, kd=ZERO, tau=ZERO) -> MitCommand:
    return MitCommand(q_ref, qd_ref, kp, kd, tau)


def test_a_sound_command_passes_and_answers_its_sample():
    verdict = judge(torque(at(0, 0.5)))
    assert isinstance(verdict, PassedCommand)
    assert verdict.answers_seq == 42
    assert verdict.command.tau.tolist() == at(0, 0.5).tolist()
    assert verdict.command.q_ref.tolist() == Q.tolist()


def test_what_was_judged_is_what_is_sent():
    """A caller that keeps its array cannot change the command afterwards, nor can anyone else."""
    tau = at(0, 0.5)
    verdict = judge(torque(tau))
    tau[0] = 1e6
    assert verdict.command.tau[0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        verdict.command.tau[0] = 1e6


# --- who may command, and when ---------------------------------------------------------------------------------------


def test_not_permitted():
    assert codes(judge(torque(), permitted=False)) == [FaultCode.NOT_PERMITTED]


def test_invalid_sample():
    assert codes(judge(torque(), on=sample(valid=False))) == [FaultCode.SAMPLE_INVALID]


@pytest.mark.parametrize("name", ["q", "qd", "tau_accepted_lo", "tau_accepted_hi", "q_ref_accepted"])
def test_sample_of_the_wrong_shape(name):
    verdict = judge(torque(), on=sample(**{name: np.zeros(6)}))
    assert codes(verdict) == [FaultCode.SAMPLE_INVALID]


@pytest.mark.parametrize("name", ["q", "qd"])
@pytest.mark.parametrize("bad", [NAN, INF])
def test_state_that_is_not_finite(name, bad):
    (fault,) = judge(torque(), on=sample(**{name: at(3, bad, Q if name == "q" else None)})).faults
    assert (fault.code, fault.joint) == (FaultCode.SAMPLE_INVALID, 3)


@pytest.mark.parametrize("state", [s for s in ArmState if s is not ArmState.COMMANDED])
def test_link_not_commanded(state):
    assert codes(judge(torque(), on=sample(state=state))) == [FaultCode.NOT_COMMANDED]


def test_age_counts_from_arrival_to_now():
    """4 ms are the default at 1 kHz; one nanosecond more is stale, wherever it was spent."""
    assert isinstance(judge(torque(), on=sample(age_ns=4 * MS)), PassedCommand)
    assert codes(judge(torque(), on=sample(age_ns=4 * MS + 1))) == [FaultCode.SAMPLE_STALE]
    assert isinstance(judge(torque(), now_ns=NOW + 4 * MS), PassedCommand)
    (fault,) = judge(torque(), now_ns=NOW + 3 * MS, on=sample(age_ns=MS + 1)).faults
    assert (fault.code, fault.unit) == (FaultCode.SAMPLE_STALE, "s")
    assert fault.value == pytest.approx(0.004)
    assert fault.limit == pytest.approx(0.004)
    assert codes(judge(torque(), on=sample(age_ns=-1))) == [FaultCode.SAMPLE_STALE]


def test_age_limit_follows_the_period_and_the_parameter():
    slow = gate(period=0.005)
    assert isinstance(judge(torque(), on=sample(age_ns=10 * MS), by=slow), PassedCommand)
    assert codes(judge(torque(), on=sample(age_ns=10 * MS + 1), by=slow)) == [FaultCode.SAMPLE_STALE]
    strict = gate(params=GateParams(max_age=0.001))
    assert codes(judge(torque(), on=sample(age_ns=MS + 1), by=strict)) == [FaultCode.SAMPLE_STALE]


@pytest.mark.parametrize("g", [at(2, NAN), at(2, INF), np.zeros(6), None, [0.0] * N])
def test_gravity_that_cannot_be_used(g):
    assert codes(judge(torque(), g=g)) == [FaultCode.MODEL_NOT_FINITE]


# --- kind, shape, finite ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Lookalike(TorqueCommand):
    """A subclass could carry anything: only the exact types are judged."""


@pytest.mark.parametrize("command", [None, 3.0, "torque", ZERO, Lookalike(ZERO, Q), TorqueCommand])
def test_what_is_no_command(command):
    assert codes(judge(command)) == [FaultCode.COMMAND_KIND]


def test_a_kind_that_the_arm_does_not_take():
    (fault,) = judge(PositionCommand(Q), by=gate(commands=(TorqueCommand,))).faults
    assert fault.code is FaultCode.COMMAND_KIND
    assert fault.detail == "read PositionCommand, the arm takes TorqueCommand"


def test_a_kind_that_the_gate_does_not_know():
    """An arm that claims to take something of its own does not get it past the gate."""
    assert codes(judge(3.0, by=gate(commands=(float,)))) == [FaultCode.COMMAND_KIND]


@pytest.mark.parametrize(
    "bad", [np.zeros(6), np.zeros(8), np.zeros((7, 1)), np.float64(0.0), np.zeros(7, np.float32), [0.0] * 7, None]
)
def test_wrong_shape(bad):
    assert codes(judge(torque(tau=bad))) == [FaultCode.COMMAND_SHAPE]
    assert codes(judge(torque(q_ref=bad))) == [FaultCode.COMMAND_SHAPE]
    assert codes(judge(PositionCommand(bad))) == [FaultCode.COMMAND_SHAPE]
    for name in ("q_ref", "qd_ref", "kp", "kd", "tau"):
        assert codes(judge(mit(**{name: bad}))) == [FaultCode.COMMAND_SHAPE]


def test_wrench_of_the_wrong_shape():
    (fault,) = judge(WrenchCommand(np.zeros(7), Q)).faults
    assert (fault.code, "expected float64 of shape (6,)" in fault.detail) == (FaultCode.COMMAND_SHAPE, True)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("joint", range(N))
def test_not_finite_is_refused_and_not_compared(bad, joint):
    (fault,) = judge(torque(tau=at(joint, bad))).faults
    assert (fault.code, fault.joint) == (FaultCode.COMMAND_NOT_FINITE, joint)
    assert math.isnan(fault.value)
    (fault,) = judge(torque(q_ref=at(joint, bad, Q))).faults
    assert (fault.code, fault.joint) == (FaultCode.COMMAND_NOT_FINITE, joint)
    for name in ("q_ref", "qd_ref", "kp", "kd", "tau"):
        (fault,) = judge(mit(**{name: at(joint, bad, Q if name == "q_ref" else None)})).faults
        assert (fault.code, fault.joint) == (FaultCode.COMMAND_NOT_FINITE, joint)


def test_a_joint_that_is_not_finite_does_not_hide_another():
    verdict = judge(torque(tau=at(2, 15.0, at(1, NAN))))
    assert [(f.code, f.joint) for f in verdict.faults] == [
        (FaultCode.COMMAND_NOT_FINITE, 1),
        (FaultCode.TORQUE_RATE, 2),
    ]


# --- torque ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_magnitude(joint, sign):
    limit = float(LIMITS.tau_cmd_max[joint])
    assert isinstance(judge(torque(at(joint, sign * limit)), by=gate(WIDE)), PassedCommand)
    (fault,) = judge(torque(at(joint, sign * math.nextafter(limit, INF))), by=gate(WIDE)).faults
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.TORQUE_MAGNITUDE, joint, limit)


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_total_counts_the_robots_gravity(joint, sign):
    limit = float(LIMITS.tau_max[joint]) * 0.9
    g = at(joint, sign * (limit - 1.0))
    assert isinstance(judge(torque(at(joint, sign)), g=g, by=gate(WIDE)), PassedCommand)
    (fault,) = judge(torque(at(joint, sign * 1.0001)), g=g, by=gate(WIDE)).faults
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.TORQUE_TOTAL, joint, limit)
    assert isinstance(judge(torque(at(joint, -sign)), g=g, by=gate(WIDE)), PassedCommand), "unloading is allowed"


def test_total_of_an_arm_that_adds_no_gravity():
    """There our torque holds the arm, and the model's gravity must not be counted twice."""
    bare = gate(WIDE, adds=frozenset())
    assert isinstance(judge(torque(at(0, 160.0)), g=at(0, 300.0), by=bare), PassedCommand)
    assert codes(judge(torque(at(0, 160.0)), g=at(0, 300.0), by=gate(WIDE))) == [FaultCode.TORQUE_TOTAL]


def test_total_counts_the_spring():
    k = np.full(N, 5000.0)
    on = sample(q=at(5, Q[5] - 0.01, Q))
    (fault,) = judge(torque(), on=on, by=gate(stiffness=k)).faults
    assert (fault.code, fault.joint) == (FaultCode.TORQUE_TOTAL, 5)
    assert fault.value == pytest.approx(50.0)
    assert isinstance(judge(torque(), on=on, by=gate(stiffness=k, adds=frozenset({"gravity"}))), PassedCommand)


@pytest.mark.parametrize("joint", range(N))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rate(joint, sign):
    """Against what acts on the robot, whatever was sent before."""
    limit = float(LIMITS.tau_rate_max[joint])
    acting = at(joint, sign * 5.0)
    on = sample(tau_accepted_lo=acting, tau_accepted_hi=acting)
    step = sign * limit * PERIOD
    assert isinstance(judge(torque(at(joint, sign * 5.0 + step * (1 - 1e-12))), on=on), PassedCommand)
    (fault,) = judge(torque(at(joint, sign * 5.0 + step * (1 + 1e-9))), on=on).faults
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.TORQUE_RATE, joint, limit)
    assert fault.value == pytest.approx(limit)


def test_rate_holds_for_both_bounds():
    """Where it is not known which of two commands acts, the step from each is bounded."""
    on = sample(tau_accepted_lo=ZERO, tau_accepted_hi=at(0, 0.8))
    assert isinstance(judge(torque(at(0, 0.999)), on=on), PassedCommand)
    assert isinstance(judge(torque(at(0, -0.199)), on=on), PassedCommand)
    assert codes(judge(torque(at(0, 1.001)), on=on)) == [FaultCode.TORQUE_RATE], "too far from the lower bound"
    assert codes(judge(torque(at(0, -0.201)), on=on)) == [FaultCode.TORQUE_RATE], "too far from the upper bound"


def test_rate_counts_the_spring():
    """Moving the set-point of a stiff robot is a torque step too; it is added to ours, whichever its sign."""
    k = np.full(N, 2000.0)
    q_ref = at(0, Q[0] + 0.0004, Q)
    assert isinstance(judge(torque(at(0, 0.199), q_ref), by=gate(stiffness=k)), PassedCommand)
    for tau in (0.201, -0.201):
        (fault,) = judge(torque(at(0, tau), q_ref), by=gate(stiffness=k)).faults
        assert fault.code is FaultCode.TORQUE_RATE
        assert fault.value == pytest.approx(1001.0)


@pytest.mark.parametrize("name", ["tau_accepted_lo", "tau_accepted_hi"])
@pytest.mark.parametrize("bad", [NAN, INF])
def test_unknown_acting_torque(name, bad):
    (fault,) = judge(torque(), on=sample(**{name: at(4, bad)})).faults
    assert (fault.code, fault.joint) == (FaultCode.ACCEPTED_UNKNOWN, 4)


def test_window_cannot_be_beaten_by_extra_ticks():
    """Commands within the rate of a tick, but ten times as often: stopped after tau_window_max."""
    by, acting, passed = gate(), 0.0, []
    for i in range(60):
        now = NOW + i * MS // 10
        wish = acting + 0.999
        on = sample(t_ns=now, tau_accepted_lo=at(0, acting), tau_accepted_hi=at(0, acting))
        verdict = judge(torque(at(0, wish)), on=on, now_ns=now, by=by)
        if isinstance(verdict, Refusal):
            assert codes(verdict) == [FaultCode.TORQUE_WINDOW]
            break
        acting = wish
        passed.append(wish)
    assert 19.0 < max(passed) <= LIMITS.tau_window_max[0]
    later = sample(t_ns=now + 23 * MS, tau_accepted_lo=at(0, acting), tau_accepted_hi=at(0, acting))
    assert isinstance(judge(torque(at(0, wish)), on=later, now_ns=now + 23 * MS, by=by), PassedCommand)


def test_window_counts_what_acts_at_its_start_and_both_directions():
    tight = dataclasses.replace(LIMITS, tau_window_max=np.full(N, 0.5))
    on = sample(tau_accepted_lo=at(1, -0.2), tau_accepted_hi=at(1, 0.2))
    assert isinstance(judge(torque(at(1, 0.3)), on=on, by=gate(tight)), PassedCommand)
    (fault,) = judge(torque(at(1, 0.3001)), on=on, by=gate(tight)).faults
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.TORQUE_WINDOW, 1, 0.5)
    assert codes(judge(torque(at(1, -0.3001)), on=on, by=gate(tight))) == [FaultCode.TORQUE_WINDOW]


def test_refused_commands_leave_no_trace_in_the_window():
    by = gate(WIDE)
    tight = gate(dataclasses.replace(WIDE, tau_window_max=np.full(N, 0.5)))
    for g in (by, tight):
        assert codes(judge(torque(at(0, 1e3)), by=g))[0] is FaultCode.TORQUE_MAGNITUDE
    assert isinstance(judge(torque(at(0, 0.4)), by=tight), PassedCommand)


# --- position reference ----------------------------------------------------------------------------------------------


def referenced(command_kind, q_ref):
    return {TorqueCommand: torque(q_ref=q_ref), PositionCommand: PositionCommand(q_ref), MitCommand: mit(q_ref=q_ref),
            WrenchCommand: WrenchCommand(np.zeros(6), q_ref)}[command_kind]  # fmt: skip


KINDS = pytest.mark.parametrize("kind", [TorqueCommand, PositionCommand, WrenchCommand, MitCommand])


@KINDS
@pytest.mark.parametrize("end", [LIMITS.q_min, LIMITS.q_max])
def test_reference_within_the_joint_range(kind, end):
    for joint in range(N):
        on = sample(q=at(joint, end[joint], Q), q_ref_accepted=at(joint, end[joint], Q))
        assert isinstance(judge(referenced(kind, at(joint, end[joint], Q)), on=on), PassedCommand)
        beyond = math.nextafter(end[joint], 2 * end[joint])
        (fault,) = judge(referenced(kind, at(joint, beyond, Q)), on=on).faults
        assert (fault.code, fault.joint, fault.limit) == (FaultCode.REFERENCE_RANGE, joint, end[joint])


@KINDS
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_reference_step(kind, sign):
    for joint in range(N):
        step = float(LIMITS.q_ref_rate_max[joint]) * PERIOD
        on = sample(q=at(joint, 0.0, Q), q_ref_accepted=at(joint, 0.0, Q))
        assert isinstance(judge(referenced(kind, at(joint, sign * step, Q)), on=on), PassedCommand)
        (fault,) = judge(referenced(kind, at(joint, sign * math.nextafter(step, 1.0), Q)), on=on).faults
        assert fault.value == pytest.approx(sign * step)
        assert (fault.code, fault.joint, fault.limit) == (FaultCode.REFERENCE_STEP, joint, step)


@KINDS
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_reference_distance_from_the_arm(kind, sign):
    for joint in range(N):
        q_ref = at(joint, 0.0, Q)
        assert isinstance(judge(referenced(kind, q_ref), on=sample(q=at(joint, sign * 0.1, Q), q_ref_accepted=q_ref)),
                          PassedCommand)  # fmt: skip
        on = sample(q=at(joint, sign * math.nextafter(0.1, 1.0), Q), q_ref_accepted=q_ref)
        (fault,) = judge(referenced(kind, q_ref), on=on).faults
        assert (fault.code, fault.joint, fault.limit) == (FaultCode.REFERENCE_DISTANCE, joint, 0.1)


@KINDS
@pytest.mark.parametrize("bad", [NAN, INF])
def test_unknown_acting_reference(kind, bad):
    (fault,) = judge(referenced(kind, Q), on=sample(q_ref_accepted=at(6, bad, Q))).faults
    assert (fault.code, fault.joint) == (FaultCode.REFERENCE_UNKNOWN, 6)


def test_position_and_wrench_need_no_known_torque():
    nan = np.full(N, NAN)
    on = sample(tau_accepted_lo=nan, tau_accepted_hi=nan)
    assert isinstance(judge(PositionCommand(Q), on=on), PassedCommand)
    assert isinstance(judge(WrenchCommand(np.zeros(6), Q), on=on), PassedCommand)


# --- wrench and MIT --------------------------------------------------------------------------------------------------


def wrench_command(axis, value) -> WrenchCommand:
    w = np.zeros(6)
    w[axis] = value
    return WrenchCommand(w, Q)


def test_a_cell_that_states_no_force_gets_none():
    assert codes(judge(wrench_command(0, 1e-9))) == [FaultCode.WRENCH_FORCE]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_force(axis, sign):
    by = gate(params=GateParams(force_max=30.0))
    assert isinstance(judge(wrench_command(axis, sign * 30.0), by=by), PassedCommand)
    (fault,) = judge(wrench_command(axis, sign * math.nextafter(30.0, INF)), by=by).faults
    assert (fault.code, fault.limit, fault.detail) == (FaultCode.WRENCH_FORCE, 30.0, ("Fx", "Fy", "Fz")[axis])


@pytest.mark.parametrize("axis", range(3, 6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_moment(axis, sign):
    unverified = gate(params=GateParams(moment_max=3.0))
    assert codes(judge(wrench_command(axis, sign * 1e-9), by=unverified)) == [FaultCode.WRENCH_MOMENT]
    verified = gate(params=GateParams(moment_max=3.0, moment_order_verified=True))
    assert isinstance(judge(wrench_command(axis, sign * 3.0), by=verified), PassedCommand)
    assert codes(judge(wrench_command(axis, sign * math.nextafter(3.0, 4.0)), by=verified)) == [FaultCode.WRENCH_MOMENT]


@pytest.mark.parametrize("axis", range(6))
def test_wrench_that_is_not_finite(axis):
    by = gate(params=GateParams(force_max=30.0, moment_max=3.0, moment_order_verified=True))
    for bad in (NAN, INF):
        assert codes(judge(wrench_command(axis, bad), by=by)) == [FaultCode.COMMAND_NOT_FINITE]


@pytest.mark.parametrize("name", ["kp", "kd"])
def test_gains(name):
    allowed = gate(WIDE, GateParams(gains_allowed=True))
    (fault,) = judge(mit(**{name: at(3, 1e-9)})).faults
    assert (fault.code, fault.joint) == (FaultCode.GAINS, 3)
    assert isinstance(judge(mit(**{name: at(3, 1.0)}), by=allowed), PassedCommand)
    for by in (gate(), allowed):
        (fault,) = judge(mit(**{name: at(3, -1e-9)}), by=by).faults
        assert (fault.code, fault.joint) == (FaultCode.GAINS, 3)


def test_mit_velocity_reference():
    limit = float(LIMITS.qd_max[2])
    assert isinstance(judge(mit(qd_ref=at(2, -limit))), PassedCommand)
    (fault,) = judge(mit(qd_ref=at(2, -math.nextafter(limit, INF)))).faults
    assert (fault.code, fault.joint, fault.limit) == (FaultCode.REFERENCE_VELOCITY, 2, limit)


def test_mit_bound_adds_up_what_the_drive_could_do():
    """|kp Δp| + |kd Δv| + |t|, with no credit for terms that happen to cancel."""
    by = gate(WIDE, GateParams(gains_allowed=True))
    on = sample(q=at(0, 0.05, Q), qd=at(0, 0.1), q_ref_accepted=at(0, 0.0, Q))

    def verdict(t):
        return judge(mit(at(0, 0.0, Q), ZERO, at(0, 1000.0), at(0, 200.0), at(0, t)), on=on, by=by)

    assert isinstance(verdict(89.999), PassedCommand)  # 50 + 20 + 90 = 160
    (fault,) = verdict(90.001).faults
    assert (fault.code, fault.joint) == (FaultCode.TORQUE_MAGNITUDE, 0)
    assert fault.value == pytest.approx(160.001)


def test_mit_acting_torque_is_what_the_drive_makes_of_it():
    """kp (q_ref − q) + kd (qd_ref − qd) + t, referred to the torque that acts now."""
    by = gate(params=GateParams(gains_allowed=True))
    on = sample(q=at(0, 0.2, Q), qd=at(0, 0.1), q_ref_accepted=at(0, 0.21, Q))
    command = mit(at(0, 0.21, Q), at(0, 0.4), at(0, 500.0), at(0, 10.0), at(0, 1.0))  # 5 + 3 + 1
    for acting, sound in ((9.0, True), (8.01, True), (7.99, False), (10.01, False)):
        on.tau_accepted_lo = on.tau_accepted_hi = at(0, acting)
        verdict = judge(command, on=on, by=by)
        if sound:
            assert isinstance(verdict, PassedCommand)
        else:
            assert codes(verdict) == [FaultCode.TORQUE_RATE]


def test_mit_total_and_rate():
    by = gate(WIDE, GateParams(gains_allowed=True))
    on = sample(q=at(5, 0.01, Q), q_ref_accepted=at(5, 0.0, Q))
    command = mit(at(5, 0.0, Q), kp=at(5, 1000.0))
    (fault,) = judge(command, g=at(5, 30.0), on=on, by=by).faults
    assert (fault.code, fault.joint) == (FaultCode.TORQUE_TOTAL, 5)
    assert fault.value == pytest.approx(40.0)
    (fault,) = judge(command, on=on, by=gate(params=GateParams(gains_allowed=True))).faults[:1]
    assert fault.code is FaultCode.TORQUE_WINDOW
    assert FaultCode.TORQUE_RATE in codes(judge(command, on=on, by=gate(params=GateParams(gains_allowed=True))))
    assert codes(judge(mit(tau=at(5, 0.301)))) == [FaultCode.TORQUE_RATE], "feed-forward alone is a torque like any"
    assert isinstance(judge(mit(tau=at(5, 0.299))), PassedCommand)


def test_mit_overflow_is_beyond_every_limit():
    """Finite numbers whose product is not: still refused."""
    by = gate(params=GateParams(gains_allowed=True))
    on = sample(q=at(0, 0.05, Q), q_ref_accepted=at(0, 0.0, Q))
    assert FaultCode.TORQUE_MAGNITUDE in codes(judge(mit(at(0, 0.0, Q), kp=at(0, 1e308 * 1.7)), on=on, by=by))
    assert FaultCode.TORQUE_MAGNITUDE in codes(judge(mit(tau=at(0, 1e308), kd=at(0, 1e308)), on=on, by=by))


# --- together --------------------------------------------------------------------------------------------------------


def test_no_violation_hides_another():
    unknown = {"tau_accepted_lo": at(6, NAN), "q_ref_accepted": at(6, NAN, Q)}
    on = sample(valid=False, age_ns=50 * MS, state=ArmState.READY, **unknown)
    command = torque(at(0, 1e3, at(1, NAN)), at(2, 9.0, Q))
    assert set(codes(judge(command, g=at(0, NAN), permitted=False, on=on))) == {
        FaultCode.NOT_PERMITTED,
        FaultCode.SAMPLE_INVALID,
        FaultCode.SAMPLE_STALE,
        FaultCode.NOT_COMMANDED,
        FaultCode.MODEL_NOT_FINITE,
        FaultCode.COMMAND_NOT_FINITE,
        FaultCode.TORQUE_MAGNITUDE,
        FaultCode.TORQUE_RATE,
        FaultCode.TORQUE_WINDOW,
        FaultCode.ACCEPTED_UNKNOWN,
        FaultCode.REFERENCE_UNKNOWN,
        FaultCode.REFERENCE_RANGE,
        FaultCode.REFERENCE_STEP,
        FaultCode.REFERENCE_DISTANCE,
    }
    shapes = codes(judge(torque(np.zeros(3), np.zeros(8)), permitted=False))
    assert shapes == [FaultCode.NOT_PERMITTED, FaultCode.COMMAND_SHAPE, FaultCode.COMMAND_SHAPE]


def test_sizes_that_disagree_are_refused_at_once():
    with pytest.raises(LimitsError):
        gate(n=6)
    with pytest.raises(LimitsError):
        gate(stiffness=np.zeros(3))
