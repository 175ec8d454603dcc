"""The one fault API on the cobot: device ``cobot`` is the whole bus, ``cobot.1`` … its drives in order of the joints.

Frames pass the wire faults one by one as two bytes of identifier and the data; what comes out of them with less than
an identifier is lost. ``cobot`` in direction ``in`` is what the supervisor sends, ``out`` what it hears; of a drive
they are what the drive hears and says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.contract import Array
from sim_mocks.cobot.bus import Station
from sim_mocks.cobot.frames import Frame
from sim_mocks.faults import Fault, FaultPlan

if TYPE_CHECKING:
    from sim_mocks.cobot.device import CobotDevice


def _pack(frame: Frame) -> bytes:
    return frame[0].to_bytes(4, "big") + frame[1]


def _unpack(packets: list[bytes]) -> list[Frame]:
    return [(int.from_bytes(data[:4], "big") & 0x2000_07FF, data[4:12]) for data in packets if len(data) >= 4]


class CobotFaults:
    """Acts out a fault plan on drives, buses and wires."""

    def __init__(self, plan: FaultPlan, device: CobotDevice) -> None:
        self._plan, self._device = plan, device
        self._names = {id(drive.node): f"cobot.{k + 1}" for k, drive in enumerate(device.drives)}
        self._impostors: dict[str, np.random.Generator] = {}
        self._disturbed = 0
        self._muted: set[int] = set()
        """Identifiers that nobody hears."""
        self._tick = 0

    def begin(self, tick: int, t_ns: int) -> None:
        """Faults of the devices themselves that begin or end with this tick."""
        self._tick = tick
        device, plan = self._device, self._plan
        for fault, begins in plan.actions("cobot", tick):
            self._act_bus(fault, begins)
        for k, drive in enumerate(device.drives):
            for fault, begins in plan.actions(f"cobot.{k + 1}", tick):
                if fault.kind == "node_power":
                    drive.node.power(not begins, t_ns)
                elif fault.kind == "bus_off":
                    drive.node.set_bus_off(begins)
                elif fault.kind == "drive_fault":
                    code = int(fault.parameter)
                    if begins:
                        drive.fault(code, lasting=True)
                    else:
                        drive.mend(code)
                elif begins:
                    self._impostors[f"cobot.{k + 1}"] = np.random.default_rng([plan.seed, fault.at_tick, k])
                else:
                    self._impostors.pop(f"cobot.{k + 1}", None)
        for bus in device.buses:
            bus.errors_left = self._disturbed

    def values(self, tick: int, name: str, array: Array) -> Array:
        """``array`` (n,) as the drives measure it."""
        return self._plan.values("cobot", tick, name, array)

    def incoming(self, tick: int, channel: int, frames: list[Frame]) -> list[Frame]:
        """What the bus takes of what the supervisor sent."""
        packets = [_pack(frame) for frame in frames if frame[0] not in self._muted]
        return _unpack(self._plan.incoming(_channel("cobot", channel), tick, packets))

    def outgoing(self, tick: int, channel: int, frames: list[Frame]) -> list[Frame]:
        """What reaches the supervisor."""
        packets = [_pack(frame) for frame in frames if frame[0] not in self._muted]
        return _unpack(self._plan.outgoing_all(_channel("cobot", channel), tick, packets))

    def tamper(self, node: Station, way: str, frames: list[Frame]) -> list[Frame]:
        """What ``node`` hears (``in``) or says (``out``) of ``frames``."""
        name = self._names[id(node)]
        packets = [_pack(frame) for frame in frames]
        carry = self._plan.incoming if way == "in" else self._plan.outgoing_all
        out = _unpack(carry(name, self._tick, packets))
        impostor = self._impostors.get(name)
        if impostor is not None and way == "out" and any(0x180 < can_id < 0x200 for can_id, _ in frames):
            out.append((0x180 + node.id, impostor.bytes(8)))
        return out

    def _act_bus(self, fault: Fault, begins: bool) -> None:
        device = self._device
        if fault.kind == "error_frame":
            self._disturbed = int(fault.parameter) if begins else 0
        elif fault.kind == "mute":
            (self._muted.add if begins else self._muted.discard)(int(fault.parameter))
        elif fault.kind == "bus_off":
            for k, bus in enumerate(device.buses):
                device.ports[k].send(bus.set_adapter_off(begins))
        else:
            for port in device.ports:
                if begins:
                    port.unplug()
                else:
                    port.plug()


def _channel(name: str, channel: int) -> str:
    """Wire faults of the first bus carry the arm's name alone."""
    return name if channel == 0 else f"{name}#{channel}"
