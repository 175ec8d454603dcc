"""hil can: who is on the bus, what is said in words, how full it will be, and the map as DBC."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cantools
import numpy as np
import pytest
from typer.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "drivers"))
from cobot_rig import CobotRig, commanded, torque

from drivers.can.bus import DATA, ERROR, EXTENDED
from drivers.can.opening import open_bus
from drivers.cobot.config import mock_eds
from hil.can.dbc import export
from hil.can.scan import scan
from hil.can.watch import Statistics, describe, line
from hil.cli import app


@pytest.fixture
def rig() -> Iterator[CobotRig]:
    made = CobotRig()
    yield made
    made.close()


def test_scan_finds_every_node_and_compares_it_with_the_eds(rig: CobotRig, tmp_path: Path) -> None:
    rig.drives[3].fault(0x4310, lasting=True)
    bus = open_bus(rig.wires[0].config)
    result = scan(bus, rig, listen=0.1, eds=mock_eds())
    assert [node.node for node in result.nodes] == [1, 2, 3, 4, 5, 6]
    assert all(node.answers and node.servo and node.eds == "agrees" for node in result.nodes)
    third = result.nodes[2]
    assert (third.vendor, third.product, third.serial) == (0x0048494C, 0x402, 3)
    assert third.torque_modes == (10, 4)
    assert third.state == "switch on disabled"
    assert third.heard["heartbeat"] >= 1
    assert result.nodes[3].errors == ("0x4310 motor too hot",)
    other = tmp_path / "other.eds"
    other.write_text(mock_eds().read_text().replace("ProductNumber=0x00000402", "ProductNumber=0x00000777"))
    again = scan(bus, rig, listen=0.01, ids=[2], eds=other)
    assert [node.eds for node in again.nodes if node.answers] == ["product 0x00000402, EDS 0x00000777"]
    bus.close()


def test_requests_are_paced_and_passive_sends_nothing(rig: CobotRig) -> None:
    bus = open_bus(rig.wires[0].config)
    rig.log.clear()
    scan(bus, rig, listen=0.05, probe=False)
    assert all(not tick for tick in rig.log)
    rig.log.clear()
    scan(bus, rig, listen=0.01, ids=range(50, 80))
    asked = [k for k, tick in enumerate(rig.log) if tick]
    assert len(asked) == 30
    assert max(len(tick) for tick in rig.log) == 1
    bus.close()


def test_nothing_is_sent_where_another_master_is_heard(rig: CobotRig) -> None:
    rig.outgoing = lambda channel, frames: [*frames, (0x080, b"")]
    bus = open_bus(rig.wires[0].config)
    rig.log.clear()
    result = scan(bus, rig, listen=0.05)
    assert result.sync > 0
    assert not result.probed
    assert all(not tick for tick in rig.log)
    bus.close()


@pytest.mark.parametrize(
    ("can_id", "data", "text"),
    [
        (0x000, "0103", "NMT start node 3"),
        (0x000, "8000", "NMT enter pre-operational all nodes"),
        (0x080, "", "SYNC"),
        (
            0x083,
            "3081110000000000",
            "node 3 EMCY 0x8130 heartbeat or life guarding lost (register: generic, communication)",
        ),
        (0x203, "0f00feff", "node 3 RPDO1 controlword 0x000F (enable operation), target_torque -2 ‰"),
        (0x183, "01000000ffff3716", "node 3 TPDO1 position 1, torque -1 ‰, statusword 0x1637 (operation enabled)"),
        (0x283, "0000000005000a", "node 3 TPDO2 velocity 0, current 5 ‰, mode 10 (cyclic sync torque)"),
        (0x703, "05", "node 3 heartbeat operational"),
        (0x603, "4018100100000000", "node 3 SDO read 0x1018:01?"),
        (0x583, "4318100192010200", "node 3 SDO read 0x1018:01 = 0x20192"),
        (0x603, "2f6060000a000000", "node 3 SDO write 0x6060:00 := 0xA"),
        (0x583, "6060600000000000", "node 3 SDO written 0x6060:00"),
        (0x583, "8072600030000906", "node 3 SDO abort 0x6072:00 0x06090030 value out of range"),
        (0x183, "0102", "node 3 TPDO1 of 2 bytes, expected 8"),
        (0x083, "01", "node 3 EMCY of 1 bytes"),
        (0x703, "", "node 3 heartbeat?"),
        (0x583, "", "node 3 SDO of 0 bytes"),
    ],
)
def test_frames_in_words(can_id: int, data: str, text: str) -> None:
    assert describe((can_id, bytes.fromhex(data), DATA)) == text


def test_lines_and_figures() -> None:
    assert line((0x80, b"", DATA), 1.5) == "    1.5000 0 080 [0]                         SYNC"
    assert line((0x12345, b"\1", EXTENDED), 0.0).endswith("29-bit identifier: not of CANopen")
    statistics = Statistics(1_000_000)
    for k in range(5):
        statistics.take([(0x181, bytes(8), DATA), (0, b"", ERROR)], 0.1 * k if k < 4 else 1.0)
    assert statistics.frames == {0x181: 5}
    assert statistics.gap[0x181] == pytest.approx(0.7)
    assert statistics.errors == 5
    assert statistics.load(1.0) == pytest.approx(1.06 * 5 * 111e-6)


def test_load_of_a_plan_is_told_and_refused(rig: CobotRig) -> None:
    runner = CliRunner()
    accepted = runner.invoke(app, ["can", "load"])
    assert accepted.exit_code == 0
    assert "70.9 % typical, 80.9 % worst at 500 Hz" in accepted.output
    assert runner.invoke(app, ["can", "load", "-n", "3", "-n", "3", "--rate", "1000"]).exit_code == 0
    refused = runner.invoke(app, ["can", "load", "--rate", "1000"])
    assert refused.exit_code == 1
    assert "second channel" in refused.output
    assert runner.invoke(app, ["can", "load", "--rate", "nan"]).exit_code == 1


def test_load_and_dbc_of_a_cell(tmp_path: Path) -> None:
    runner = CliRunner()
    planned = runner.invoke(app, ["can", "load", "cobot"])
    assert planned.exit_code == 0
    assert "70.9 % typical" in planned.output or "71" in planned.output
    out = tmp_path / "cobot.dbc"
    assert runner.invoke(app, ["can", "dbc", "cobot", "--out", str(out)]).exit_code == 0
    assert cantools.database.load_file(out).get_message_by_name("DRIVE3_TPDO1").frame_id == 0x183
    other = runner.invoke(app, ["can", "load", "iiwa14_polish"])
    assert other.exit_code == 1
    assert "no CAN bus" in other.output


def test_no_adapter_is_no_traceback() -> None:
    result = CliRunner().invoke(app, ["can", "scan", "-i", "slcan", "-c", "/dev/nowhere"])
    assert result.exit_code == 1
    assert "plug the device in" in result.output


def test_dbc_decodes_what_the_driver_and_the_drives_send(rig: CobotRig) -> None:
    arm, sample = commanded(rig)
    database = cantools.database.load_string(export(arm.config.joints, arm.config.period), "dbc")
    arm.command(torque(sample, np.full(6, 30.0)))
    rig.log.clear()
    sample = arm.read()
    sent = dict(rig.log[0])
    command = database.decode_message(0x202, sent[0x202])
    assert command["controlword"] == 0x0F
    assert command["target_torque"] == pytest.approx(30.0, abs=0.08)
    rig.q[:] = 0.5
    arm.command(torque(sample, np.full(6, 30.0)))
    heard: dict[int, bytes] = {}
    rig.outgoing = lambda channel, frames: heard.update(dict(frames)) or frames
    arm.read()
    feedback = database.decode_message(0x186, heard[0x186])
    assert feedback["position"] == pytest.approx(np.degrees(0.5), abs=1e-3)
    assert feedback["torque"] == pytest.approx(30.0, abs=0.2)
    assert database.decode_message(0x77F, b"\5")["nmt_state"] == "operational"
    arm.close()
