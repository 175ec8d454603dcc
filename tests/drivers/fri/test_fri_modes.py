"""Position and wrench overlays, receive multiplier, inputs and outputs, and streams of another version."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fri_rig import ACTIVE, IDLE, IPO, READY, SYNC, WAIT, Rig, passed

from drivers.contract import (
    ArmState,
    PassedCommand,
    PositionCommand,
    RobotSample,
    StopAction,
    TorqueCommand,
    WrenchCommand,
)
from drivers.errors import RefusedError
from drivers.fri.codec import IoValue, codec_for
from drivers.fri.modes import MODES
from drivers.fri.traits import iiwa_traits
from drivers.fri.wire import IoType

MODE_OF = {"position": 1, "wrench": 2, "torque": 3}
CONTROL_OF = {"position": 0, "wrench": 1, "torque": 2}
OUTPUT = IoValue("Gripper.Close", 0, 1, digital=0)
SPEED = IoValue("Gripper.Speed", 2, 1, analog=0.0)
STEP = IoValue("Gripper.Step", 1, 1, digital=0)
INPUT = IoValue("Gripper.Closed", 0, 0, digital=1)
IOS = [OUTPUT, SPEED, STEP, INPUT]
DECLARED = {
    "Gripper.Close": IoType.BOOLEAN,
    "Gripper.Speed": IoType.ANALOG,
    "Gripper.Step": IoType.DIGITAL,
    "Gripper.Closed": IoType.BOOLEAN,
    "Gripper.Gone": IoType.BOOLEAN,
}


class ModeRig(Rig):
    """A rig in one client command mode."""

    def __init__(self, mode: str, **more: object) -> None:
        super().__init__(mode=mode, **more)  # type: ignore[arg-type]
        self.mode = mode

    def tick(self, session: int, **changes: object) -> RobotSample:
        if session >= SYNC:
            changes.setdefault("client_command_mode", MODE_OF[self.mode])
            changes.setdefault("control_mode", CONTROL_OF[self.mode])
        return super().tick(session, **changes)


@pytest.fixture(params=["position", "wrench"])
def rig(request: pytest.FixtureRequest) -> Iterator[ModeRig]:
    rig = ModeRig(request.param)
    yield rig
    rig.close()


def _command(mode: str, q_ref: np.ndarray = IPO, wrench: tuple[float, ...] = (1.0, 2.0, 3.0, 0.0, 0.0, 0.0)) -> object:
    return PositionCommand(q_ref) if mode == "position" else WrenchCommand(np.array(wrench), q_ref)


def test_synchronisation_mirrors_what_the_mode_needs(rig: ModeRig) -> None:
    """POSITION: the position alone. WRENCH: with a zero wrench, whose absence would be an error. Never a torque."""
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    assert rig.tick(SYNC).state is ArmState.SYNCHRONISING
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.q, IPO)
    assert answer.tau is None
    if rig.mode == "wrench":
        np.testing.assert_array_equal(answer.wrench, np.zeros(6))
    else:
        assert answer.wrench is None


def test_commands_of_the_mode_go_out_as_they_are(rig: ModeRig) -> None:
    sample = rig.until_commanded()
    assert sample.state is ArmState.COMMANDED
    assert rig.arm.health().flags == frozenset()
    rig.arm.command(PassedCommand(_command(rig.mode, IPO + 0.01), sample.seq))  # type: ignore[arg-type]
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.q, IPO + 0.01)
    if rig.mode == "wrench":
        np.testing.assert_array_equal(answer.wrench, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    sample = rig.tick(ACTIVE)
    np.testing.assert_array_equal(sample.q_ref_accepted, IPO + 0.01)
    # What a wrench does to the joints is known to the controller only.
    assert np.isnan(sample.tau_accepted_lo).all() == (rig.mode == "wrench")


def test_commands_of_another_mode_are_refused(rig: ModeRig) -> None:
    sample = rig.until_commanded()
    for command in (TorqueCommand(np.zeros(7), IPO), _command("wrench" if rig.mode == "position" else "position")):
        with pytest.raises(RefusedError, match=f"client command mode {rig.mode.upper()}"):
            rig.arm.command(PassedCommand(command, sample.seq))  # type: ignore[arg-type]
    assert rig.controller.answers() == []


def test_an_overlay_of_another_mode_is_not_commanded(rig: ModeRig) -> None:
    """The robot application started TORQUE, and CARTESIAN_POSE, which nobody here commands."""
    rig.tick(READY)
    rig.arm.enable()
    rig.controller.answers()
    assert rig.tick(SYNC, client_command_mode=3).state is ArmState.MONITORING
    assert any("start the overlay with " + rig.mode.upper() in flag for flag in rig.arm.health().flags)
    assert rig.controller.answers() == []


def test_a_control_mode_that_does_not_fit_is_told() -> None:
    rig = ModeRig("torque")
    rig.tick(READY)
    rig.arm.enable()
    rig.tick(SYNC, control_mode=0)
    assert "control mode POSITION: TORQUE needs JOINT_IMPEDANCE" in rig.arm.health().flags
    rig.close()


def test_first_reference_must_lie_near_the_mirrored_one(rig: ModeRig) -> None:
    sample = rig.until_commanded()
    with pytest.raises(RefusedError, match="set-point"):
        rig.arm.command(PassedCommand(_command(rig.mode, IPO + 0.11), sample.seq))  # type: ignore[arg-type]
    assert rig.controller.answers() == []


@pytest.mark.parametrize("axis", [3, 4, 5])
def test_moments_are_refused_until_their_order_is_declared(axis: int) -> None:
    """Undeclared: refused, and a force alone passes. Declared: the wire carries them in that order."""
    wrench = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    wrench[axis] = 0.5
    for order, place in ((None, None), ("xyz", axis), ("zyx", 8 - axis)):
        rig = ModeRig("wrench", moment_order=order)
        sample = rig.until_commanded()
        passed_on = PassedCommand(WrenchCommand(wrench, IPO), sample.seq)
        if place is None:
            with pytest.raises(RefusedError, match="moment_order"):
                rig.arm.command(passed_on)
            assert rig.controller.answers() == []
        else:
            rig.arm.command(passed_on)
            (answer,) = rig.controller.answers()
            assert answer.wrench is not None
            assert answer.wrench[0] == 1.0
            assert np.flatnonzero(answer.wrench[3:]).tolist() == [place - 3]
        rig.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_that_is_not_finite_leaves(rig: ModeRig, bad: float) -> None:
    sample = rig.until_commanded()
    q_ref = IPO.copy()
    q_ref[6] = bad
    broken = [_command(rig.mode, q_ref)]
    if rig.mode == "wrench":
        broken.append(_command("wrench", wrench=(bad, 0.0, 0.0, 0.0, 0.0, 0.0)))
    for command in broken:
        with pytest.raises(RefusedError):
            rig.arm.command(PassedCommand(command, sample.seq))  # type: ignore[arg-type]
    assert rig.controller.answers() == []


def test_only_torques_can_brake() -> None:
    """Without torques there is no damped braking of ours: every stop is silence."""
    assert StopAction.BRAKE_AND_HOLD in iiwa_traits("a", 1e-3).stops.values()
    for mode in ("position", "wrench"):
        traits = iiwa_traits("a", 1e-3, command_mode=mode)
        assert traits.commands == (MODES[mode].command,)
        assert set(traits.stops.values()) == {StopAction.OFF}


@pytest.mark.parametrize("n", [2, 3, 5])
def test_with_a_multiplier_every_nth_packet_is_answered(n: int) -> None:
    """One read, one sample and one answer for each group of packets; velocities see the whole span."""
    rig = ModeRig("torque", receive_multiplier=n)
    answered = []
    for _ in range(6):
        for _ in range(n):
            rig.controller.send(READY, receive_multiplier=n)
        assert rig.arm.read().state is ArmState.READY
        answered += [a.reflected_seq for a in rig.controller.answers()]
    assert answered == [n * k + n - 1 for k in range(6)]
    health = rig.arm.health()
    assert (health.unanswered, health.late, health.gaps) == (0, 0, 0)
    assert health.flags == frozenset()
    assert rig.differentiator.dts == pytest.approx([n * 1e-3] * 5)
    rig.close()


def test_a_lost_packet_does_not_make_the_group_longer() -> None:
    rig = ModeRig("torque", receive_multiplier=2)
    for lost in (False, True, False):
        rig.controller.send(READY, receive_multiplier=2)
        if lost:
            rig.controller.seq += 1
        else:
            rig.controller.send(READY, receive_multiplier=2)
        rig.arm.read()
    assert [a.reflected_seq for a in rig.controller.answers()] == [1, 2, 5]
    rig.close()


@pytest.mark.parametrize(("stated", "cell"), [(2, 1), (1, 2), (-1, 2)])
def test_another_multiplier_than_the_cells_is_never_commanded(stated: int, cell: int) -> None:
    rig = ModeRig("torque", receive_multiplier=cell)
    for _ in range(4):
        sample = rig.tick(READY, receive_multiplier=stated)
    assert sample.state is ArmState.MONITORING
    assert any(f"cell says {cell}" in flag for flag in rig.arm.health().flags)
    with pytest.raises(RefusedError):
        rig.arm.enable()
    rig.close()


def test_ios_have_their_own_types() -> None:
    rig = ModeRig("torque")
    assert rig.arm.ios() == {}
    broken = IoValue("A.Broken", 0, 0, digital=1, analog=1.0)
    rig.tick(
        READY, ios=[*IOS, IoValue("A.Analog", 2, 0, analog=0.5), IoValue("A.Count", 1, 0, digital=2**64 - 1), broken]
    )
    found = rig.arm.ios()
    assert found["Gripper.Closed"] is True
    assert found["Gripper.Close"] is False
    assert found["A.Analog"] == 0.5
    assert found["A.Count"] == 2**64 - 1
    assert "A.Broken" not in found
    rig.close()


@pytest.mark.parametrize("version", ["1.15", "2.5", "2.7"])
def test_an_output_is_written_until_the_controller_reports_it(version: str) -> None:
    """In monitoring, while synchronising and with commands; then no more."""
    rig = ModeRig("torque", version=version, outputs=DECLARED)
    rig.tick(READY, ios=IOS)
    rig.controller.answers()
    rig.arm.write_output("Gripper.Close", True)
    rig.arm.write_output("Gripper.Speed", 0.5)
    rig.arm.write_output("Gripper.Step", 7)
    rig.arm.enable()
    for session in (READY, SYNC, SYNC):
        rig.tick(session, ios=IOS)
        (answer,) = rig.controller.answers()
        written = {io.name: (io.type, io.direction, io.digital, io.analog) for io in answer.ios}
        assert written == {
            "Gripper.Close": (0, 1, 1, None),
            "Gripper.Speed": (2, 1, None, 0.5),
            "Gripper.Step": (1, 1, 7, None),
        }
    taken = [IoValue("Gripper.Close", 0, 1, digital=1), SPEED, IoValue("Gripper.Step", 1, 1, digital=7)]
    sample = rig.tick(ACTIVE, ios=taken)
    rig.arm.command(passed(sample.seq, np.zeros(7)))
    (answer,) = rig.controller.answers()
    assert [io.name for io in answer.ios] == ["Gripper.Speed"]
    rig.close()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Gripper.Other", True, "not declared"),
        ("Gripper.Gone", True, "does not offer"),
        ("Gripper.Closed", True, "is an input"),
        ("Gripper.Close", 1, "true or false"),
        ("Gripper.Close", 0.5, "true or false"),
        ("Gripper.Step", -1, "integer"),
        ("Gripper.Step", True, "integer"),
        ("Gripper.Step", 1 << 64, "integer"),
        ("Gripper.Speed", float("nan"), "finite"),
        ("Gripper.Speed", True, "finite"),
    ],
)
def test_writes_that_do_not_fit_are_refused(name: str, value: float, text: str) -> None:
    rig = ModeRig("torque", outputs=DECLARED)
    rig.tick(READY, ios=IOS)
    rig.controller.answers()
    with pytest.raises(RefusedError, match=text):
        rig.arm.write_output(name, value)
    rig.tick(READY, ios=IOS)
    assert rig.controller.answers()[0].ios == []
    rig.close()


def test_an_output_of_another_type_than_declared_is_refused() -> None:
    rig = ModeRig("torque", outputs={"Gripper.Close": IoType.DIGITAL})
    rig.tick(READY, ios=IOS)
    with pytest.raises(RefusedError, match="BOOLEAN on the controller and DIGITAL in the cell file"):
        rig.arm.write_output("Gripper.Close", 1)
    rig.close()


@pytest.mark.parametrize("how", ["off", "idle", "close"])
def test_no_write_outlives_the_session(how: str) -> None:
    rig = ModeRig("torque", outputs=DECLARED)
    with pytest.raises(RefusedError, match="no answer is sent now"):
        rig.arm.write_output("Gripper.Close", True)
    rig.tick(READY, ios=IOS)
    rig.arm.write_output("Gripper.Close", True)
    if how == "off":
        rig.arm.off()
        with pytest.raises(RefusedError, match="no answer is sent now"):
            rig.arm.write_output("Gripper.Close", True)
        rig.arm.release()
    elif how == "idle":
        rig.tick(IDLE)
    else:
        rig.arm.close()
        rig.arm.open()
        rig.controller.to = rig.arm.address
    rig.controller.answers()
    rig.tick(READY, ios=IOS)
    assert [a.ios for a in rig.controller.answers()] == [[]]
    rig.close()


def test_1_11_has_no_outputs() -> None:
    rig = ModeRig("torque", version="1.11", outputs=DECLARED)
    rig.tick(READY)
    with pytest.raises(RefusedError, match=r"1\.11 carries no"):
        rig.arm.write_output("Gripper.Close", True)
    rig.close()


@pytest.mark.parametrize(
    ("sender", "cell", "seen"),
    [
        ("2.7", "1.15", "FRI 2.7"),
        ("2.5", "1.15", "FRI 2.5"),
        ("1.15", "2.7", "1.14, 1.15, 1.16"),
        ("1.15", "2.5", "1.15"),
    ],
)
def test_a_stream_of_another_version_is_named_and_gets_no_answer(sender: str, cell: str, seen: str) -> None:
    """The flag says what the stream is and which key to change; a stream of the right version clears it."""
    rig = ModeRig("torque", version=cell)
    rig.controller.codec = codec_for(sender)
    for _ in range(3):
        sample = rig.tick(WAIT, pose=np.array([1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0]))
    assert sample.state is ArmState.DISCONNECTED
    assert rig.arm.health().rejected == {"version": 3}
    (flag,) = rig.arm.health().flags
    assert seen in flag
    assert f"the cell says {cell}: set robot.fri.version" in flag
    rig.controller.codec = codec_for(cell)
    assert rig.controller.answers() == []
    rig.controller.seq = 1000
    assert rig.tick(READY).state is ArmState.READY
    assert rig.arm.health().flags == frozenset()
    rig.close()


def test_a_closed_session_says_when_the_next_one_can_come() -> None:
    rig = ModeRig("torque")
    rig.tick(READY)
    rig.tick(IDLE)
    assert any("about 5 s later" in flag for flag in rig.arm.health().flags)
    rig.close()


@pytest.mark.parametrize("version", ["1.11", "2.5", "2.7"])
def test_a_session_of_each_version(version: str) -> None:
    """Ready, synchronised, commanded; 2.x monitoring is answered with the header alone."""
    rig = ModeRig("torque", version=version)
    rig.tick(READY)
    (answer,) = rig.controller.answers()
    assert (answer.q is None) == version.startswith("2")
    sample = rig.until_commanded()
    assert sample.state is ArmState.COMMANDED
    rig.command(sample, 1.0)
    (answer,) = rig.controller.answers()
    np.testing.assert_array_equal(answer.tau, np.ones(7))
    rig.close()


def test_parameters_that_fri_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="multiplier"):
        Rig(receive_multiplier=0)
    with pytest.raises(ValueError, match="moment order"):
        Rig(moment_order="yxz")
