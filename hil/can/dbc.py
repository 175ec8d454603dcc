"""The active PDO map as a DBC file, for the tools of Vector, Kvaser, SavvyCAN and whoever reads them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from cantools.database.can import Database, Message, Node, Signal
from cantools.database.conversion import BaseConversion
from cantools.database.namedsignalvalue import NamedSignalValue

from drivers.cobot.line import SUPERVISOR_NODE
from drivers.cobot.model import CobotJoint
from drivers.cobot.pdo import COMMAND, EMCY_BASE, HEARTBEAT_BASE, LAYOUTS, SYNC_ID, Mapped, PdoLayout

_SIGNED = "bhi"
_MASTER = "SUPERVISOR"
_STATES: dict[int, str | NamedSignalValue] = {0: "boot-up", 4: "stopped", 5: "operational", 127: "pre-operational"}


def export(joints: Sequence[CobotJoint], period: float) -> str:
    """The text of a DBC for these drives; positions in degrees of the joint, torques in N·m of the joint.

    ``period``: time between two SYNCs, s.
    """
    messages = [Message(SYNC_ID, "SYNC", 0, [], senders=[_MASTER], cycle_time=round(1e3 * period), strict=False)]
    for joint in joints:
        drive = f"DRIVE{joint.node}"
        for layout in LAYOUTS:
            messages.append(_message(layout, joint, drive, period))
        emcy = [_signal("error_code", 0, 16, False), _signal("error_register", 16, 8, False)]
        messages.append(Message(EMCY_BASE + joint.node, f"{drive}_EMCY", 8, emcy, senders=[drive], strict=False))
        messages.append(_heartbeat(joint.node, drive))
    messages.append(_heartbeat(SUPERVISOR_NODE, _MASTER))
    nodes = [Node(_MASTER, ""), *(Node(f"DRIVE{joint.node}", "") for joint in joints)]
    return str(Database(messages, nodes, version="").as_dbc_string())


def _message(layout: PdoLayout, joint: CobotJoint, drive: str, period: float) -> Message:
    start, signals = 0, []
    for obj in layout.objects:
        signals.append(_mapped(obj, joint, start))
        start += obj.bits
    sender = _MASTER if layout is COMMAND else drive
    return Message(
        layout.base + joint.node,
        f"{drive}_{layout.name}",
        layout.length,
        signals,
        senders=[sender],
        cycle_time=round(1e3 * period * layout.every),
        strict=False,
    )


def _mapped(obj: Mapped, joint: CobotJoint, start: int) -> Signal:
    scale, offset, unit = 1.0, 0.0, ""
    if obj.index in (0x6071, 0x6077):
        scale, unit = joint.tau_per_permille, "Nm"
    elif obj.index == 0x6064:
        scale, offset, unit = _degrees(joint.q_per_count), _degrees(joint.position_offset), "deg"
    elif obj.index == 0x606C:
        scale, unit = _degrees(joint.q_per_count), "deg/s"
    elif obj.unit == "permille":
        unit = "permille"
    signed = obj.form in _SIGNED
    return _signal(obj.name, start, obj.bits, signed, scale, offset, unit)


def _signal(
    name: str, start: int, length: int, signed: bool, scale: float = 1.0, offset: float = 0.0, unit: str = ""
) -> Signal:
    conversion = BaseConversion.factory(scale=scale, offset=offset)
    return Signal(name, start, length, "little_endian", signed, conversion=conversion, unit=unit or None)


def _heartbeat(node: int, sender: str) -> Message:
    conversion = BaseConversion.factory(choices=OrderedDict(_STATES))
    state = Signal("nmt_state", 0, 7, "little_endian", False, conversion=conversion)
    return Message(HEARTBEAT_BASE + node, f"{sender}_HEARTBEAT", 1, [state], senders=[sender], strict=False)


def _degrees(radians: float) -> float:
    return radians * 57.29577951308232
