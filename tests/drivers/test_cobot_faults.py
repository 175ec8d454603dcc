"""What the cobot driver does when nodes, frames, the adapter or the supervisor fail. Lockstep, so that cycles count."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cobot_rig import CobotRig, SlcanWire, Wire, commanded, torque, until

from drivers.can.bus import BusConfig
from drivers.cobot.arm import CobotArm
from drivers.contract import ArmState, DeviceProblem, ProblemKind, RobotSample
from sim_mocks.cobot.frames import ERROR_FLAG, Frame


@pytest.fixture
def rig() -> Iterator[CobotRig]:
    made = CobotRig()
    yield made
    made.close()


def cycles(arm: CobotArm, count: int, stop: Callable[[RobotSample], bool] = lambda sample: False) -> int:
    """So many cycles, commanding zero torque where the arm is commanded; how many it took until ``stop``."""
    for k in range(count):
        sample = arm.read()
        if stop(sample):
            return k + 1
        if sample.state is ArmState.COMMANDED and sample.fresh:
            arm.command(torque(sample, np.zeros(6)))
    return count


def problems(arm: CobotArm) -> dict[ProblemKind, DeviceProblem]:
    return {problem.kind: problem for problem in arm.health().problems}


def left(sample: RobotSample) -> bool:
    return sample.state is not ArmState.COMMANDED


def commanding(rig: CobotRig) -> CobotArm:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.zeros(6)))
    cycles(arm, 40)
    return arm


class NoWire(Wire):
    """The cable is out."""

    def receive(self) -> list[Frame]:
        return []

    def send(self, frames: list[Frame]) -> None:
        return None


def powered(rig: CobotRig) -> list[bool]:
    return [drive.power.powered for drive in rig.drives]


def test_node_power_cycled_in_motion(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.drives[2].node.power(False, rig.t_ns)
    assert cycles(arm, 20, left) == 3
    assert not arm.enabled
    problem = problems(arm)[ProblemKind.NODE_LOST]
    assert (problem.part, problem.joint) == ("node 3", 2)
    cycles(arm, 200)
    assert powered(rig) == [False] * 6  # the others were stopped by their own quick stop
    rig.drives[2].node.power(True, rig.t_ns)
    cycles(arm, 100)
    found = problems(arm)
    assert "boot-up" in found[ProblemKind.NODE_RESTARTED].text
    arm.off()
    arm.release()
    cycles(arm, 100)
    assert arm.read().state is ArmState.MONITORING  # its settings are lost: only a new bring-up helps
    arm.reopen()
    until(arm, ArmState.READY)
    assert arm.trouble == ""
    assert not arm.enabled
    assert powered(rig) == [False] * 6
    arm.close()


def test_drive_fault_is_told_with_node_code_and_remedy_and_reset_by_release(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.drives[1].fault(0x2310)
    assert cycles(arm, 20, left) <= 2
    problem = problems(arm)[ProblemKind.DRIVE_FAULT]
    assert problem.part == "node 2"
    assert "0x2310 over-current" in problem.text
    assert "current" in problem.text
    assert "short" in problem.remedy
    assert not arm.enabled
    cycles(arm, 300)
    assert arm.read().state is ArmState.MONITORING  # nothing resets itself
    assert powered(rig) == [False] * 6
    arm.off()
    cycles(arm, 5)
    arm.release()
    until(arm, ArmState.READY)
    assert powered(rig) == [False] * 6
    assert not arm.enabled
    arm.close()


def test_a_fault_whose_cause_lasts_is_not_reset(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.drives[4].fault(0x4310, lasting=True)
    cycles(arm, 20)
    arm.off()
    arm.release()
    cycles(arm, 50)
    assert arm.read().state is ArmState.MONITORING
    assert problems(arm)[ProblemKind.DRIVE_FAULT].part == "node 5"
    rig.drives[4].mend(0x4310)
    arm.release()
    until(arm, ArmState.READY)
    arm.close()


def test_supervisor_killed_drives_stop_within_five_cycles_of_the_last_sync(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    for _ in range(60):
        arm.command(torque(sample, np.full(6, 10.0)))
        sample = arm.read()
    assert all(drive.power.stopping is None for drive in rig.drives)
    for silent in range(1, 20):  # noqa: B007
        rig.tick()
        if all(drive.power.stopping is not None for drive in rig.drives):
            break
    assert silent <= 7
    for _ in range(1000):
        rig.tick()
    assert np.abs(rig.qd).max() == 0.0
    assert powered(rig) == [False] * 6
    arm.close()


def test_sync_lost_on_the_way(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.incoming = lambda channel, frames: [frame for frame in frames if frame[0] != 0x80]
    assert cycles(arm, 20, left) == 3
    cycles(arm, 200)
    assert powered(rig) == [False] * 6
    arm.close()


def test_five_per_cent_of_all_frames_lost(rig: CobotRig) -> None:
    arm = commanding(rig)
    rng = np.random.default_rng(3)

    def lose(channel: int, frames: list[Frame]) -> list[Frame]:
        return [frame for frame in frames if rng.random() >= 0.05]

    rig.incoming = rig.outgoing = lose
    seen = 0
    for _ in range(300):
        sample = arm.read()
        # What an answer was not received for is bounded by all that may act.
        assert (sample.tau_accepted_lo <= sample.tau_accepted_hi).all()
        seen += sample.state is ArmState.COMMANDED
        if sample.state is ArmState.COMMANDED and sample.fresh:
            arm.command(torque(sample, np.zeros(6)))
    health = arm.health()
    assert health.gaps > 50
    assert health.quality < 0.9
    assert seen < 300 or arm.enabled
    rig.incoming = rig.outgoing = lambda channel, frames: frames
    was = arm.enabled
    cycles(arm, 200)
    assert arm.enabled <= was
    arm.close()


def test_frames_doubled_are_counted_and_harmless(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [frame for frame in frames for _ in range(2)]
    assert cycles(arm, 100, left) == 100
    assert arm.health().duplicates >= 590
    assert arm.health().problems == ()
    arm.close()


def test_frames_reordered(rig: CobotRig) -> None:
    arm = commanding(rig)
    rng = np.random.default_rng(5)

    def shuffle(channel: int, frames: list[Frame]) -> list[Frame]:
        return [frames[k] for k in rng.permutation(len(frames))]

    rig.incoming = rig.outgoing = shuffle
    assert cycles(arm, 100, left) == 100
    arm.close()


def test_answer_that_comes_a_cycle_late_counts_as_late(rig: CobotRig) -> None:
    arm = commanding(rig)
    held: list[Frame] = []

    def delay(channel: int, frames: list[Frame]) -> list[Frame]:
        now = [*held, *(frame for frame in frames if frame[0] != 0x184)]
        held[:] = [frame for frame in frames if frame[0] == 0x184]
        return now

    rig.outgoing = delay
    arm.read()
    rig.outgoing = lambda channel, frames: [*held, *frames]
    cycles(arm, 1)
    held.clear()
    cycles(arm, 5)
    assert arm.health().gaps == 1
    assert arm.health().late + arm.health().duplicates == 1
    assert arm.read().state is ArmState.COMMANDED
    arm.close()


@pytest.mark.parametrize(("bit", "reason"), [(30, "q_step"), (31, "q_range"), (46, "tau_range")])
def test_flipped_bit_in_feedback_makes_the_sample_invalid(rig: CobotRig, bit: int, reason: str) -> None:
    arm = commanding(rig)
    before = arm.read()
    arm.command(torque(before, np.zeros(6)))

    def flip(channel: int, frames: list[Frame]) -> list[Frame]:
        return [
            (can_id, bytes(b ^ (1 << bit % 8) if k == bit // 8 else b for k, b in enumerate(data)))
            if can_id == 0x186
            else (can_id, data)
            for can_id, data in frames
        ]

    rig.outgoing = flip
    sample = arm.read()
    assert not sample.valid
    assert sample.q.tolist() == before.q.tolist()
    # A half turn of the encoder's range is out of every joint's range as well.
    assert set(arm.health().rejected) <= {reason, "q_range"}
    rig.outgoing = lambda channel, frames: frames
    assert arm.read().valid
    arm.close()


def test_foreign_node_with_the_same_id(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [*frames, (0x183, b"\x10\x27\0\0\0\0\x40\x02")]
    assert cycles(arm, 20, lambda sample: bool(arm.health().problems)) <= 5
    problem = problems(arm)[ProblemKind.NODE_CONFLICT]
    assert problem.part == "node 3"
    assert "hil can scan" in problem.remedy
    arm.close()


def test_error_frames_are_a_disturbed_line_and_pass(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [*frames, (ERROR_FLAG | 8, bytes(8))]
    assert cycles(arm, 20, lambda sample: bool(arm.health().problems)) == 10
    assert "terminating" in problems(arm)[ProblemKind.BUS].remedy
    assert arm.read().state is ArmState.COMMANDED  # it can still be braked; to stop is the supervisor's decision
    arm.command(torque(arm.read(), np.zeros(6)))
    rig.outgoing = lambda channel, frames: frames
    cycles(arm, 600)
    assert arm.health().problems == ()
    assert arm.health().rejected == {"error_frame": 12}
    arm.close()


def test_bus_off_of_the_adapter(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.buses[0].set_adapter_off(True)
    assert cycles(arm, 20, left) == 3
    cycles(arm, 300)
    sample = arm.read()
    assert sample.state is ArmState.DISCONNECTED
    assert not arm.enabled
    assert powered(rig) == [False] * 6
    (lost,) = [p for p in arm.health().problems if p.kind is ProblemKind.NODE_LOST]
    assert lost.joint is None  # one problem of the bus, none of each node
    assert "no node answered 3 SYNCs" in lost.text
    rig.buses[0].set_adapter_off(False)
    cycles(arm, 100)
    assert not arm.enabled
    assert powered(rig) == [False] * 6
    arm.close()


@pytest.mark.parametrize(("flags", "words"), [(0x80, "bus-off"), (0x24, "error-passive")])
def test_an_adapter_that_states_errors(flags: int, words: str) -> None:
    """Asked every quarter of a second; told as long as it says so, and no cycle waits for the answer."""
    wire = SlcanWire()
    wire.flags = 0
    rig = CobotRig(wires=[wire])
    arm = commanding(rig)
    before, asked, ticks = arm.health().gaps, wire.commands.count(b"F"), rig.t_ns
    wire.flags = flags
    took = cycles(arm, 500, lambda sample: bool(arm.health().problems))
    assert 1 <= took <= 252
    assert words in problems(arm)[ProblemKind.BUS].text
    assert "slcan" in problems(arm)[ProblemKind.BUS].part
    assert arm.enabled, "the arm can still be braked by torque"
    wire.flags = 0x04
    cycles(arm, 252)
    assert arm.health().problems == ()
    assert arm.health().gaps == before
    seconds = (rig.t_ns - ticks) * 1e-9
    assert wire.commands.count(b"F") - asked == pytest.approx(4.0 * seconds, abs=1.5)
    arm.close()
    rig.close()


def test_another_master_on_the_bus(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [*frames, (0x203, b"\x0f\0\0\0")]
    assert cycles(arm, 20, lambda sample: bool(arm.health().problems)) <= 4
    assert "another master" in problems(arm)[ProblemKind.BUS].part
    arm.close()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ((0x183, b"\1\2\3"), "pdo_length"),
        ((0x283, b"\1\2\3"), "pdo_length"),
        ((0x083, b"\1\2"), "emcy_length"),
        ((0x703, b"\5\5"), "heartbeat_length"),
        ((0x703, b""), "heartbeat_length"),
        ((0x720, b"\5"), "unknown_node"),
    ],
)
def test_frames_of_a_wrong_form_are_refused_and_counted(rig: CobotRig, frame: Frame, reason: str) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [frame, *frames]
    assert cycles(arm, 5, left) == 5
    assert arm.health().rejected == {reason: 5}
    arm.close()


def test_adapter_unplugged_and_plugged_in_again(tmp_path: Path) -> None:
    wire = SlcanWire()
    link = tmp_path / "can"
    link.symlink_to(wire.config.channel)
    wire.config = BusConfig("slcan", str(link))
    rig = CobotRig(wires=[wire])
    arm = commanding(rig)
    wire.close()
    rig.wires = [NoWire()]
    assert cycles(arm, 20, left) <= 4
    sample = arm.read()
    assert sample.state is ArmState.DISCONNECTED
    assert not arm.enabled
    assert str(link) in problems(arm)[ProblemKind.ADAPTER_LOST].part
    arm.off()
    arm.reopen()
    link.unlink()
    cycles(arm, 3)
    assert "plug" in arm.trouble
    again = SlcanWire()
    link.symlink_to(os.ttyname(again.slave))
    rig.wires = [again]
    arm.reopen()
    arm.release()
    until(arm, ArmState.READY)
    assert arm.trouble == ""
    assert not arm.enabled
    arm.close()
    rig.close()


def test_heartbeat_of_a_drive_that_stops_is_noticed(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.outgoing = lambda channel, frames: [frame for frame in frames if frame[0] != 0x705]
    took = cycles(arm, 400, left)
    assert took <= 0.3 / rig.period + 1
    assert problems(arm)[ProblemKind.NODE_STATE].part == "node 5"
    arm.close()


def test_our_heartbeat_keeps_coming_and_ends_with_us(rig: CobotRig) -> None:
    arm = commanding(rig)
    rig.log.clear()
    cycles(arm, 100)
    beats = [k for k, tick in enumerate(rig.log) if any(frame == (0x77F, b"\5") for frame in tick)]
    assert np.diff(beats).max() * rig.period <= 0.018
    arm.close()
    rig.log.clear()
    for _ in range(50):
        rig.tick()
    assert rig.log == [[]] * 50
