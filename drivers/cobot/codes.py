"""Emergency codes, SDO abort codes and NMT states in words, with what to do about them.

Sources: CiA 301 4.2 (codes of communication, abort codes, NMT), CiA 402 (codes of drives). Codes of 0xFFxx and texts of
five vendor bytes belong to the drive's manual.
"""

from __future__ import annotations

NMT_STATES = {0: "boot-up", 4: "stopped", 5: "operational", 127: "pre-operational"}
BOOT_UP, STOPPED, OPERATIONAL, PRE_OPERATIONAL = 0, 4, 5, 127

NMT_COMMANDS = {
    0x01: "start",
    0x02: "stop",
    0x80: "enter pre-operational",
    0x81: "reset node",
    0x82: "reset communication",
}

_CABLE = "check the cable, both terminating resistors (60 Ω between CAN_H and CAN_L with power off) and the bit rate"
_MANUAL = "look the code up in the drive's manual"

EMCY: dict[int, tuple[str, str]] = {
    0x0000: ("error reset or no error", "nothing"),
    0x1000: ("generic error", _MANUAL),
    0x2310: ("over-current", "let the motor be measured for a short, lower the torque, then reset"),
    0x2320: ("short circuit", "measure motor and cable for a short before switching on again"),
    0x2330: ("earth leakage", "measure motor and cable against earth before switching on again"),
    0x3110: ("mains over-voltage", "measure the supply"),
    0x3120: ("mains under-voltage", "measure the supply"),
    0x3210: ("DC-link over-voltage", "brake more gently, or fit a brake resistor"),
    0x3220: ("DC-link under-voltage", "check supply, fuse and emergency-stop circuit"),
    0x4210: ("drive too hot", "let it cool, lower the load"),
    0x4310: ("motor too hot", "let it cool, lower the load"),
    0x5000: ("device hardware", "switch the drive off and on; if it comes again, replace it"),
    0x6000: ("device software", "switch the drive off and on; compare its firmware with the other joints'"),
    0x6320: ("parameter error", "restore the drive's parameters"),
    0x7121: ("motor blocked", "free the arm; check that the brake opens"),
    0x7305: ("encoder 1", "check the encoder's plug and cable"),
    0x7306: ("encoder 2", "check the encoder's plug and cable"),
    0x8110: ("CAN overrun: the node lost frames", "lower the load of the bus (hil can load)"),
    0x8120: ("CAN in error-passive mode", _CABLE),
    0x8130: ("heartbeat or life guarding lost", "the supervisor was gone for too long: look why, then acknowledge"),
    0x8140: ("recovered from bus-off", _CABLE),
    0x8150: ("CAN identifier collision", "two nodes share an id: unplug one, run hil can scan"),
    0x8210: ("PDO not processed: too short", "another program writes to this node, or its mapping was changed"),
    0x8220: ("PDO too long", "another program writes to this node, or its mapping was changed"),
    0x8240: ("SYNC of unexpected length", "another program produces SYNC on this bus: end it"),
    0x8250: ("RPDO time-out: no command within the deadline", "the supervisor was late or gone; look at its log"),
    0x8311: ("excess torque", "free the arm, check the load"),
    0x8400: ("velocity supervision", "check the encoder; slow down"),
    0x8611: ("following error", "check load and limits of the drive"),
    0x8700: ("SYNC supervision: SYNC is missing", "the supervisor was late or gone; look at its log"),
}
_GROUPS: dict[int, str] = {
    0x10: "generic error",
    0x20: "current",
    0x21: "current, input side",
    0x22: "current inside the device",
    0x23: "current, output side",
    0x30: "voltage",
    0x31: "mains voltage",
    0x32: "voltage inside the device",
    0x33: "output voltage",
    0x40: "temperature",
    0x41: "ambient temperature",
    0x42: "device temperature",
    0x43: "drive temperature",
    0x50: "device hardware",
    0x60: "device software",
    0x61: "internal software",
    0x62: "user software",
    0x63: "data set",
    0x70: "additional modules",
    0x71: "power stage",
    0x73: "sensor",
    0x80: "monitoring",
    0x81: "communication",
    0x82: "protocol error",
    0x83: "torque control",
    0x84: "velocity control",
    0x85: "position control",
    0x86: "positioning",
    0x90: "external error",
    0xF0: "additional functions",
    0xFF: "specific to the manufacturer",
}
_REGISTER = ("generic", "current", "voltage", "temperature", "communication", "profile", "reserved", "manufacturer")

SDO_ABORTS: dict[int, str] = {
    0x05030000: "toggle bit not alternated",
    0x05040000: "time-out",
    0x05040001: "command specifier unknown",
    0x05040005: "out of memory",
    0x06010000: "access not supported",
    0x06010001: "read of a write-only object",
    0x06010002: "write to a read-only object",
    0x06020000: "no such object",
    0x06040041: "object cannot be mapped to a PDO",
    0x06040042: "mapping longer than a PDO",
    0x06040043: "parameter incompatible",
    0x06040047: "device incompatible",
    0x06060000: "hardware error",
    0x06070010: "length does not match",
    0x06070012: "too long",
    0x06070013: "too short",
    0x06090011: "no such sub-index",
    0x06090030: "value out of range",
    0x06090031: "value too high",
    0x06090032: "value too low",
    0x06090036: "maximum below minimum",
    0x08000000: "general error",
    0x08000020: "data cannot be stored",
    0x08000021: "data cannot be stored: local control",
    0x08000022: "data cannot be stored: the device is in the wrong state",
    0x08000023: "no object dictionary",
    0x08000024: "no data",
}


def emcy_text(code: int) -> str:
    """``0x8130 heartbeat or life guarding lost``: emergency code (u16) and its meaning."""
    known = EMCY.get(code)
    return f"0x{code:04X} {known[0] if known else _GROUPS.get(code >> 8, 'unknown group')}"


def emcy_remedy(code: int) -> str:
    """What to do about emergency ``code`` (u16)."""
    known = EMCY.get(code)
    return known[1] if known else _MANUAL


def error_register_text(register: int) -> str:
    """The set bits of the error register 0x1001 (u8) in words."""
    return ", ".join(name for bit, name in enumerate(_REGISTER) if register >> bit & 1) or "none"


def abort_text(code: int) -> str:
    """``0x06020000 no such object``: SDO abort code (u32) and its meaning."""
    return f"0x{code:08X} {SDO_ABORTS.get(code, 'not a code of CiA 301')}"


def nmt_text(state: int) -> str:
    """Name of the NMT state in a heartbeat (u8)."""
    return NMT_STATES.get(state, f"unknown state 0x{state:02X}")
