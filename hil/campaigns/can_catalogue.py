"""What can go wrong on the cobot's bus while the arm moves, and what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim_mocks.faults import Fault

TICKS = 400
"""Length of a fault that is meant to last: it outlives the stop and ends while the arm is watched."""
NODES = range(1, 7)
LOST = 4
"""Cycles to find a node that is silent: three SYNCs without an answer, and the one under way."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    group: str
    name: str
    faults: tuple[Fault, ...]
    """``at_tick`` counts from the beginning of the fault."""
    says: tuple[str, ...] = ()
    """What the message must contain; empty where the fault must not be found."""
    within: int = 0
    """Cycles (SYNC periods) within which it must be found."""
    harmless: bool = False
    """It need not be found where the arm moves as without it."""
    killed: bool = False
    """This program dies; ``within`` is for the drives."""
    own_line: bool = False
    """It needs a serial line that no other trial shares."""
    reconnects: bool = False
    """Somebody connects again afterwards."""
    unseen: str = ""
    """Why it cannot be found before it does harm; empty where it must be."""
    interface: str = "slcan"


def _one(group: str, name: str, kind: str, device: str, ticks: int = TICKS, **how: Any) -> Case:
    meant = {
        key: how.pop(key)
        for key in ("says", "within", "harmless", "own_line", "reconnects", "unseen", "interface")
        if key in how
    }
    return Case(group, name, (Fault(kind, device, 0, ticks, **how),), **meant)


def _supervisor() -> list[Case]:
    group = "This program"
    return [
        Case(group, "killed: no SYNC, no command, no heartbeat", (), ("0x",), 6, killed=True),
        _one(group, "its SYNC is missing", "mute", "cobot", value=0x080,
             says=("no node answered 3 SYNCs",), within=LOST),
        _one(group, "its commands to node 3 are missing", "mute", "cobot", value=0x203,
             says=("node 3: sent EMCY 0x8250",), within=8),
        _one(group, "its heartbeat is missing", "mute", "cobot", value=0x77F, says=("EMCY 0x8130",), within=26),
    ]  # fmt: skip


def _nodes() -> list[Case]:
    group = "Drives"
    return [
        _one(group, "node 3 power-cycled (0.4 s)", "node_power", "cobot.3",
             says=("node 3: did not answer 3 SYNCs", "supply"), within=LOST, own_line=True, reconnects=True),
        _one(group, "node 2: EMCY 0x2310, and Fault", "drive_fault", "cobot.2", value=0x2310,
             says=("node 2: sent EMCY 0x2310 over-current",), within=2),
        _one(group, "node 5: EMCY 0x4310, and Fault", "drive_fault", "cobot.5", value=0x4310,
             says=("node 5: sent EMCY 0x4310",), within=2),
        _one(group, "node 4 bus-off", "bus_off", "cobot.4", says=("node 4: did not answer 3 SYNCs",), within=LOST),
        _one(group, "heartbeat of node 5 is missing", "mute", "cobot", value=0x705,
             says=("node 5: answers SYNC but sent no heartbeat",), within=155),
        _one(group, "node 6 hears nothing", "drop", "cobot.6", field="in",
             says=("node 6: did not answer 3 SYNCs",), within=LOST),
        _one(group, "node 6 says nothing", "drop", "cobot.6",
             says=("node 6: did not answer 3 SYNCs",), within=LOST),
        _one(group, "a foreign node with the id of node 3", "foreign_node", "cobot.3",
             says=("node 3: answered", "a second node has the same id", "hil can scan"), within=5),
    ]  # fmt: skip


def _bus() -> list[Case]:
    group = "Bus and adapter"
    return [
        _one(group, "error frames, one a millisecond", "error_frame", "cobot", value=1, harmless=True),
        _one(group, "error frames without end", "error_frame", "cobot", value=1000,
             says=("no node answered 3 SYNCs",), within=LOST),
        _one(group, "3 error frames", "error_frame", "cobot", 3, value=1, harmless=True),
        _one(group, "the adapter is bus-off", "bus_off", "cobot",
             says=("no node answered 3 SYNCs", "bus-off"), within=LOST, own_line=True, reconnects=True),
        _one(group, "the adapter unplugged, and plugged in after 0.4 s", "unplug", "cobot",
             says=("unplugged", "plug the adapter in"), within=LOST, own_line=True, reconnects=True),
    ]  # fmt: skip


def _seen() -> list[Case]:
    group = "An adapter that shows error frames"

    def case(name: str, kind: str, ticks: int = TICKS, **how: Any) -> Case:
        return _one(group, name, kind, "cobot", ticks, interface="virtual", **how)

    return [
        case("error frames, one a millisecond", "error_frame", value=1, says=("error frames", "terminating"), within=6),
        case("error frames without end", "error_frame", value=1000, says=("error frames", "terminating"), within=LOST),
        case("3 error frames", "error_frame", 3, value=1, harmless=True),
        case("the adapter is bus-off", "bus_off", says=("the adapter is bus-off", "terminating"), within=1),
    ]


_FLIPPED = (
    "a bus would throw such frames away by their CRC; one that got through acts for a cycle, within the drive's own "
    "torque limit, and no feedback repeats the torque that a drive was told: it is found when a drive leaves "
    "operation, or by what the arm does"
)
_LATE = (
    "TPDOs carry neither a counter nor a time: one late answer to each SYNC looks as one in time. The arm is ahead of "
    "what is measured by the way of one cycle (2.7 mrad at this speed); the step back when it ends is found."
)


def _frames() -> list[Case]:
    group = "Frames"
    lost = [Fault("drop", f"cobot.{k}", 0, TICKS, field=way, probability=0.05) for k in NODES for way in ("in", "out")]
    swapped = [Fault("reorder", f"cobot.{k}", 0, TICKS, probability=0.1) for k in NODES]
    return [
        Case(group, "5 % of what each drive hears and says lost", tuple(lost),
             ("",), TICKS // 2, harmless=True),
        _one(group, "all feedback of one cycle lost", "drop", "cobot", 2, harmless=True),
        _one(group, "all feedback lost", "drop", "cobot", says=("no node answered 3 SYNCs",), within=LOST),
        _one(group, "all feedback doubled", "duplicate", "cobot", harmless=True),
        _one(group, "all commands doubled", "duplicate", "cobot", field="in",
             says=("step of the measured position",), within=3),
        Case(group, "a tenth of each drive's answers after the next ones", tuple(swapped), ("",), TICKS // 2,
             harmless=True),
        _one(group, "feedback a cycle late", "delay", "cobot", value=2, says=("",), within=TICKS // 2 + 2,
             harmless=True, unseen=_LATE),
        _one(group, "1 bit of 5 % of the feedback flipped", "bit_flip", "cobot", probability=0.05, says=("",),
             within=TICKS // 2, harmless=True),
        _one(group, "1 bit of 5 % of the commands flipped", "bit_flip", "cobot", probability=0.05, field="in",
             says=("",), within=TICKS // 2, harmless=True, unseen=_FLIPPED),
        _one(group, "feedback truncated", "truncate", "cobot", says=("no node answered 3 SYNCs",), within=LOST),
        _one(group, "64 random bytes each millisecond", "garbage", "cobot", says=("",), within=TICKS // 2,
             harmless=True),
        _one(group, "position of A2 off by 50 mrad at once", "step", "cobot", field="q", joint=1, value=0.05,
             says=("q_step",), within=1),
    ]  # fmt: skip


def catalogue() -> list[Case]:
    """All cases of an arm in motion."""
    return [*_supervisor(), *_nodes(), *_bus(), *_seen(), *_frames()]
