"""The PiPER's own gripper on the mock: told, seen, and never believed without feedback."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from piper_rig import PiperRig

from drivers.errors import RefusedError
from drivers.gripper import Gripper, GripState
from drivers.piper.gripper import PiperGripper


@pytest.fixture
def rig() -> Iterator[PiperRig]:
    made = PiperRig()
    yield made
    made.close()


def run(rig: PiperRig, ticks: int) -> None:
    for _ in range(ticks):
        rig.arm.read()


def test_opens_and_closes_on_nothing(rig: PiperRig) -> None:
    rig.ready()
    jaws: Gripper = PiperGripper("jaws", rig.arm, rig.host)
    assert jaws.read().state is GripState.UNKNOWN
    jaws.let_go()
    run(rig, 10)
    assert jaws.read().state is GripState.MOVING
    run(rig, 200)
    assert jaws.read().state is GripState.OPEN
    jaws.grasp()
    run(rig, 10)
    assert jaws.read().state is GripState.MOVING
    run(rig, 200)
    sample = jaws.read()
    assert (sample.state, sample.holding) == (GripState.EMPTY, False)


def test_jaws_that_stop_on_the_way_hold_something_and_jaws_that_never_left_are_stuck(rig: PiperRig) -> None:
    rig.ready()
    jaws = PiperGripper("jaws", rig.arm, rig.host)
    jaws.grasp()

    def standing(stroke: float) -> None:
        data = struct.pack(">ihBx", round(stroke * 1e6), 800, 0xC0)
        rig.tap.filter = lambda frames: [(i, data if i == 0x2A8 else d, k) for i, d, k in frames]

    standing(0.03)
    run(rig, 301)
    assert jaws.read().state is GripState.HOLDING
    assert jaws.read().holding
    standing(0.07)
    run(rig, 2)
    assert jaws.read().state is GripState.STUCK


def test_without_feedback_nothing_is_known_and_nothing_is_commanded(rig: PiperRig) -> None:
    rig.ready()
    jaws = PiperGripper("jaws", rig.arm, rig.host)
    jaws.let_go()
    run(rig, 200)
    rig.tap.filter = lambda frames: [frame for frame in frames if frame[0] != 0x2A8]
    run(rig, 21)
    assert jaws.read().state is GripState.UNKNOWN
    with pytest.raises(RefusedError, match="0x2A8"):
        jaws.grasp()
    rig.arm.close()
    with pytest.raises(RefusedError, match="not open"):
        rig.arm.send_gripper(0.01, 1.0)


@pytest.mark.parametrize(
    "how", [{"opened": 0.0}, {"closed": 0.08}, {"torque": 6.0}, {"torque": 0.0}, {"travel_time": 0.0}, {"opened": 9.0}]
)
def test_figures_that_cannot_be_are_refused(rig: PiperRig, how: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="gripper"):
        PiperGripper("jaws", rig.arm, rig.host, **how)
