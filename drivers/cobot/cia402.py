"""The power drive state machine of CiA 402 (IEC 61800-7-201): statusword by masks, controlword by what is wanted.

Only the bits that the standard names decide; bits 4, 7 to 15 differ from drive to drive and are left alone.
"""

from __future__ import annotations

import enum


class DriveState(enum.IntEnum):
    """States of the power drive system."""

    UNKNOWN = -1
    """No statusword yet, or one that no state has."""
    NOT_READY = 0
    SWITCH_ON_DISABLED = 1
    READY_TO_SWITCH_ON = 2
    SWITCHED_ON = 3
    OPERATION_ENABLED = 4
    QUICK_STOP_ACTIVE = 5
    FAULT_REACTION_ACTIVE = 6
    FAULT = 7


class Want(enum.IntEnum):
    """Where the driver leads the drives."""

    OFF = 0
    """Power away at once."""
    REST = 1
    """Ready to switch on: no power, nothing moves, an enable may follow."""
    QUICK_STOP = 2
    """The drive's own controlled stop (0x605A), then no power."""
    OPERATE = 3
    """Operation enabled."""


class Mode(enum.IntEnum):
    """Modes of operation (0x6060) that take a target torque."""

    PROFILE_TORQUE = 4
    CYCLIC_SYNC_TORQUE = 10


CW_DISABLE_VOLTAGE = 0x0000
CW_QUICK_STOP = 0x0002
CW_SHUTDOWN = 0x0006
CW_SWITCH_ON = 0x0007
CW_ENABLE_OPERATION = 0x000F
CW_FAULT_RESET = 0x0080

SW_VOLTAGE_ENABLED = 0x0010
SW_WARNING = 0x0080
SW_REMOTE = 0x0200
SW_INTERNAL_LIMIT = 0x0800
SW_FOLLOWS_COMMAND = 0x1000
"""Bit 12 in cyclic synchronous torque: the drive follows the target."""

_WIDE, _NARROW = 0x6F, 0x4F
_STATES: tuple[tuple[int, int, DriveState], ...] = (
    (_WIDE, 0x27, DriveState.OPERATION_ENABLED),
    (_WIDE, 0x21, DriveState.READY_TO_SWITCH_ON),
    (_WIDE, 0x23, DriveState.SWITCHED_ON),
    (_NARROW, 0x40, DriveState.SWITCH_ON_DISABLED),
    (_WIDE, 0x07, DriveState.QUICK_STOP_ACTIVE),
    (_NARROW, 0x08, DriveState.FAULT),
    (_NARROW, 0x0F, DriveState.FAULT_REACTION_ACTIVE),
    (_NARROW, 0x00, DriveState.NOT_READY),
)


def _state(statusword: int) -> DriveState:
    for mask, value, state in _STATES:
        if statusword & mask == value:
            return state
    return DriveState.UNKNOWN


_BY_LOW_BITS = tuple(_state(word) for word in range(0x80))
"""The masks look at the low seven bits only, so one look-up replaces them in the cycle."""


def state_of(statusword: int) -> DriveState:
    """The state that ``statusword`` (u16) tells; UNKNOWN for a negative one (none came yet)."""
    return _BY_LOW_BITS[statusword & 0x7F] if statusword >= 0 else DriveState.UNKNOWN


_OPERATE = {
    DriveState.SWITCH_ON_DISABLED: CW_SHUTDOWN,
    DriveState.READY_TO_SWITCH_ON: CW_SWITCH_ON,
    DriveState.SWITCHED_ON: CW_ENABLE_OPERATION,
    DriveState.OPERATION_ENABLED: CW_ENABLE_OPERATION,
    # Transition 16 out of a quick stop would enable anew what somebody stopped; down it goes instead.
    DriveState.QUICK_STOP_ACTIVE: CW_DISABLE_VOLTAGE,
}


def controlword(state: DriveState, want: Want) -> int:
    """The controlword (u16) that leads a drive in ``state`` one step towards ``want``.

    One step at a time: 0x0F in SWITCH ON DISABLED must not be taken by any drive, and some do. A fault is never reset
    here: that is a rising edge of bit 7 of its own (:data:`CW_FAULT_RESET`), sent when a person has acknowledged.
    """
    if want is Want.OFF:
        return CW_DISABLE_VOLTAGE
    if want is Want.QUICK_STOP:
        return CW_QUICK_STOP if state is not DriveState.SWITCH_ON_DISABLED else CW_DISABLE_VOLTAGE
    if want is Want.REST:
        return CW_DISABLE_VOLTAGE if state in (DriveState.FAULT, DriveState.QUICK_STOP_ACTIVE) else CW_SHUTDOWN
    return _OPERATE.get(state, CW_DISABLE_VOLTAGE)


_CW_NAMES = (
    (0x80, 0x80, "fault reset"),
    (0x02, 0x00, "disable voltage"),  # 0 x x 0 x
    (0x06, 0x02, "quick stop"),
    (0x07, 0x06, "shutdown"),
    (0x0F, 0x07, "switch on"),
    (0x0F, 0x0F, "enable operation"),
)


def controlword_name(word: int) -> str:
    """The command that ``word`` (u16) gives, in the standard's words, with ``halt`` where bit 8 is set."""
    name = next((name for mask, value, name in _CW_NAMES if word & mask == value), f"0x{word:04X}")
    return f"{name}, halt" if word & 0x100 else name


def statusword_name(word: int) -> str:
    """State and remarkable bits of ``word`` (u16): ``operation enabled, internal limit``."""
    parts = [state_of(word).name.lower().replace("_", " ")]
    for bit, name in ((SW_WARNING, "warning"), (SW_INTERNAL_LIMIT, "internal limit")):
        if word & bit:
            parts.append(name)
    return ", ".join(parts)


def torque_modes(supported: int) -> tuple[Mode, ...]:
    """The torque modes that 0x6502 (u32) states, the best first: bit 9 is mode 10, bit 3 mode 4."""
    modes = []
    if supported & 0x200:
        modes.append(Mode.CYCLIC_SYNC_TORQUE)
    if supported & 0x8:
        modes.append(Mode.PROFILE_TORQUE)
    return tuple(modes)
