"""Whatever a client sends in whatever state, the joints feel no torque and no torque rate above the limits."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim_mocks.iiwa_rig import Q0, RATE_MAX, TAU_MAX, Rig
from tests.sim_mocks.raw_fri import command

odd = st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324])
torque = st.one_of(st.floats(-400.0, 400.0), st.floats(-2.0, 2.0), odd)
delta = st.one_of(st.floats(-0.3, 0.3), st.floats(-2e-3, 2e-3), odd)
vector = st.integers(0, 8).flatmap(lambda n: st.lists(torque, min_size=n, max_size=n))
seven = st.lists(torque, min_size=7, max_size=7)
gentle = st.lists(st.floats(-1.4, 1.4), min_size=7, max_size=7)
offsets = st.lists(delta, min_size=7, max_size=7)
action = st.one_of(
    st.tuples(st.just("gentle"), gentle, st.integers(1, 20)),
    st.tuples(st.just("torque"), st.one_of(seven, vector), st.integers(1, 3)),
    st.tuples(st.just("offset"), offsets, st.integers(1, 3)),
    st.tuples(st.just("silence"), st.just([]), st.integers(1, 30)),
    st.tuples(st.just("old"), seven, st.integers(1, 5)),
    st.tuples(st.just("garbage"), st.binary(max_size=60), st.integers(1, 2)),
    st.tuples(st.just("restart"), st.just([]), st.integers(1, 1)),
    st.tuples(st.just("stop"), st.just([]), st.integers(1, 1)),
)


@settings(max_examples=60, deadline=None)
@given(
    stiffness=st.sampled_from([0.0, 100.0, 5000.0]),
    push=st.floats(-300.0, 300.0),
    actions=st.lists(action, min_size=1, max_size=12),
)
def test_joints_never_feel_more_than_the_limits(stiffness: float, push: float, actions: list[tuple]) -> None:  # type: ignore[type-arg]
    rig = Rig()
    rig.activate(stiffness=[stiffness] * 7)
    for kind, content, ticks in actions:
        if kind == "restart":
            if rig.states[-1] == 4:
                rig.world.push(np.full(6, push))
            else:
                rig.run(200)
                if rig.states[-1] == 2 and rig.braked[-1]:
                    rig.controller.start_overlay(rig.t_ns, stiffness=[stiffness] * 7)
                    rig.run(120)
        elif kind == "stop":
            rig.controller.cancel_overlay(rig.t_ns)
        for _ in range(ticks):
            seen = rig.tick()
            if seen is None or seen.q is None or kind in ("silence", "restart", "stop"):
                continue
            if kind == "garbage":
                rig.inbox.append(content)
            elif kind == "offset":
                rig.inbox.append(command(rig.client_seq, seen.seq, (Q0 + np.array(content)).tolist(), [0.0] * 7))
            else:
                reflected = seen.seq - 1 if kind == "old" else seen.seq
                rig.inbox.append(command(rig.client_seq, max(reflected, 0), seen.q.tolist(), content))
            rig.client_seq += 1
    tau = np.array(rig.tau)
    rate = np.abs(np.diff(tau, axis=0, prepend=np.zeros((1, 7)))) / 1e-3
    assert np.isfinite(tau).all()
    assert (np.abs(tau) <= TAU_MAX * (1 + 1e-12)).all()
    assert rate.max() <= RATE_MAX * (1 + 1e-9)
    # No overlay is left once the brakes are closed.
    overlay = np.array(rig.overlay)
    assert not overlay[np.array(rig.braked)].any()
