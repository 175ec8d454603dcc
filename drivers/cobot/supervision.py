"""Watches what is not process data: heartbeats, boot-ups, EMCY, error frames, the adapter; and who does not answer.

Every finding becomes a :class:`drivers.contract.DeviceProblem` that lasts as long as its cause. A node that started
anew has lost its settings: that problem goes only when the arm is opened anew.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from drivers.can.bus import DATA, ERROR, EXTENDED, REMOTE, Bus, Frame
from drivers.cobot import codes
from drivers.cobot.cia402 import DriveState
from drivers.cobot.pdo import EMCY_BASE, HEARTBEAT_BASE, RPDO1, SYNC_ID, ProcessData
from drivers.contract import DeviceProblem, ProblemKind

MISSED_SYNCS = 3
"""SYNCs in a row without an answer after which a node counts as lost."""
HEARTBEAT_FACTOR = 3.0
"""Periods of a drive's heartbeat without one after which the node counts as lost."""
CONFLICT_SYNCS = 3
"""SYNCs in a row that one id answered twice and differently."""
ERROR_FRAMES = 10
"""Error frames within :data:`MEMORY_NS` that are a disturbed line and not a plug being put in."""
MEMORY_NS = 1_000_000_000
STATE_NS = 100_000_000
"""Shortest time between two questions to the adapters for their state."""
_BUS_OFF_CLASS = 0x40
"""Bit of an error frame's identifier, as python-can takes it over from SocketCAN (linux/can/error.h)."""
_EMCY = struct.Struct("<HB5s")
_ADAPTER = {
    "bus-off": "the adapter is bus-off, or sees errors on the bus: it may neither send nor hear",
    "passive": "the adapter is error-passive: nobody acknowledges its frames, or they are destroyed",
}
"""What an adapter states of itself and must not, in words."""

Key = tuple[ProblemKind, str]


class Supervision:
    """The watch over the nodes of one arm."""

    def __init__(self, nodes: Sequence[int], channel_of: Mapping[int, int], buses: Sequence[Bus]) -> None:
        self._joint = {node: joint for joint, node in enumerate(nodes)}
        self._nodes = list(nodes)
        self._channel_of = dict(channel_of)
        self._buses = list(buses)
        self.heartbeat_ns = 0
        """Time-out of a drive's heartbeat, ns; 0 while heartbeats are not watched."""
        self.nmt = [-1] * len(nodes)
        """State in the last heartbeat of each joint's node; −1 before the first."""
        self.emcy = [0] * len(nodes)
        """Last emergency code of each joint's node; 0: none, or it was reset."""
        self.emcy_count = 0
        self.error_frames = 0
        self.foreign = 0
        """Frames with an identifier that is ours or that no node of this arm has."""
        self.rejected: dict[str, int] = {}
        """Refused frames by reason."""
        self.operational = False
        """The nodes were started: a boot-up or another state is a problem from now on."""
        self.problems: dict[Key, DeviceProblem] = {}
        self._heard_ns = [-1] * len(nodes)
        self._missed = [0] * len(nodes)
        self._error_times: list[int] = []
        self._foreign_times: list[int] = []
        self._ask_ns = 0
        self._faults: set[int] = set()
        """Joints in FAULT without an EMCY."""
        self._ours = {SYNC_ID, 0x000} | {RPDO1 + node for node in nodes}

    # What comes over the line

    def take(self, channel: int, frame: Frame, now_ns: int) -> None:
        """Look at one frame that is no process data of this arm."""
        can_id, data, kind = frame
        if kind == ERROR:
            self.error_frames += 1
            self._error_times.append(now_ns)
            del self._error_times[:-ERROR_FRAMES]
            if can_id & _BUS_OFF_CLASS:
                self.bus_state(self._buses[channel], "bus-off")
            return
        if kind in (REMOTE, EXTENDED):
            self._reject("remote" if kind == REMOTE else "extended_id")
            return
        assert kind == DATA
        if can_id in self._ours:
            if not self._buses[channel].echoes:
                self.foreign += 1
                self._foreign_times.append(now_ns)
                del self._foreign_times[:-CONFLICT_SYNCS]
            return
        node = can_id & 0x7F
        joint = self._joint.get(node, -1)
        if joint < 0 or self._channel_of[node] != channel:
            if can_id & ~0x7F == HEARTBEAT_BASE and not self._buses[channel].echoes:
                self._reject("unknown_node")
            return
        base = can_id & ~0x7F
        if base == HEARTBEAT_BASE:
            self._heartbeat(joint, data, now_ns)
        elif base == EMCY_BASE:
            self._emergency(joint, data)

    def _heartbeat(self, joint: int, data: bytes | bytearray, now_ns: int) -> None:
        if len(data) != 1:
            self._reject("heartbeat_length")
            return
        state = data[0] & 0x7F
        self._heard_ns[joint] = now_ns
        self.nmt[joint] = state
        if not self.operational:
            return
        if state == codes.BOOT_UP:
            self._add(
                ProblemKind.NODE_RESTARTED,
                joint,
                "started anew (boot-up message) while it was in operation, and has lost its settings",
                "check its supply and its plug; then connect again, which sets it up anew",
            )
        if state == codes.OPERATIONAL:
            self._clear(ProblemKind.NODE_STATE, joint)
        else:
            self._add(
                ProblemKind.NODE_STATE,
                joint,
                f"is {codes.nmt_text(state)}, expected operational",
                "look for its EMCY; connect again",
            )

    def _emergency(self, joint: int, data: bytes | bytearray) -> None:
        if len(data) != _EMCY.size:
            self._reject("emcy_length")
            return
        code, register, vendor = _EMCY.unpack(data)
        self.emcy_count += 1
        self.emcy[joint] = code
        self._faults.discard(joint)
        if code == 0:
            self._clear(ProblemKind.DRIVE_FAULT, joint)
            return
        extra = f", vendor bytes {vendor.hex(' ')}" if any(vendor) else ""
        self._add(
            ProblemKind.DRIVE_FAULT,
            joint,
            f"sent EMCY {codes.emcy_text(code)} (error register: {codes.error_register_text(register)}{extra})",
            codes.emcy_remedy(code),
        )

    # Once in each cycle

    def check(self, now_ns: int, data: ProcessData, states: Sequence[DriveState]) -> None:
        """Judge one SYNC: ``data`` as it was collected, ``states`` of the drives by their statuswords."""
        missed, twice = self._missed, data.twice
        if data.missing and self.operational and now_ns >= self._ask_ns:
            self._ask_ns = now_ns + STATE_NS
            for bus in self._buses:
                bus.ask_state()  # what is known when the SYNCs are counted
        for joint, answered in enumerate(data.answered):
            if answered:
                if missed[joint]:
                    missed[joint] = 0
                    self._clear(ProblemKind.NODE_LOST, joint)
                    self.problems.pop((ProblemKind.NODE_LOST, self._bus_of(joint).name), None)
                if not self.emcy[joint] and (states[joint] is DriveState.FAULT or self._faults):
                    self._fault_without_emcy(joint, states[joint] is DriveState.FAULT)
            elif self.operational:
                missed[joint] += 1
                if missed[joint] == MISSED_SYNCS and not self._all_silent(joint):
                    self._add(
                        ProblemKind.NODE_LOST,
                        joint,
                        f"did not answer {MISSED_SYNCS} SYNCs in a row",
                        "check its supply, its plug and the cable",
                    )
            if twice[joint] == CONFLICT_SYNCS:
                self._add(
                    ProblemKind.NODE_CONFLICT,
                    joint,
                    f"answered {CONFLICT_SYNCS} SYNCs twice and differently: a second node has the same id",
                    "unplug one of the two, give it another id, run hil can scan",
                )
            elif not twice[joint]:
                self._clear(ProblemKind.NODE_CONFLICT, joint)
        if self.heartbeat_ns and self.operational:
            self._check_heartbeats(now_ns)
        self._check_line(now_ns)

    def _all_silent(self, joint: int) -> bool:
        """No node of the joint's channel answers: one problem of the bus, and none of each node."""
        bus = self._bus_of(joint)
        there = [other for other in range(len(self._nodes)) if self._bus_of(other) is bus]
        # Those that are judged later in this SYNC have their count still to come.
        if len(there) < 2 or any(self._missed[other] < MISSED_SYNCS - (other > joint) for other in there):
            return False
        key, state = (ProblemKind.NODE_LOST, bus.name), bus.state()
        known = f"; the adapter states {state}" if state in ("bus-off", "passive", "warning") else ""
        self.problems[key] = DeviceProblem(
            *key,
            f"no node answered {MISSED_SYNCS} SYNCs in a row{known}",
            "check the adapter, the cable with its terminating resistors, and the supply of the drives",
        )
        return True

    def implausible(self, data: ProcessData) -> None:
        """The newest feedback cannot be true: where an id answered this SYNC twice and differently, that is why."""
        for joint, conflict in enumerate(data.conflicts):
            if conflict:
                self._add(
                    ProblemKind.NODE_CONFLICT,
                    joint,
                    "answered a SYNC twice, and implausibly: a second node has the same id",
                    "unplug one of the two, give it another id, run hil can scan",
                )

    def _fault_without_emcy(self, joint: int, fault: bool) -> None:
        """The statusword says FAULT and no EMCY came, or has come so far; it passes with the state."""
        if fault and joint not in self._faults:
            self._faults.add(joint)
            text = "is in FAULT, and sent no EMCY that would say why"
            self._add(ProblemKind.DRIVE_FAULT, joint, text, "read its error code 0x603F with the drive's own tool")
        elif not fault and joint in self._faults:
            self._faults.discard(joint)
            self._clear(ProblemKind.DRIVE_FAULT, joint)

    def _check_heartbeats(self, now_ns: int) -> None:
        for joint, heard in enumerate(self._heard_ns):
            if heard >= 0 and now_ns - heard > self.heartbeat_ns and not self._missed[joint] >= MISSED_SYNCS:
                key = self._key(ProblemKind.NODE_STATE, joint)
                if key not in self.problems:
                    self._add(
                        ProblemKind.NODE_STATE,
                        joint,
                        f"answers SYNC but sent no heartbeat for {(now_ns - heard) * 1e-6:.0f} ms",
                        "another program changed 0x1017; connect again",
                    )

    def _check_line(self, now_ns: int) -> None:
        for bus in self._buses:
            if bus.lost:
                self.problems[ProblemKind.ADAPTER_LOST, bus.name] = DeviceProblem(
                    ProblemKind.ADAPTER_LOST, bus.name, bus.lost, "plug the adapter in, then connect again"
                )
        errors, foreign = self._error_times, self._foreign_times
        self._line(
            "error frames",
            len(errors) == ERROR_FRAMES and now_ns - errors[0] <= MEMORY_NS,
            bool(errors) and now_ns - errors[-1] <= MEMORY_NS,
            f"{self.error_frames} error frames so far",
            "check the cable, both terminating resistors and the bit rate of every node",
        )
        self._line(
            "another master",
            len(foreign) == CONFLICT_SYNCS and now_ns - foreign[0] <= MEMORY_NS,
            bool(foreign) and now_ns - foreign[-1] <= MEMORY_NS,
            f"{self.foreign} frames that only this program may send (SYNC, NMT, commands)",
            "end the other program that drives this bus",
        )

    def _line(self, part: str, begins: bool, lasts: bool, text: str, remedy: str) -> None:
        key = (ProblemKind.BUS, part)
        if begins and key not in self.problems:
            self.problems[key] = DeviceProblem(ProblemKind.BUS, part, text, remedy)
        elif not lasts:
            self.problems.pop(key, None)

    def bus_state(self, bus: Bus, state: str) -> None:
        """The adapter of ``bus`` states ``state``, see :meth:`drivers.can.bus.Bus.state`."""
        key = (ProblemKind.BUS, bus.name)
        if state in _ADAPTER:
            remedy = "check the cable, both terminating resistors and the bit rate; then connect again"
            self.problems[key] = DeviceProblem(ProblemKind.BUS, bus.name, _ADAPTER[state], remedy)
        elif self.problems:
            self.problems.pop(key, None)

    def start(self, now_ns: int) -> None:
        """The nodes are started now: from here on they must stay as they are."""
        self.operational = True
        self._heard_ns = [now_ns] * len(self._nodes)
        self._missed = [0] * len(self._nodes)

    def acknowledge(self) -> None:
        """A person has seen the EMCYs: those whose drive is well again are forgotten."""
        for joint in range(len(self._nodes)):
            self.emcy[joint] = 0
            self._faults.discard(joint)
            self._clear(ProblemKind.DRIVE_FAULT, joint)

    # Small things

    def _bus_of(self, joint: int) -> Bus:
        return self._buses[self._channel_of[self._nodes[joint]]]

    def _key(self, kind: ProblemKind, joint: int) -> Key:
        return kind, f"node {self._nodes[joint]}"

    def _add(self, kind: ProblemKind, joint: int, text: str, remedy: str) -> None:
        part = f"node {self._nodes[joint]}"
        self.problems[kind, part] = DeviceProblem(kind, part, text, remedy, joint)

    def _clear(self, kind: ProblemKind, joint: int) -> None:
        if self.problems:
            self.problems.pop(self._key(kind, joint), None)

    def _reject(self, reason: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
