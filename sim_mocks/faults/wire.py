"""Faults of a wire: what happens to the packets (or the bytes of a tick) on their way in one direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim_mocks.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class _Held:
    """A packet that comes later."""

    due: int
    overtaken: bool
    """It comes after the packets of tick ``due``."""
    data: bytes


class Wire:
    """One direction of one device's wire, with what is held on it. Call :meth:`carry` once per tick."""

    def __init__(self) -> None:
        self._held: list[_Held] = []

    @property
    def empty(self) -> bool:
        """Nothing is on its way."""
        return not self._held

    def carry(
        self, tick: int, data: list[bytes], faults: list[tuple[int, Fault, np.random.Generator]]
    ) -> tuple[list[bytes], list[tuple[int, str]]]:
        """What arrives in this tick of the packets ``data`` that were sent in it, and of those held before.

        ``faults``: index, fault and generator of those that act in this tick, in the order of the plan. Also returns
        what each did, as (index, words).
        """
        notes: list[tuple[int, str]] = []
        due, overtaken = tick, False
        for index, fault, rng in faults:
            kind = fault.kind
            later = _arrival(fault, tick)
            if later > tick:
                due, overtaken = max(due, later), overtaken or kind == "reorder"
                if data or kind == "stall":
                    notes.append((index, f"held {len(data)} packets until tick {later}"))
            elif kind == "garbage":
                data = [rng.bytes(int(fault.parameter)), *data]
                notes.append((index, f"put {len(data[0])} random bytes before {len(data) - 1} packets"))
            elif data and kind == "drop":
                notes.append((index, f"dropped {len(data)} packets"))
                data = []
            elif data and kind == "duplicate":
                notes.append((index, f"sent {len(data)} packets {1 + int(fault.parameter)} times"))
                data = data * (1 + int(fault.parameter))
            elif data and kind == "bit_flip":
                data = [_flip(packet, int(fault.parameter), rng) for packet in data]
                notes.append((index, f"inverted {int(fault.parameter)} bits of each of {len(data)} packets"))
            elif data and kind == "truncate":
                data = [_cut(packet, fault, rng) for packet in data]
                notes.append((index, f"left {[len(packet) for packet in data]} bytes"))
        # Whatever is on its way when its time has come arrives before what is sent now, except where that overtakes.
        first = [held.data for held in self._held if held.due <= tick and not held.overtaken]
        last = [held.data for held in self._held if held.due <= tick and held.overtaken]
        self._held = [held for held in self._held if held.due > tick]
        if due > tick:
            self._held += [_Held(due, overtaken, packet) for packet in data]
            data = []
        return first + data + last, notes


def _arrival(fault: Fault, tick: int) -> int:
    """The tick in which a packet of ``tick`` arrives."""
    if fault.kind == "stall":
        return fault.end_tick
    if fault.kind == "delay":
        return tick + int(fault.parameter)
    if fault.kind == "reorder":
        return tick + 1
    if fault.kind == "burst":
        size = int(fault.parameter)
        return min(fault.at_tick + (tick - fault.at_tick) // size * size + size - 1, fault.end_tick)
    return tick


def _flip(packet: bytes, count: int, rng: np.random.Generator) -> bytes:
    bits = rng.choice(8 * len(packet), size=min(count, 8 * len(packet)), replace=False)
    out = bytearray(packet)
    for bit in bits.tolist():
        out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def _cut(packet: bytes, fault: Fault, rng: np.random.Generator) -> bytes:
    value = fault.parameter
    return packet[: int(rng.integers(0, len(packet))) if value != value else int(value)]
