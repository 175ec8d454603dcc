"""No sequence of states and raw commands makes the gate pass a command beyond limits; saturation always passes."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from safety_rig import LIMITS, MS, PERIOD, ZERO, N, Q, sample, traits

from drivers.contract import ArmState, MitCommand, PassedCommand, PositionCommand, TorqueCommand, WrenchCommand
from safety.faults import FaultCode
from safety.gate import CommandGate, GateParams, Refusal
from safety.saturation import LimitedBy, Saturation

NAN, INF = math.nan, math.inf

anything = st.one_of(
    st.floats(-2.0, 2.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, NAN, INF, -INF, 1.7e308, 5e-324, 320.0, 1.0, 0.3]),
)
small = st.floats(-0.3, 0.3)


def vectors(elements, n=N):
    return st.lists(elements, min_size=n, max_size=n).map(lambda x: np.array(x, dtype=np.float64))


def near(base, elements):
    return vectors(elements).map(lambda x: base + x)


raw_vector = st.one_of(
    vectors(small), vectors(anything), near(Q, st.floats(-2e-3, 2e-3)), st.just(ZERO), st.just(Q),
    st.integers(0, 9).map(np.zeros), st.just(None), st.just(np.zeros((7, 7))), st.just("tau"),
    st.just(np.zeros(7, int)),
)  # fmt: skip
raw_wrench = st.one_of(vectors(st.floats(-40, 40), 6), vectors(anything, 6), raw_vector)
sound_torque = st.builds(TorqueCommand, vectors(small), near(Q, st.floats(-1e-4, 1e-4)))
raw_command = st.one_of(
    sound_torque,
    st.builds(TorqueCommand, raw_vector, raw_vector),
    st.builds(PositionCommand, raw_vector),
    st.builds(WrenchCommand, raw_wrench, raw_vector),
    st.builds(MitCommand, raw_vector, raw_vector, raw_vector, raw_vector, raw_vector),
    st.just(None),
)
accepted = st.one_of(st.just(ZERO), vectors(small), vectors(anything))
raw_sample = st.builds(
    sample,
    valid=st.sampled_from([True, True, True, False]),
    age_ns=st.sampled_from([0, 0, MS, 4 * MS, 5 * MS, -1]),
    q=st.one_of(st.just(Q), near(Q, st.floats(-0.2, 0.2)), vectors(anything), st.just(np.zeros(6))),
    qd=st.one_of(st.just(ZERO), vectors(anything)),
    tau_accepted_lo=accepted,
    tau_accepted_hi=accepted,
    q_ref_accepted=st.one_of(st.just(Q), vectors(anything)),
    state=st.sampled_from([ArmState.COMMANDED] * 4 + list(ArmState)),
)
PARAMS = GateParams(gains_allowed=True, force_max=30.0, moment_max=3.0, moment_order_verified=True)
HAIR = 1.0 + 1e-9


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(raw_command, raw_sample, st.one_of(st.just(ZERO), vectors(anything), vectors(st.floats(-300, 300))),
                  st.booleans() | st.just(True), st.integers(0, 2 * MS)),
        min_size=1, max_size=12,
    ),
    st.sampled_from([0.0, 500.0]),
)  # fmt: skip
def test_nothing_beyond_limits_ever_passes(steps, stiffness):
    """The oracle is written in vectors and apart from the gate's code."""
    gate = CommandGate(LIMITS, traits(), np.full(N, stiffness), PARAMS)
    now, passed = 10 * MS, []
    for command, on, g, permitted, dt in steps:
        now += dt
        on.t_ns = now
        verdict = gate.judge(command, on, g, now_ns=now, permitted=permitted)
        if isinstance(verdict, Refusal):
            assert verdict.faults, "a refusal gives its reasons"
            assert all(isinstance(f.headline(), str) for f in verdict.faults)
            continue
        assert permitted
        assert on.valid
        assert on.state == ArmState.COMMANDED
        assert 0 <= on.age_ns <= 4 * MS
        sent = verdict.command
        assert type(sent) is type(command)
        assert verdict.answers_seq == on.seq
        assert (sent.q_ref >= LIMITS.q_min).all()
        assert (sent.q_ref <= LIMITS.q_max).all()
        assert (np.abs(sent.q_ref - on.q) <= LIMITS.q_ref_distance_max * HAIR).all()
        assert (np.abs(sent.q_ref - on.q_ref_accepted) <= LIMITS.q_ref_rate_max * PERIOD * HAIR).all()
        if isinstance(sent, WrenchCommand):
            assert (np.abs(sent.wrench) <= [30, 30, 30, 3, 3, 3]).all()
            continue
        if isinstance(sent, PositionCommand):
            continue
        acts, worst = sent.tau, np.abs(sent.tau)
        if isinstance(sent, MitCommand):
            assert (sent.kp >= 0).all()
            assert (sent.kd >= 0).all()
            assert (np.abs(sent.qd_ref) <= LIMITS.qd_max).all()
            spring, damper = sent.kp * (sent.q_ref - on.q), sent.kd * (sent.qd_ref - on.qd)
            acts, worst = sent.tau + spring + damper, worst + np.abs(spring) + np.abs(damper)
        assert (worst <= LIMITS.tau_cmd_max * HAIR).all()
        feedback = worst - np.abs(sent.tau)
        total = np.abs(sent.tau + g + stiffness * (sent.q_ref - on.q)) + feedback
        assert (total <= LIMITS.tau_max * 0.9 * HAIR).all()
        spring_step = stiffness * np.abs(sent.q_ref - on.q_ref_accepted)
        for bound in (on.tau_accepted_lo, on.tau_accepted_hi):
            assert (np.abs(acts - bound) + spring_step <= LIMITS.tau_rate_max * PERIOD * HAIR).all()
        passed.append((now, acts))
        recent = np.array([tau for t, tau in passed if now - t <= 20 * MS])
        assert (recent.max(axis=0) - recent.min(axis=0) <= LIMITS.tau_window_max * HAIR).all()


wish = st.one_of(st.floats(-1.0, 1.0), st.floats(-500, 500), st.floats(allow_nan=False, allow_infinity=False),
                 st.sampled_from([1.7e308, -1.7e308, 0.0, 160.0]))  # fmt: skip


class PaperLink:
    """What acts on a robot whose confirmations lag and get lost, as a driver bounds it."""

    def __init__(self) -> None:
        self.sent = [(ZERO, Q)]

    def bounds(self):
        taus = np.array([tau for tau, _ in self.sent])
        return taus.min(axis=0), taus.max(axis=0), self.sent[0][1]

    def send(self, command) -> None:
        self.sent.append((command.tau, command.q_ref))

    def confirm(self, lag: int) -> None:
        """All but the newest ``lag`` commands are known to have been overtaken."""
        self.sent = self.sent[-(lag + 1) :]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([0.0, 300.0, 2000.0]), st.sampled_from([0.0, 1.0]))
def test_a_saturated_wish_always_passes(data, stiffness, full_speed):
    """Whatever finite torque and reference a controller wants, in a moving arm with late confirmations and uneven
    ticks: saturation makes it pass."""
    k = np.full(N, stiffness)
    gate, saturation, link = CommandGate(LIMITS, traits(), k), Saturation(LIMITS, traits(), k), PaperLink()
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    fixed = data.draw(st.one_of(st.none(), vectors(wish)))
    now, q = 10 * MS, Q.copy()
    speed = 0.3 * full_speed * rng.uniform(-1, 1, N)
    for _ in range(data.draw(st.integers(1, 60))):
        now += int(rng.integers(MS // 10, 3 * MS))
        q = q + speed * PERIOD
        g = 30.0 * np.sin(q)
        g[4:] *= 0.1
        low, high, q_ref = link.bounds()
        on = sample(t_ns=now, q=q.copy(), tau_accepted_lo=low, tau_accepted_hi=high, q_ref_accepted=q_ref)
        tau_wish = fixed if fixed is not None else rng.normal(0.0, 10.0 ** rng.uniform(-2, 3), N)
        ref_wish = q + rng.normal(0.0, 10.0 ** rng.uniform(-6, 2), N)
        tau, ref, limited = saturation.apply(tau_wish, ref_wish, on, g, now)
        verdict = gate.judge(TorqueCommand(tau, ref), on, g, now_ns=now, permitted=True)
        assert isinstance(verdict, PassedCommand), [f.headline() for f in verdict.faults]
        assert ((limited & ~LimitedBy.REFERENCE == 0) == (tau == tau_wish)).all() or (limited != 0).any()
        assert ((tau == tau_wish) | (limited != 0)).all(), "every change is reported"
        assert ((ref == ref_wish) == (limited & LimitedBy.REFERENCE == 0)).all()
        if rng.random() > 0.1:  # otherwise the command is lost
            link.send(verdict.command)
        if rng.random() > 0.2:
            link.confirm(int(rng.integers(0, 4)))


@settings(max_examples=200, deadline=None)
@given(vectors(anything), vectors(anything), st.integers(0, N - 1))
def test_what_is_not_finite_is_never_masked(tau, ref, joint):
    gate, saturation = CommandGate(LIMITS, traits(), ZERO), Saturation(LIMITS, traits(), ZERO)
    tau[joint] = NAN
    out, out_ref, _ = saturation.apply(tau, ref, sample(), ZERO, 10 * MS)
    assert (np.isnan(out) == np.isnan(tau)).all()
    assert (np.isinf(out) == np.isinf(tau)).all() or not np.isfinite(ref).all()
    verdict = gate.judge(TorqueCommand(out, out_ref), sample(), ZERO, now_ns=10 * MS, permitted=True)
    assert isinstance(verdict, Refusal)
    assert FaultCode.COMMAND_NOT_FINITE in {fault.code for fault in verdict.faults}
