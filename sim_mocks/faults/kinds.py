"""The menu: every kind of fault, what it does, and what the parameter ``value`` means for it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

BIAS_TICKS = 500
"""Ticks in which a bias comes in: no jump gives it away."""
QUANTITIES = {"iiwa": ("q", "tau", "tau_ext", "q_set"), "ft": ("wrench",), "cobot": ("q", "tau"), "cobot.node": ()}
"""What the devices measure; ``q_set`` is the robot's own set-point. ``cobot`` is the arm with its buses, ``cobot.node``
stands for each of its drives, ``cobot.1`` … in the order of the joints; wire faults of ``cobot#1`` act on its second
bus."""


def device_class(device: str) -> str:
    """The device that a name belongs to, as :data:`QUANTITIES` and :attr:`Kind.devices` name it."""
    arm, dot, number = device.partition(".")
    if arm == "cobot" and dot and number.isdigit():
        return "cobot.node"
    return "cobot" if device == "cobot#1" else device


class Family(enum.Enum):
    """Where a kind acts."""

    WIRE = "wire"
    VALUE = "value"
    CLOCK = "clock"
    DEVICE = "device"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the menu."""

    family: Family
    meaning: str
    value: str = ""
    """Meaning of ``value``, with its unit; empty where there is none."""
    default: float = math.nan
    """What a missing ``value`` stands for."""
    low: float = -math.inf
    high: float = math.inf
    """Allowed range of ``value``, ends included."""
    whole: bool = False
    """``value`` is a whole number."""
    infinite: bool = False
    """``value`` may be infinite or NaN."""
    nonzero: bool = False
    certain: bool = False
    """Has no ``probability``."""
    devices: tuple[str, ...] = ("iiwa", "ft", "cobot")
    """Mock devices that know it (processes have names of their own)."""


_ANY = ("iiwa", "ft", "cobot", "cobot.node")
_FLOATS = ("iiwa", "ft")
"""Devices whose wires carry floating-point numbers, and time stamps."""
_W, _V, _C, _D, _P = Family.WIRE, Family.VALUE, Family.CLOCK, Family.DEVICE, Family.PROCESS

MENU: dict[str, Kind] = {
    "drop": Kind(_W, "the packets of a tick are lost", devices=_ANY),
    "delay": Kind(_W, "packets arrive later", "ticks of delay", 3, 1, 100_000, whole=True, devices=_ANY),
    "duplicate": Kind(_W, "packets arrive more than once", "extra copies", 1, 1, 100, whole=True, devices=_ANY),
    "reorder": Kind(_W, "packets arrive after those of the next tick", devices=_ANY),
    "bit_flip": Kind(_W, "bits of each packet are inverted", "number of bits", 1, 1, 1000, whole=True, devices=_ANY),
    "truncate": Kind(_W, "packets lose their end", "bytes that are left; missing: any number", math.nan, 0, 1 << 16,
                     whole=True, devices=_ANY),
    "garbage": Kind(_W, "random bytes arrive before the packet", "number of bytes", 64, 1, 1 << 15, whole=True,
                    devices=_ANY),
    "stall": Kind(_W, "nothing passes for `ticks` ticks, then all of it at once, late and in order", certain=True,
                  devices=_ANY),
    "burst": Kind(_W, "packets arrive in batches, as from a serial adapter with a long latency timer",
                  "ticks of a batch", 16, 2, 100_000, whole=True, certain=True, devices=_ANY),
    "rate_error": Kind(_C, "the device's clock runs off: an F/T sensor samples faster or slower, time stamps of the "
                       "robot drift", "relative error", 0.01, -0.5, 0.5, nonzero=True, certain=True, devices=_FLOATS),
    "clock_jump": Kind(_C, "the device's time stamps are off", "by how much, s", 1.0, -4000.0, 4000.0, nonzero=True,
                       certain=True, devices=_FLOATS),
    "nan": Kind(_V, "a quantity reads NaN (or `value`)", "what it reads instead", math.nan, infinite=True,
                devices=_FLOATS),
    "infinity": Kind(_V, "a quantity reads infinity", "its sign", 1.0, -1.0, 1.0, nonzero=True, devices=_FLOATS),
    "step": Kind(_V, "an offset that is there at once", "offset, in the quantity's unit", math.nan),
    "ramp": Kind(_V, "an offset that grows", "growth per 1000 ticks, in the quantity's unit", math.nan, certain=True),
    "stuck": Kind(_V, "a quantity keeps what it read when the fault began", certain=True),
    "bias": Kind(_V, f"an offset that comes in over {BIAS_TICKS} ticks", "offset, in the quantity's unit", math.nan,
                 certain=True),
    "saturation": Kind(_V, "a quantity is clipped", "largest magnitude, in the quantity's unit", math.nan, 0.0),
    "swap": Kind(_V, "two joints (or axes), `joint` and `other`, are exchanged"),
    "sign_flip": Kind(_V, "a quantity has the wrong sign"),
    "quality_loss": Kind(_D, "the robot reports, and acts on, a poor link; the sensor flags its frames as invalid",
                         "FRI quality, 0 (POOR) … 3", 0, 0, 3, whole=True, certain=True, devices=_FLOATS),
    "safety_stop": Kind(_D, "the robot's safety controller stops it", "safety state on the wire, 1 … 3", 1, 1, 3,
                        whole=True, certain=True, devices=("iiwa",)),
    "mode_change": Kind(_D, "the mode switch is turned", "mode: 0 T1, 1 T2, 2 AUT", 0, 0, 2, whole=True, certain=True,
                        devices=("iiwa",)),
    "session_close": Kind(_D, "the robot application closes the FRI session; the sensor leaves its run mode",
                          certain=True, devices=_FLOATS),
    "error_frame": Kind(_D, "a disturbance on the CAN bus destroys frames, which are repeated", "frames in each tick",
                        1, 1, 1000, whole=True, certain=True, devices=("cobot",)),
    "bus_off": Kind(_D, "a CAN controller goes bus-off: the supervisor's adapter (`cobot`) or a drive's", certain=True,
                    devices=("cobot", "cobot.node")),
    "unplug": Kind(_D, "the supervisor's CAN adapter is pulled out, and put back at the end", certain=True,
                   devices=("cobot",)),
    "node_power": Kind(_D, "a drive loses its power and boots when it is back", certain=True, devices=("cobot.node",)),
    "drive_fault": Kind(_D, "a drive goes to Fault with an EMCY; its cause is gone at the end", "EMCY code", 0x2310,
                        1, 0xFFFF, whole=True, certain=True, devices=("cobot.node",)),
    "foreign_node": Kind(_D, "another node with the same id sends a TPDO1 of its own after each of the drive's",
                         certain=True, devices=("cobot.node",)),
    "mute": Kind(_D, "frames with one identifier are lost, whoever sends them", "identifier, 0x080 (SYNC) being 128",
                 0x080, 0, 0x7FF, whole=True, certain=True, devices=("cobot",)),
    "kill": Kind(_P, "SIGKILL for a process", certain=True, devices=()),
    "suspend": Kind(_P, "SIGSTOP for a process, and SIGCONT later, in wall-clock time", "length, s of the wall clock",
                    0.1, 0.001, 3600.0, certain=True, devices=()),
}  # fmt: skip
"""The kinds by name, in the order of the documentation."""

KINDS = tuple(MENU)
NEED_VALUE = frozenset({"step", "ramp", "bias", "saturation"})
"""Kinds whose ``value`` has no sensible default."""
