"""Frames in words, one line each: what candump shows, decoded."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from drivers.can.bus import DATA, ERROR, EXTENDED, REMOTE, Frame
from drivers.cobot import codes
from drivers.cobot.cia402 import controlword_name, statusword_name
from drivers.cobot.pdo import LAYOUTS, PdoLayout
from drivers.cobot.plan import TYPICAL_STUFFING, nominal_bits

_BY_BASE = {layout.base: layout for layout in LAYOUTS}
_WORDS = {"controlword": controlword_name, "statusword": statusword_name}
_MODES = {4: "profile torque", 10: "cyclic sync torque"}


def describe(frame: Frame) -> str:
    """What one frame says, without its identifier and bytes."""
    can_id, data, kind = frame
    if kind == ERROR:
        return "error frame"
    if kind == REMOTE:
        return "remote frame"
    if kind == EXTENDED:
        return "29-bit identifier: not of CANopen"
    assert kind == DATA
    base, node = can_id & ~0x7F, can_id & 0x7F
    if can_id == 0x000:
        return _nmt(data)
    if can_id == 0x080:
        return "SYNC" if not data else f"SYNC {data[0]}"
    if base == 0x080:
        return f"node {node} {_emcy(data)}"
    if base == 0x700:
        return (
            f"node {node} heartbeat {codes.nmt_text(data[0] & 0x7F)}" if len(data) == 1 else f"node {node} heartbeat?"
        )
    if base in (0x580, 0x600):
        return f"node {node} SDO {_sdo(data, answer=base == 0x580)}"
    layout = _BY_BASE.get(base)
    if layout is None:
        return f"node {node}" if 0x180 <= base <= 0x500 else ""
    return f"node {node} {layout.name} {_pdo(layout, data)}"


def line(frame: Frame, t: float, channel: int = 0) -> str:
    """One line of the live view; ``t`` in s."""
    can_id, data, kind = frame
    width = 8 if kind == EXTENDED else 3
    return f"{t:10.4f} {channel} {can_id:0{width}X} [{len(data)}] {data.hex(' '):<23} {describe(frame)}".rstrip()


def _pdo(layout: PdoLayout, data: bytes | bytearray) -> str:
    if len(data) != layout.length:
        return f"of {len(data)} bytes, expected {layout.length}"

    parts = []
    for obj, value in zip(layout.objects, struct.unpack(layout.format, data), strict=True):
        name = _WORDS.get(obj.name)
        if name is not None:
            parts.append(f"{obj.name} 0x{value:04X} ({name(value)})")
        elif obj.name == "mode_display":
            parts.append(f"mode {value} ({_MODES.get(value, 'other')})")
        else:
            parts.append(f"{obj.name} {value}{' ‰' if obj.unit == 'permille' else ''}")
    return ", ".join(parts)


def _nmt(data: bytes | bytearray) -> str:
    if len(data) != 2:
        return "NMT?"
    who = "all nodes" if data[1] == 0 else f"node {data[1]}"
    return f"NMT {codes.NMT_COMMANDS.get(data[0], f'0x{data[0]:02X}')} {who}"


def _emcy(data: bytes | bytearray) -> str:
    if len(data) != 8:
        return f"EMCY of {len(data)} bytes"
    code = data[0] | data[1] << 8
    vendor = f", vendor {data[3:].hex(' ')}" if any(data[3:]) else ""
    return f"EMCY {codes.emcy_text(code)} (register: {codes.error_register_text(data[2])}{vendor})"


def _sdo(data: bytes | bytearray, answer: bool) -> str:
    if len(data) != 8:
        return f"of {len(data)} bytes"
    command = data[0]
    where = f"0x{data[2] << 8 | data[1]:04X}:{data[3]:02X}"
    value = int.from_bytes(data[4:8], "little")
    if command == 0x80:
        return f"abort {where} {codes.abort_text(value)}"
    size = 4 - (command >> 2 & 3) if command & 1 else 4
    shown = f"0x{value & (1 << 8 * size) - 1:X}"
    if answer and command >> 5 == 2:
        return f"read {where} = {shown}" if command & 2 else f"read {where}, {value} bytes follow"
    if answer and command >> 5 == 3:
        return f"written {where}"
    if not answer and command >> 5 == 1:
        return f"write {where} := {shown}" if command & 2 else f"write {where}, {value} bytes follow"
    if not answer and command == 0x40:
        return f"read {where}?"
    return "segment"


class Statistics:
    """Frames, rate and largest gap per identifier, and how full the bus was."""

    def __init__(self, bitrate: int) -> None:
        self._bitrate = bitrate
        self.frames: dict[int, int] = {}
        self.gap: dict[int, float] = {}
        """Longest time between two frames of an identifier, s."""
        self.errors = 0
        self._last: dict[int, float] = {}
        self._bits = 0

    def take(self, frames: Sequence[Frame], t: float) -> None:
        """Count frames that were received at ``t`` (s)."""

        for can_id, data, kind in frames:
            if kind == ERROR:
                self.errors += 1
                continue
            self.frames[can_id] = self.frames.get(can_id, 0) + 1
            last = self._last.get(can_id)
            if last is not None:
                self.gap[can_id] = max(self.gap.get(can_id, 0.0), t - last)
            self._last[can_id] = t
            self._bits += nominal_bits(len(data))

    def load(self, seconds: float) -> float:
        """Typical load, as a part of the bit rate, over ``seconds``."""

        return TYPICAL_STUFFING * self._bits / (self._bitrate * seconds) if seconds > 0.0 else 0.0
