"""The process data: which object travels in which frame, and the packed way in and out of it.

Every cycle six joints write RPDO1 and answer TPDO1; object dictionaries, look-ups by name and a message object per
frame cost more than the whole rest of the cycle. So the layout below is fixed, and one precomputed Struct per frame
reads and writes it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.can.bus import DATA, Frame

SYNC_ID = 0x080
EMCY_BASE = 0x080
HEARTBEAT_BASE = 0x700
RPDO1, TPDO1, TPDO2 = 0x200, 0x180, 0x280
ASYNCHRONOUS = 255


@dataclass(frozen=True)
class Mapped:
    """One object in a PDO."""

    index: int
    name: str
    form: str
    """Its format in :mod:`struct`."""
    sub: int = 0
    unit: str = ""

    @property
    def bits(self) -> int:
        return 8 * struct.calcsize("<" + self.form)

    @property
    def entry(self) -> int:
        """As it stands in 0x16nn and 0x1Ann: index, sub-index, bits."""
        return self.index << 16 | self.sub << 8 | self.bits


@dataclass(frozen=True)
class PdoLayout:
    """One PDO of every drive. ``base`` + node id is its COB-ID."""

    name: str
    base: int
    objects: tuple[Mapped, ...]
    every: int
    """Transmission type: with every n-th SYNC."""
    communication: int
    """Index of the communication record (0x1400.., 0x1800..)."""
    mapping: int
    """Index of the mapping record (0x1600.., 0x1A00..)."""

    @property
    def format(self) -> str:
        return "<" + "".join(obj.form for obj in self.objects)

    @property
    def length(self) -> int:
        """Bytes."""
        return struct.calcsize(self.format)


CONTROLWORD = Mapped(0x6040, "controlword", "H")
STATUSWORD = Mapped(0x6041, "statusword", "H")
COMMAND = PdoLayout(
    "RPDO1", RPDO1, (CONTROLWORD, Mapped(0x6071, "target_torque", "h", unit="permille")), 1, 0x1400, 0x1600
)
FEEDBACK = PdoLayout(
    "TPDO1",
    TPDO1,
    (Mapped(0x6064, "position", "i", unit="increments"), Mapped(0x6077, "torque", "h", unit="permille"), STATUSWORD),
    1,
    0x1800,
    0x1A00,
)
SLOW = PdoLayout(
    "TPDO2",
    TPDO2,
    (
        Mapped(0x606C, "velocity", "i", unit="increments/s"),
        Mapped(0x6078, "current", "h", unit="permille"),
        Mapped(0x6061, "mode_display", "b"),
    ),
    5,
    0x1801,
    0x1A01,
)
LAYOUTS = (COMMAND, FEEDBACK, SLOW)
"""In operation these and no other PDO are valid on a drive."""

_COMMAND, _FEEDBACK, _SLOW = (struct.Struct(layout.format) for layout in LAYOUTS)


class ProcessData:
    """The process data of ``nodes``, in raw integers, joint by joint in the order of ``nodes``."""

    def __init__(self, nodes: Sequence[int]) -> None:
        n = len(nodes)
        self.n = n
        self.position = [0] * n
        """0x6064, increments."""
        self.torque = [0] * n
        """0x6077, ‰ of rated."""
        self.statusword = [-1] * n
        """0x6041; −1 before the first."""
        self.velocity = [0] * n
        """0x606C, increments per second, of every fifth SYNC."""
        self.current = [0] * n
        """0x6078, ‰ of rated current, of every fifth SYNC."""
        self.mode = [0] * n
        """0x6061; 0 before the first."""
        self.answered = [False] * n
        """TPDO1 came since :meth:`expect`."""
        self.missing = n
        """Joints whose TPDO1 has not come since :meth:`expect`."""
        self.duplicates = 0
        """TPDO1 that came a second time with the same content."""
        self.late = 0
        """TPDO1 that were superseded by another of the same joint before anybody asked."""
        self.twice = [0] * n
        """SYNCs in a row in which a joint answered twice and differently."""
        self.slow_seen = [0] * n
        """TPDO2 received."""
        self.wrong_length = 0
        """PDOs of another length than was mapped."""
        self.frames = 0
        """Good PDOs received."""
        self._buffers = [bytearray(_COMMAND.size) for _ in nodes]
        self.commands: list[tuple[int, bytearray]] = [
            (RPDO1 + node, buffer) for node, buffer in zip(nodes, self._buffers, strict=True)
        ]
        """(COB-ID, payload) of each joint's RPDO1; the payloads are those that :meth:`command` writes into."""
        self._feedback = {TPDO1 + node: joint for joint, node in enumerate(nodes)}
        self._slow = {TPDO2 + node: joint for joint, node in enumerate(nodes)}
        self._bytes: list[bytes | bytearray] = [b""] * n
        self.conflicts = [False] * n
        """Joints that answered twice and differently since :meth:`expect`."""

    def command(self, controlwords: Sequence[int], targets: Sequence[int]) -> None:
        """Write controlwords (u16) and target torques (‰, int16) into :attr:`commands`."""
        pack = _COMMAND.pack_into
        for buffer, word, target in zip(self._buffers, controlwords, targets, strict=True):
            pack(buffer, 0, word, target)

    def expect(self) -> None:
        """A SYNC leaves: every joint owes a TPDO1."""
        n = self.n
        self.missing = n
        self.answered = [False] * n
        twice, conflict = self.twice, self.conflicts
        for joint in range(n):
            if conflict[joint]:
                twice[joint] += 1
                conflict[joint] = False
            elif twice[joint]:
                twice[joint] = 0

    def take(self, frames: Sequence[Frame], rest: list[Frame]) -> None:
        """Read the PDOs among ``frames``; what is no PDO of these nodes is appended to ``rest``."""
        feedback, slow, answered = self._feedback, self._slow, self.answered
        position, torque, statusword = self.position, self.torque, self.statusword
        unpack, size = _FEEDBACK.unpack, _FEEDBACK.size
        for frame in frames:
            can_id, data, kind = frame
            joint = feedback.get(can_id, -1)
            if joint >= 0 and kind == DATA:
                if len(data) != size:
                    self.wrong_length += 1
                    continue
                if answered[joint]:
                    self._again(joint, data)
                else:
                    answered[joint] = True
                    self.missing -= 1
                self._bytes[joint] = data
                position[joint], torque[joint], statusword[joint] = unpack(data)
                self.frames += 1
                continue
            joint = slow.get(can_id, -1)
            if joint < 0 or kind != DATA:
                rest.append(frame)
            elif len(data) != _SLOW.size:
                self.wrong_length += 1
            else:
                self.velocity[joint], self.current[joint], self.mode[joint] = _SLOW.unpack(data)
                self.slow_seen[joint] += 1
                self.frames += 1

    def _again(self, joint: int, data: bytes | bytearray) -> None:
        if data == self._bytes[joint]:
            self.duplicates += 1
        else:
            # A late answer to the SYNC before, or a second node of the same id: the newer one holds.
            self.late += 1
            self.conflicts[joint] = True
