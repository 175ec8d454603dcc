"""Tens of thousands of cycles on every bus, in lockstep, without a lost one."""

from __future__ import annotations

import pytest
from cobot_rig import CobotRig, SlcanWire, VirtualWire, Wire, commanded, torque

from drivers.can.bus import BusConfig
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.ports import MulticastPort


class UdpWire(Wire):
    """Multicast on this machine; the drives' end knows its own frames from ours."""

    def __init__(self) -> None:
        self.port = MulticastPort("239.74.163.2", 0)
        self.config = BusConfig("udp_multicast", "239.74.163.2", options={"port": self.port.where["port"]})

    def receive(self) -> list[Frame]:
        return self.port.receive()

    def send(self, frames: list[Frame]) -> None:
        self.port.send(frames)

    def close(self) -> None:
        self.port.close()


@pytest.mark.accept
@pytest.mark.parametrize(("wire", "cycles"), [(VirtualWire, 20_000), (SlcanWire, 60_000), (UdpWire, 60_000)])
def test_no_cycle_is_lost(wire: type[Wire], cycles: int) -> None:
    rig = CobotRig(wires=[wire()])
    arm, sample = commanded(rig)
    stale = 0
    for _ in range(cycles):
        arm.command(torque(sample, 1.0 - 5.0 * sample.q - 2.0 * sample.qd))
        sample = arm.read()
        stale += not sample.fresh
    health = arm.health()
    assert stale == 0
    assert (health.gaps, health.late, health.duplicates, health.rejected) == (0, 0, 0, {})
    assert arm.enabled
    arm.close()
    rig.close()
