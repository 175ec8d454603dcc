"""canopen's own CiA 402 client, unmodified, on the mock drives: on ``virtual`` and on an slcan adapter.

What the library needs to be asked for (its behaviour, not ours): RPDO type 255, as it never transmits a controlword of
a synchronous PDO; an event timer on TPDO1, as it takes the second reception of any TPDO for a period and waits for the
next; its ``reset_from_fault`` waits 400 ms in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import canopen
import pytest
from canopen.profiles.p402 import BaseNode402
from cobot_cells import Flywheels, cobot_config

import drivers.cobot
from sim_mocks.cobot.power import Pds
from sim_mocks.host import MockCell
from sim_mocks.thread_host import ThreadHost

EDS = str(Path(drivers.cobot.__file__).parent / "eds" / "hil_drive.eds")


class Lab:
    """Six drives in a thread, and a network of six library nodes."""

    def __init__(self, transport: str) -> None:
        self.cell = MockCell(cobot_config(transport=transport), Flywheels())
        self.drives: Any = self.cell.arm.drives  # type: ignore[attr-defined]
        self.host = ThreadHost(self.cell)
        self.host.__enter__()
        where: dict[str, Any] = self.cell.arm.hello()["can"][0]
        if transport == "slcan":
            where = {**where, "bitrate": 1_000_000, "sleep_after_open": 0}
        self.network = canopen.Network()
        self.network.connect(**where)
        self.nodes = []
        for node_id in range(1, 7):
            node = BaseNode402(node_id, EDS)
            self.network.add_node(node)
            self.nodes.append(node)

    def close(self) -> None:
        self.network.disconnect()
        self.host.__exit__(None, None, None)


@pytest.fixture(params=["virtual", "slcan"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    made = Lab(request.param)
    yield made
    made.close()


def eventually(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll a condition that another thread brings about; no fixed wait."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def test_base_node_402_leads_every_drive(lab: Lab) -> None:
    for node, drive in zip(lab.nodes, lab.drives, strict=True):
        emergencies: list[int] = []
        node.emcy.add_callback(lambda error, seen=emergencies: seen.append(error.code))
        assert node.sdo[0x1008].raw == "HIL torque drive, CANopen CiA 402"  # a segmented upload
        node.nmt.state = "PRE-OPERATIONAL"
        node.sdo[0x1800][5].raw = 20
        node.setup_402_state_machine()
        assert node.rpdo[1].trans_type == 255
        node.nmt.state = "OPERATIONAL"
        assert eventually(lambda node=node: node.statusword & 0x4F == 0x40)

        node.sdo[0x605A].raw = 6  # quick stop stays
        node.state = "OPERATION ENABLED"
        assert node.state == "OPERATION ENABLED"
        assert drive.power.state is Pds.ENABLED

        node.state = "QUICK STOP ACTIVE"
        assert eventually(lambda node=node: node.state == "QUICK STOP ACTIVE")
        assert drive.power.state is Pds.QUICK_STOP
        node.state = "SWITCH ON DISABLED"
        assert drive.power.state is Pds.SWITCH_ON_DISABLED

        with lab.host.lock:
            drive.fault(0x4310)
        assert eventually(lambda seen=emergencies: seen == [0x4310])
        assert eventually(lambda node=node: node.state == "FAULT")
        node.reset_from_fault()  # the library goes on to operation enabled by itself
        assert eventually(lambda drive=drive: drive.power.state is Pds.ENABLED)
        assert drive.power.fault_code == 0
        assert eventually(lambda seen=emergencies: seen == [0x4310, 0])
        node.nmt.state = "PRE-OPERATIONAL"


def test_sdo_aborts_and_heartbeat_reach_the_library(lab: Lab) -> None:
    node = lab.nodes[2]
    with pytest.raises(canopen.SdoAbortedError) as caught:
        node.sdo.download(0x6041, 0, b"\0\0")
    assert caught.value.code == 0x06010002
    node.sdo[0x2000].raw = "elbow of the arm"
    assert node.sdo[0x2000].raw == "elbow of the arm"
    node.sdo[0x1017].raw = 10
    node.nmt.wait_for_heartbeat(timeout=5)
    assert node.nmt.state == "PRE-OPERATIONAL"
    node.nmt.send_command(0x81)
    node.nmt.wait_for_bootup(timeout=5)
    assert node.sdo[0x1017].raw == 0


def test_the_library_remaps_our_pdos(lab: Lab) -> None:
    """``save`` of the library against the drive's rules of remapping, and the map that it reads back."""
    node = lab.nodes[0]
    node.tpdo.read()
    node.tpdo[3].clear()
    node.tpdo[3].add_variable(0x606C)
    node.tpdo[3].add_variable(0x6077)
    node.tpdo[3].trans_type = 1
    node.tpdo[3].enabled = True
    node.tpdo[3].save()
    node.tpdo.read()
    assert [variable.index for variable in node.tpdo[3].map] == [0x606C, 0x6077]
    node.nmt.state = "OPERATIONAL"
    assert eventually(lambda: lab.drives[0].node.nmt == 5)
    lab.network.sync.transmit()
    assert node.tpdo[3].wait_for_reception(5) is not None
    assert node.tpdo[3][0x606C].raw == 0
