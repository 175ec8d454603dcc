"""Bring-up compares, sets, maps, reads back, and sees that the drives watch us, or refuses with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cobot_rig import CobotRig, commanded, torque, until

from drivers.cobot.config import mock_eds
from drivers.contract import ArmState
from drivers.errors import ConnectError
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.node import Nmt


@pytest.fixture
def rig() -> Iterator[CobotRig]:
    made = CobotRig()
    yield made
    made.close()


def test_everything_is_set_and_read_back(rig: CobotRig) -> None:
    arm = rig.arm(prove_heartbeat=True)
    arm.open()
    arm.read()
    for info, drive in zip(arm.nodes, rig.drives, strict=True):
        number = drive.node.dictionary.number
        assert info.vendor == 0x0048494C
        assert number(0x6060) == 10
        assert number(0x6007) == 3
        assert number(0x605A) == 2
        assert number(0x1016, 1) == 127 << 16 | 50
        assert number(0x1017) == 100
        assert (number(0x60C2, 1), number(0x60C2, 2)) == (2, -3)
        assert number(0x1006) == 2000
        assert number(0x1400, 5) == 10
        assert number(0x1A00) == 3
        assert number(0x1A00, 1) == 0x60640020
        assert number(0x6072) == number(0x60E0) == number(0x60E1) == int(150.0 / 0.1515)
        assert drive.node.nmt is Nmt.OPERATIONAL
        assert 0x8130 in drive.node.emergencies.active or number(0x1003, 1) == 0x8130  # it was seen to notice
    until(arm, ArmState.READY)
    arm.close()


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = mock_eds().read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "drive.eds"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def refused(rig: CobotRig, why: str, **changes: object) -> None:
    arm = rig.arm(**changes)
    with pytest.raises(ConnectError, match=why):
        arm.open()
    assert all(not drive.power.powered for drive in rig.drives)
    assert arm.line is None


def test_eds_of_another_product(rig: CobotRig, tmp_path: Path) -> None:
    eds = edited(tmp_path, "ProductNumber=0x00000402", "ProductNumber=0x00000777")
    refused(rig, "product 0x00000402, the EDS is for 0x00000777", eds=eds)


def test_unknown_vendor(rig: CobotRig, tmp_path: Path) -> None:
    refused(rig, "vendor", eds=edited(tmp_path, "VendorNumber=0x0048494C", "VendorNumber=0x00000001"))


def test_no_eds_and_no_readable_one(rig: CobotRig, tmp_path: Path) -> None:
    refused(rig, "no such file", eds=tmp_path / "missing.eds")
    rubbish = tmp_path / "rubbish.eds"
    rubbish.write_bytes(bytes(range(256)))
    refused(rig, "cannot be read", eds=rubbish)


def test_rated_torque_of_another_motor(rig: CobotRig) -> None:
    joints = list(rig.joints())
    joints[3] = rig.joints()[3].__class__(4, 101.0, 1000, 131072, tau_max=80.0)
    refused(rig, r"node 4: rated torque \(0x6076\) is 1500 mN·m, the cell says 1000", joints=tuple(joints))


def test_encoder_of_another_resolution(rig: CobotRig) -> None:
    joints = tuple(type(j)(j.node, j.gear, j.rated_torque_mNm, 4096, tau_max=150.0) for j in rig.joints())
    refused(rig, r"0x608F.*131072/1", joints=joints)


def test_torque_limit_that_the_drive_does_not_keep(rig: CobotRig) -> None:
    def keep(channel: int, frames: list[Frame]) -> list[Frame]:
        upload = b"\x4b\x72\x60\x00"
        return [(i, upload + b"\xe8\3\0\0") if i == 0x583 and d[:4] == upload else (i, d) for i, d in frames]

    rig.outgoing = keep
    refused(rig, r"node 3, 0x6072:00.*wrote 990 .* the drive kept 1000")


def test_a_node_that_is_not_there(rig: CobotRig) -> None:
    rig.drives[5].node.power(False, 0)
    refused(rig, "node 6.*no answer|node 6.*No SDO response")


def test_another_master_on_the_bus(rig: CobotRig) -> None:
    rig.outgoing = lambda channel, frames: [*frames, (0x080, b"")]
    refused(rig, "another program or controller drives this bus")


def test_a_drive_that_does_not_notice_a_missing_heartbeat(rig: CobotRig) -> None:
    deaf = rig.drives[2].node

    def drop(channel: int, frames: list[Frame]) -> list[Frame]:
        return [frame for frame in frames if frame[0] != 0x083]

    rig.outgoing = drop
    refused(rig, r"nodes \[3\] did not report \(EMCY 0x8130\)", prove_heartbeat=True)
    assert deaf.nmt is not Nmt.OPERATIONAL


def test_drives_that_an_earlier_program_left_running_are_taken_over_without_power(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    arm.command(torque(sample, np.full(6, 5.0)))
    assert arm.line is not None
    arm.line.close()  # this program ends without a word
    for _ in range(3):
        rig.tick()
    other = rig.arm()
    other.open()
    assert all(not drive.power.powered for drive in rig.drives)
    until(other, ArmState.READY)
    other.close()
