"""From the controller to the motors: no wish, however broken, makes a joint feel more than its limits.

The mock's truth is the judge: its motor torque against the data sheet, its overlay against the gate's own limits. A
client that goes around the gate is the business of ``tests/sim_mocks/test_raw_client.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import StopCategory
from hil.recording import TelemetryWriter, UndisturbedWriter
from hil.telemetry.publisher import Publisher
from safety.saturation import LimitedBy
from safety.states import State
from tests.hil.bypass import Bypass, Wish

NAN, INF = math.nan, math.inf
odd = st.sampled_from([NAN, INF, -INF, 1e308, -1e308, 5e-324, 0.0])
number = st.one_of(st.floats(-2.0, 2.0), st.floats(-400.0, 400.0), odd)
sevens = st.lists(number, min_size=7, max_size=7)
gentle = st.lists(st.floats(-0.29, 0.29), min_size=7, max_size=7)
shapes = st.sampled_from(
    [np.zeros(6), np.zeros(8), np.zeros((7, 1)), np.zeros(7, int), np.zeros(7, np.float32), np.array(1.0), [0.0] * 7,
     None, "torque"]
)  # fmt: skip

wishes = st.one_of(
    st.tuples(st.just("constant"), gentle, st.integers(1, 60)),
    st.tuples(st.just("constant"), sevens, st.integers(1, 5)),
    st.tuples(st.just("shape"), shapes, st.just(1)),
    st.tuples(st.just("alternate"), st.sampled_from([1.0, 20.0, 320.0, 1e9, 1e308]), st.integers(1, 60)),
    st.tuples(st.just("walk"), st.tuples(st.integers(0, 99), st.sampled_from([0.1, 1.0, 30.0])), st.integers(1, 80)),
    st.tuples(st.just("ramp"), st.sampled_from([-1.0, -0.1, 0.1, 0.29, 0.99, 1.1]), st.integers(5, 60)),
    st.tuples(st.just("same array"), sevens, st.integers(2, 20)),
    st.tuples(st.just("raise"), st.none(), st.just(1)),
)
disturbances = st.one_of(
    st.tuples(st.sampled_from(["drop", "stall"]), st.sampled_from(["in", "out"]), st.integers(1, 15)),
    st.tuples(
        st.just("nan"),
        st.tuples(
            st.sampled_from(["q", "tau", "tau_ext", "q_set"]),
            st.sampled_from([None, 0, 6]),
            st.sampled_from([NAN, INF, 0.0, 0.4, 1e6]),
        ),
        st.integers(1, 4),
    ),
    st.tuples(st.just("push"), st.floats(-150.0, 150.0), st.just(1)),
)
orders = st.one_of(
    st.tuples(st.just("stop"), st.sampled_from(list(StopCategory)), st.integers(1, 40)),
    st.tuples(st.just("recover"), st.none(), st.just(1)),
    st.tuples(st.just("enable"), st.none(), st.just(1)),
    st.tuples(st.just("acknowledge"), st.none(), st.just(1)),
)
actions = st.lists(st.one_of(wishes, wishes, disturbances, orders), min_size=1, max_size=10)


def wish_of(kind: str, content: Any) -> Wish:
    """The controller of one action; it is asked with the number of its cycle."""
    if kind == "alternate":
        return lambda k, sample, dyn: np.full(7, content if k % 2 else -content)
    if kind == "walk":
        seed, scale = content
        steps = np.random.default_rng(seed).normal(0.0, scale, (100, 7))
        return lambda k, sample, dyn: steps[: k + 1].sum(axis=0)
    if kind == "ramp":
        return lambda k, sample, dyn: np.full(7, content * (k + 1))
    if kind == "same array":
        kept = np.zeros(7)  # handed out anew each time, and changed after it was judged

        def rewritten(k: int, *_: Any) -> Any:
            kept[:] = content if k % 2 else 0.0
            return kept

        return rewritten
    if kind == "raise":
        return lambda k, sample, dyn: 1 / 0
    if kind == "shape":
        return lambda k, sample, dyn: content
    return lambda k, sample, dyn: np.array(content)


def act(cell: Bypass, kind: str, content: Any, ticks: int) -> None:
    """Carry out one action of the sequence; what lasts beyond it meets the actions that follow."""
    if kind in ("drop", "stall"):
        cell.inject(kind, "iiwa", ticks, field=content)
    elif kind == "nan":
        field, joint, value = content
        cell.inject("nan", "iiwa", ticks, field=field, joint=joint, value=value)
    elif kind == "push":
        cell.control.push([content, 0.0, content, 0.0, 0.0, 0.0])
    elif kind == "stop":
        cell.supervisor.stop(content)
        cell.steps(ticks)
    elif kind == "enable":
        cell.supervisor.enable()
    elif kind == "acknowledge":
        cell.supervisor.acknowledge()
    elif kind == "recover":
        recover(cell)
    else:
        cell.adversary.want(wish_of(kind, content))
        cell.steps(ticks)


def recover(cell: Bypass) -> None:
    """What a person would do: wait until the arm stands, acknowledge, wait until it is ready, enable."""
    supervisor = cell.supervisor
    cell.control.push(None)
    cell.adversary.want(lambda k, sample, dyn: np.zeros(7))
    for _ in range(600):
        if supervisor.state is State.FAULTED:
            supervisor.acknowledge()
        elif supervisor.state is State.READY:
            supervisor.enable()
        elif supervisor.moving and supervisor.commanded:
            return
        supervisor.step()


sequences = given(
    sequence=actions,
    saturated=st.booleans(),
    stiffness=st.sampled_from([0.0, 0.0, 300.0]),
    tau_cmd_max=st.sampled_from([20.0, 0.2]),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@sequences
def test_no_sequence_makes_a_joint_feel_more_than_its_limits(
    sequence: list[tuple[str, Any, int]], saturated: bool, stiffness: float, tau_cmd_max: float
) -> None:
    _judge(sequence, saturated, stiffness, tau_cmd_max)


@pytest.mark.accept
@settings(max_examples=300, deadline=None, derandomize=True)
@sequences
def test_nor_do_hundreds_of_sequences(
    sequence: list[tuple[str, Any, int]], saturated: bool, stiffness: float, tau_cmd_max: float
) -> None:
    _judge(sequence, saturated, stiffness, tau_cmd_max)


def _judge(sequence: list[tuple[str, Any, int]], saturated: bool, stiffness: float, tau_cmd_max: float) -> None:
    cell = Bypass({"tau_cmd_max": tau_cmd_max}, stiffness, saturated)
    try:
        cell.hold(5)
        for kind, content, ticks in sequence:
            act(cell, kind, content, ticks)
        cell.steps(120)
        cell.check()
    finally:
        cell.close()


TIGHT = {"tau_cmd_max": (0.7, 1.0, 0.5, 0.5, 0.15, 0.15, 0.05), "tau_rate_max": 20.0}
"""N·m, half of what friction holds, so that no wish moves the arm away; N·m/s."""
finite = st.one_of(st.floats(-5.0, 5.0), st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(finite, min_size=7, max_size=7), min_size=2, max_size=40),
    repeat=st.integers(1, 5),
)
def test_no_finite_wish_is_a_fault(rows: list[list[float]], repeat: int) -> None:
    cell = Bypass(TIGHT)
    try:
        cell.hold(5)
        cell.adversary.want(lambda k, sample, dyn: np.array(rows[k // repeat % len(rows)]))
        cell.steps(150)
        assert cell.supervisor.commanded, cell.said
        assert not cell.batches
        cell.check()
    finally:
        cell.close()


def test_a_controller_at_its_limit_goes_on_saturated_and_reported(tmp_path: Any) -> None:
    cell = Bypass(TIGHT)
    publisher = Publisher(f"ipc://{tmp_path}/telemetry", 7, lockstep=False)
    limit = np.array(TIGHT["tau_cmd_max"])
    try:
        cell.hold(5)
        writer = TelemetryWriter(publisher)
        cell.supervisor._writer = UndisturbedWriter(writer)
        cell.adversary.want(lambda k, sample, dyn: np.full(7, 1000.0))
        cell.supervisor.step()
        first = publisher.fields["limited"].copy()
        cell.steps(400)
        assert cell.supervisor.commanded
        assert cell.supervisor.state is State.ENABLED
        assert not cell.batches
        row = publisher.fields
        assert (first & LimitedBy.RATE).all()
        assert (row["limited"] == LimitedBy.MAGNITUDE).all()
        assert (row["tau_wanted"] == 1000.0).all()
        np.testing.assert_allclose(row["tau_cmd"], limit, rtol=1e-8)
        # It acts: the motors give the limit, and got there as fast as is allowed.
        overlay = cell.truth()["overlay"]
        np.testing.assert_allclose(overlay[-1], limit, rtol=1e-8)
        np.testing.assert_allclose(np.diff(overlay, axis=0).max(axis=0), cell.limits.tau_rate_max * 1e-3, rtol=1e-8)
        cell.check()
    finally:
        cell.close()
        publisher.close()
