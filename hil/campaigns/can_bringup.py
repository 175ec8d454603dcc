"""What can be wrong before the cobot moves: each bring-up on a mock of its own must be refused in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.cobot.config import mock_eds
from drivers.errors import ConnectError
from hil.build import build_parts
from hil.campaigns.can_rig import anonymous, can_cell
from hil.cell import Cell
from hil.mocks import MockHere, mock_config, overlay_starter
from hil.parts import open_devices
from sim_mocks.cobot.device import CobotDevice
from sim_mocks.cobot.frames import Frame
from sim_mocks.faults import Fault

TICKS = 5000
"""Ticks; longer than any bring-up."""


@dataclass(frozen=True)
class Wrong:
    """One row of the table."""

    name: str
    says: tuple[str, ...]
    """What the message must contain."""
    eds: Callable[[str], str] | None = None
    """The EDS that the cell names, made of the right one."""
    drive: Callable[[CobotDevice], None] | None = None
    """What is done to the drives before they are asked."""
    fault: Fault | None = None


@dataclass(frozen=True)
class Refusal:
    """What came of it."""

    message: str
    """As the person reads it."""
    seconds: float
    """Cell's time until it came, s."""
    powered: bool
    """Some drive had power."""
    broken: tuple[str, ...]
    """What does not hold; empty where all does."""


def try_bring_up(wrong: Wrong, folder: Path, seed: int = 0) -> Refusal:
    """Connect to the wrong thing; ``folder`` takes the EDS. Raises nothing that the driver lets out but reports it."""
    path = folder / "drive.eds"
    text = mock_eds().read_text(encoding="utf-8")
    path.write_text(text if wrong.eds is None else wrong.eds(text), encoding="utf-8")

    def name_eds(content: dict[str, Any]) -> None:
        content["robot"]["can"]["eds"] = str(path)
        content["sensors"] = []

    refusal = _connect(can_cell(change=name_eds), wrong, seed)
    return dataclasses.replace(refusal, message=refusal.message.replace(str(folder), "…"))


def _connect(cell: Cell, wrong: Wrong, seed: int) -> Refusal:
    host = MockHere(mock_config(cell, seed=seed))
    device, message, broken, powered = host.cell.arm, "", [], False
    assert isinstance(device, CobotDevice)
    begin = host.cell.t_ns
    try:
        if wrong.drive is not None:
            wrong.drive(device)
        if wrong.fault is not None:
            now = host.cell.ticks
            host.cell.faults.add(dataclasses.replace(wrong.fault, at_tick=now + wrong.fault.at_tick), now)
        can = host.control.hello().get("can")
        parts = build_parts(cell, host.ticks, overlay_starter(host.control, cell), host.ft_path, can)
        try:
            open_devices(parts)
        except ConnectError as error:
            message = anonymous(str(error), device)
        finally:
            parts.arm.close()
        powered = any(drive.power.powered for drive in device.drives)
        enabled = bool((host.cell.log.truth()["session_state"] > 0).any()) if host.cell.ticks else False
        powered = powered or enabled
    except Exception as error:  # whatever else leaves the driver is a result
        broken.append(f"an exception left the driver: {type(error).__name__}: {error}")
    finally:
        seconds = (host.cell.t_ns - begin) * 1e-9
        host.close()
    if not message and not broken:
        broken.append("it was not refused")
    if powered:
        broken.append("a drive had power")
    if "\n" in message:
        broken.append("the message has several lines")
    broken += [f"the message does not say {word!r}" for word in wrong.says if word not in message]
    return Refusal(message, seconds, powered, tuple(broken))


def _replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        if old not in text:
            raise ValueError(f"the EDS holds no {old!r}")
        return text.replace(old, new)

    return change


def _identity(device: CobotDevice) -> None:
    device.drives[1].node.dictionary.values[0x1018 << 8 | 1] = 0xBAD


def _device_type(device: CobotDevice) -> None:
    device.drives[4].node.dictionary.values[0x1000 << 8] = 0x00030191


def _rated(device: CobotDevice) -> None:
    device.drives[2].node.dictionary.values[0x6076 << 8] = 1234


def _no_torque(device: CobotDevice) -> None:
    device.drives[0].node.dictionary.values[0x6502 << 8] = 0x85


def _no_deadline(device: CobotDevice) -> None:
    dictionary = device.drives[2].node.dictionary
    dictionary.entries = {key: entry for key, entry in dictionary.entries.items() if key != 0x1400 << 8 | 5}


def _mute(device: CobotDevice) -> None:
    device.drives[5].node.power(False, 0)


class _Master:
    """Another master on the bus: it sends a SYNC each tick."""

    id = 126
    talkative = True

    def tick(self, t_ns: int) -> None:
        """It needs no time."""

    def hear(self, frame: Frame, t_ns: int) -> None:
        """It listens to nobody."""

    def collect(self, t_ns: int) -> list[Frame]:
        if t_ns == self._said:
            return []
        self._said = t_ns
        return [(0x080, b"")]

    _said = -1


def _stranger(device: CobotDevice) -> None:
    device.buses[0].nodes.append(_Master())


def wrongs() -> list[Wrong]:
    """All cases, in the order of the page."""
    return [
        Wrong("EDS of another maker", ("node 1 has vendor", "name the EDS of this drive"),
              eds=_replaced("VendorNumber=0x", "VendorNumber=0x1")),
        Wrong("a file that is no EDS", ("cannot be read", "expected an EDS"), eds=lambda text: "hello\n" + text[:300]),
        Wrong("EDS without the heartbeat consumer", ("0x1016",), eds=_replaced("[1016", "[2016")),
        Wrong("a drive of an unknown vendor", ("node 2 has vendor 0x00000BAD",), drive=_identity),
        Wrong("node 5 is no drive", ("node 5 has device type 0x00030191", "hil can scan"), drive=_device_type),
        Wrong("node 3 has another rated torque", ("node 3: rated torque (0x6076) is 1234 mN·m", "1000"), drive=_rated),
        Wrong("node 1 takes no torque", ("node 1: 0x6502", "no torque mode"), drive=_no_torque),
        Wrong("node 3 aborts an SDO (no deadline of its commands)", ("node 3, 0x1400:05", "abort"),
              drive=_no_deadline),
        Wrong("node 6 has no power", ("node 6", "expected an answer within 0.5 s", "supply"), drive=_mute),
        Wrong("another master sends SYNC", ("only the master sends", "end it first"), drive=_stranger),
        Wrong("the adapter goes bus-off meanwhile", ("expected an answer within 0.5 s",),
              fault=Fault("bus_off", "cobot", 300, TICKS)),
        Wrong("the adapter is unplugged meanwhile", ("unplugged",), fault=Fault("unplug", "cobot", 300, TICKS)),
        Wrong("our heartbeat does not arrive", ("0x8130", "0x1016"),
              fault=Fault("mute", "cobot", 0, TICKS, value=0x77F)),
        Wrong("all frames lost for 0.6 s meanwhile", ("expected an answer within 0.5 s",),
              fault=Fault("drop", "cobot", 300, 600)),
    ]  # fmt: skip
