"""Who is on a bus: listen first, then ask each node id, one at a time.

Asking all 127 ids at once overruns the transmit queue of real adapters, so requests are paced; and who listens first
learns what a node does by itself, which another program may want left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import canopen

from drivers.can.bus import Bus, Frame
from drivers.cobot import codes
from drivers.cobot.cia402 import statusword_name, torque_modes
from drivers.cobot.line import Line
from drivers.cobot.objects import Dictionary, load_eds
from drivers.contract import Ticks
from drivers.errors import ConnectError

LISTEN = 1.0
"""s; a heartbeat comes every 0.1 to 1 s."""
PACE_NS = 4_000_000
"""Between two requests, ns."""
_SDO_REQUEST, _SDO_ANSWER, _HEARTBEAT = 0x600, 0x580, 0x700
_UPLOAD_DEVICE_TYPE = bytes([0x40, 0x00, 0x10, 0x00, 0, 0, 0, 0])
_PRODUCED = {0x080: "EMCY", 0x180: "TPDO1", 0x280: "TPDO2", 0x380: "TPDO3", 0x480: "TPDO4", 0x700: "heartbeat"}
_VENDORS = {0x0048494C: "hil-lab (mock)"}


@dataclass
class FoundNode:
    """One node and what it told."""

    node: int
    heard: dict[str, int] = field(default_factory=dict)
    """Frames that it sent by itself while we only listened, by kind."""
    nmt: str = ""
    answers: bool = False
    """It answers SDO."""
    device_type: int = 0
    vendor: int = 0
    product: int = 0
    revision: int = 0
    serial: int = 0
    torque_modes: tuple[int, ...] = ()
    state: str = ""
    errors: tuple[str, ...] = ()
    """Newest first, of the history 0x1003."""
    eds: str = ""
    """How it agrees with the EDS; empty where none was given."""

    @property
    def servo(self) -> bool:
        """A CiA 402 drive."""
        return self.device_type & 0xFFFF == 402


@dataclass
class ScanResult:
    """What a scan found."""

    nodes: list[FoundNode]
    sync: int = 0
    """SYNC frames heard: somebody else produces them."""
    commands: int = 0
    """NMT commands and RPDOs of somebody else."""
    errors: int = 0
    """Error frames."""
    probed: bool = True


def scan(
    bus: Bus, ticks: Ticks, *, listen: float = LISTEN, ids: Iterable[int] = range(1, 128), probe: bool = True,
    eds: Path | None = None, node_of_eds: Sequence[int] | None = None,
) -> ScanResult:  # fmt: skip
    """Listen for ``listen`` s, then read the identity of every node that answers among ``ids``.

    ``probe`` False: nothing is sent at all. Where another master is heard, nothing is sent either. ``eds``: compare
    the drives (those in ``node_of_eds``, None: all CiA 402 drives) with it. Raises ConnectError where the adapter is
    lost meanwhile.
    """
    line = Line([bus], {}, ticks, 1 << 62)
    found: dict[int, FoundNode] = {}
    result = ScanResult([])
    answered: set[int] = set()

    def look(channel: int, frame: Frame, now: int) -> None:
        can_id, data, kind = frame
        if kind == 2:
            result.errors += 1
        elif kind == 0:
            _listen(can_id, data, found, result, answered)

    line.listener = look
    line.pause(round(1e9 * listen))
    foreign = not bus.echoes and (result.sync or result.commands)
    if bus.lost:
        raise ConnectError(f"CAN {bus.name}: {bus.lost}; plug it in and scan again")
    if probe and not foreign:
        for node in ids:
            line.send(0, [(_SDO_REQUEST + node, _UPLOAD_DEVICE_TYPE)])
            line.pause(PACE_NS)
        line.pause(20 * PACE_NS)
        for node in sorted(answered):
            _ask(line, found.setdefault(node, FoundNode(node)), eds, node_of_eds)
    else:
        result.probed = False
    result.nodes = [found[node] for node in sorted(found)]
    return result


def _listen(
    can_id: int, data: bytes | bytearray, found: dict[int, FoundNode], result: ScanResult, answered: set[int]
) -> None:
    node, base = can_id & 0x7F, can_id & ~0x7F
    if can_id == 0x080:
        result.sync += 1
    elif can_id == 0x000 or base in (0x200, 0x300, 0x400, 0x500):
        result.commands += 1
    elif base == _SDO_ANSWER and node:
        answered.add(node)
        found.setdefault(node, FoundNode(node)).answers = True
    elif base in _PRODUCED and node and node != 127:
        entry = found.setdefault(node, FoundNode(node))
        kind = _PRODUCED[base]
        entry.heard[kind] = entry.heard.get(kind, 0) + 1
        if base == _HEARTBEAT and len(data) == 1:
            entry.nmt = codes.nmt_text(data[0] & 0x7F)


def _ask(line: Line, found: FoundNode, eds: Path | None, node_of_eds: Sequence[int] | None) -> None:
    bare = Dictionary(line.network, found.node, canopen.ObjectDictionary())  # type: ignore[no-untyped-call]
    found.device_type = bare.raw(0x1000) or 0
    found.vendor, found.product, found.revision, found.serial = (bare.raw(0x1018, sub) or 0 for sub in (1, 2, 3, 4))
    count = min(8, bare.raw(0x1003, 0) or 0)
    history = [bare.raw(0x1003, sub) or 0 for sub in range(1, count + 1)]
    found.errors = tuple(codes.emcy_text(code & 0xFFFF) for code in history)
    if found.servo:
        found.torque_modes = tuple(int(mode) for mode in torque_modes(bare.raw(0x6502) or 0))
        word = bare.raw(0x6041)
        found.state = "" if word is None else statusword_name(word)
    if eds is not None and (found.servo if node_of_eds is None else found.node in node_of_eds):
        found.eds = compare(found, eds)


def compare(found: FoundNode, eds: Path) -> str:
    """``agrees``, or how the node's identity differs from that of the EDS. Raises ConnectError for an EDS that cannot
    be read."""
    info = load_eds(eds, found.node).device_information
    wrong = [
        f"{what} 0x{read:08X}, EDS 0x{expected:08X}"
        for what, read, expected in (
            ("vendor", found.vendor, info.vendor_number),
            ("product", found.product, info.product_number),
        )
        if expected is not None and read != expected
    ]
    return "; ".join(wrong) or "agrees"


def vendor_name(number: int) -> str:
    """Name of the vendor where it is known, else the number; CiA publishes the list of numbers."""
    return _VENDORS.get(number, f"0x{number:08X}")
