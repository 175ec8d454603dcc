"""The table of everything that one cycle records, and the row that holds it.

One table names each quantity with its shape, kind, unit, meaning and channel. The row's dtype, the protobuf
schema, the CSV headers and the figures' axes all derive from it, so that they cannot disagree.

The row is laid out *as its own protobuf encoding*: a structured dtype whose fields sit between the constant tag
and length bytes of two protobuf messages, ``/cycle`` then ``/timing``. Writing a field encodes it; nothing is
left to encode in the cycle or in the recorder. The price is unaligned eight-byte fields, which x86-64 and
AArch64 read and write at full speed.

Fields of ``/cycle`` are deterministic in lockstep; those of ``/timing`` (prefix ``wall_``) never are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hil.telemetry.layout import MessageLayout, Slot

CYCLE = "/cycle"
TIMING = "/timing"
EVENTS = "/events"


@dataclass(frozen=True, slots=True)
class Field:
    """One recorded quantity."""

    name: str
    shape: int | Literal["n"] | None
    """None for a scalar, ``"n"`` for one value per joint, else the number of values."""
    kind: Literal["f8", "i8"]
    unit: str
    """SI unit; one entry per value, comma-separated, where the values differ. Empty for counts and codes."""
    doc: str
    channel: str = CYCLE

    def size(self, n: int) -> int | None:
        """Number of values on an arm of ``n`` joints; None for a scalar."""
        return n if self.shape == "n" else self.shape


_WRENCH = "N,N,N,N·m,N·m,N·m"

FIELDS: tuple[Field, ...] = (
    Field("tick", None, "i8", "", "cycle number, counted from 0 by the supervisor"),
    Field("t_ns", None, "i8", "ns", "monotonic time of the tick (virtual time in lockstep)"),
    Field("arm_seq", None, "i8", "", "the arm's own frame counter, -1 before the first frame"),
    Field("arm_valid", None, "i8", "", "1 if the arm's newest frame passed every plausibility check"),
    Field("arm_fresh", None, "i8", "", "1 if a new frame arrived in this tick"),
    Field("arm_age_ns", None, "i8", "ns", "age of the arm's newest frame, -1 before the first"),
    Field("arm_state", None, "i8", "", "drivers.contract.ArmState"),
    Field("q", "n", "f8", "rad", "measured joint positions"),
    Field("qd", "n", "f8", "rad/s", "joint velocities"),
    Field("qdd", "n", "f8", "rad/s²", "joint accelerations, estimated"),
    Field("tau", "n", "f8", "N·m", "measured joint torque, positive along +q"),
    Field("tau_ext_robot", "n", "f8", "N·m", "the robot's own estimate of the external torque"),
    Field("tau_wanted", "n", "f8", "N·m", "torque the controller asks for, before saturation"),
    Field("tau_cmd", "n", "f8", "N·m", "torque sent to the arm, NaN if none was sent"),
    Field("q_ref_cmd", "n", "f8", "rad", "position reference sent with the torque, NaN if none was sent"),
    Field("tau_accepted_lo", "n", "f8", "N·m", "lower bound of the torque command that acts on the robot"),
    Field("tau_accepted_hi", "n", "f8", "N·m", "upper bound of the torque command that acts on the robot"),
    Field("limited", "n", "i8", "", "bit mask per joint of the limits that cut the torque"),
    Field("g", "n", "f8", "N·m", "gravity torque of our model"),
    Field("tau_total", "n", "f8", "N·m", "predicted total motor torque: command, gravity, the robot's own spring"),
    Field("tau_ext", "n", "f8", "N·m", "external torque by the observer that the cell names (environment on robot)"),
    Field("tau_ext_sd", "n", "f8", "N·m", "standard deviation of tau_ext, error of the model included"),
    Field("tau_ext_known", None, "i8", "", "1 if tau_ext is of this tick's sample; else it is old or unknown"),
    Field("nis", None, "f8", "", "normalised innovation squared of the observer, n on average if its noise is right"),
    Field("contact", None, "i8", "", "1 if the observer's detector sees a contact, 0 if none, -1 if it does not know"),
    Field("contact_level", None, "f8", "", "the detector's statistic by its threshold, 1 and more is contact"),
    Field("wrench_est", 6, "f8", _WRENCH, "contact wrench from tau_ext, at the TCP, base axes, on the robot"),
    Field("wrench_est_sd", 6, "f8", _WRENCH, "standard deviation of wrench_est"),
    Field("wrench_ft", 6, "f8", _WRENCH, "contact wrench from the F/T sensor, at the TCP, base axes, on the robot"),
    Field("ft_raw", 6, "f8", _WRENCH, "newest F/T frame in the sensor's own frame, with bias and tool weight"),
    Field("ft_seq", None, "i8", "", "number of good F/T frames so far, -1 before the first"),
    Field("ft_valid", None, "i8", "", "1 if the newest F/T frame is finite, in range and not flagged"),
    Field("ft_fresh", None, "i8", "", "1 if a new F/T frame arrived in this tick"),
    Field("ft_age_ns", None, "i8", "ns", "age of the newest F/T frame, -1 before the first"),
    Field("x", 3, "f8", "m", "position of the TCP, base frame"),
    Field("x_ref", 3, "f8", "m", "reference of x, NaN in joint motions"),
    Field("rot_err", 3, "f8", "rad", "orientation error as a rotation vector, base axes"),
    Field("q_ref", "n", "f8", "rad", "the motion's joint reference, NaN in Cartesian motions"),
    Field("force_ref", 3, "f8", "N", "force the robot is to exert on the environment, base axes"),
    Field("safety_state", None, "i8", "", "state of the supervisor's safety state machine"),
    Field("phase", None, "i8", "", "index into the table of phase names (events of kind 'phase')"),
    Field("fault", None, "i8", "", "code of the latched fault, 0 for none"),
    Field("stop_category", None, "i8", "", "requested IEC 60204-1 stop category, -1 for none"),
    Field("quality", None, "f8", "", "link quality from 0 to 1, as the device states it"),
    Field("tracking", None, "f8", "", "the device's own tracking performance, 0 to 1"),
    Field("gaps", None, "i8", "", "frames of the arm missing so far"),
    Field("rejected", None, "i8", "", "frames or datagrams of the arm refused so far"),
    Field("ft_gaps", None, "i8", "", "F/T frames missing so far"),
    Field("ft_rejected", None, "i8", "", "F/T frames refused so far"),
    Field("skipped", None, "i8", "", "ticks of the arm that passed without a cycle of ours so far"),
    Field("grip", None, "i8", "", "drivers.gripper.GripState, counted from 0 in its order; -1 without a gripper"),
    Field("payload", None, "f8", "kg", "mass of the payload that the model carries; 0 for none"),
    Field("tau_ff", "n", "f8", "N·m", "learnt feed-forward torque; NaN where no controller of that kind runs"),
    Field("tau_ff_sd", "n", "f8", "N·m", "its predicted standard deviation"),
    Field("ff_surprise", "n", "f8", "", "factor on it by the innovation, 1 with nothing unusual"),
    Field("kp", "n", "f8", "N·m/rad", "stiffness that follows that deviation"),
    Field("gain_tank", None, "f8", "J", "energy left for rising stiffness"),
    Field("kp_clamped", None, "i8", "", "1 if the passivity bound held the stiffness back"),
    Field("kp_starved", None, "i8", "", "1 if the energy tank did"),
    Field("ff_fallback", None, "i8", "", "1 if the prediction was not finite: rigid-body torque, full gains"),
    Field("load_mass", None, "f8", "kg", "estimated mass of what the arm carries beside its tool; NaN: not estimated"),
    Field("load_mass_sd", None, "f8", "kg", "its standard deviation; 0 where nothing has put the load in doubt"),
    Field("ff_version", None, "i8", "", "of the model that is learnt on while it runs, 0 the file's; -1: none is"),
    Field("ff_rmse", None, "f8", "N·m", "error of that model on the last batch before it was learnt, mean of joints"),
    Field("ff_nis", None, "f8", "", "squared error by predicted variance of that batch, mean of joints"),
    Field("arm_dt", None, "f8", "s", "the device's time between the arm's newest frame and the one before it"),
    Field("q_ref_accepted", "n", "f8", "rad", "position reference that acts on the robot"),
    Field("asked", None, "i8", "", "1 if a controller or a program asked for a command in this cycle"),
    Field("tau_asked", "n", "f8", "N·m", "torque that it asked for, refused ones included"),
    Field("q_ref_asked", "n", "f8", "rad", "position reference that it asked for"),
    Field("judged_ns", None, "i8", "ns", "time at which the gate last judged a command, -1 if it judged none"),
    Field("compared", None, "i8", "", "1 if joint torques and wrench sensor were compared, 0 if not, -1 unknown"),
    Field("robot_safety", None, "i8", "", "drivers.contract.SafetyState that the robot states, -1 unknown"),
    Field("robot_mode", None, "i8", "", "drivers.contract.OperationMode that the robot states, -1 unknown"),
    Field("drives_on", None, "i8", "", "1 if the drives are on, 0 if off, -1 if the robot does not say"),
    Field("wall_wake_ns", None, "i8", "ns", "monotonic time at which the cycle woke", TIMING),
    Field("wall_read_ns", None, "i8", "ns", "wake to sample decoded", TIMING),
    Field("wall_write_ns", None, "i8", "ns", "wake to command written; 0 where none was", TIMING),
    Field("wall_cycle_ns", None, "i8", "ns", "all of the cycle's work, without waiting", TIMING),
    Field("wall_late_ns", None, "i8", "ns", "packet in the kernel to wake; 0 where not known (lockstep)", TIMING),
    Field("wall_pub_ns", None, "i8", "ns", "publishing the row before this one (set by the publisher)", TIMING),
)

_CYCLE_FIELDS = tuple(f for f in FIELDS if f.channel == CYCLE)
# The timing channel repeats tick and t_ns, so that it can be read alone. Both channels start with them, under
# the same field numbers: the publisher copies them across as one run of bytes.
_TIMING_FIELDS = (*_CYCLE_FIELDS[:2], *(f for f in FIELDS if f.channel == TIMING))

CHANNEL_FIELDS: dict[str, tuple[Field, ...]] = {CYCLE: _CYCLE_FIELDS, TIMING: _TIMING_FIELDS}

_MINUS_ONE = frozenset(
    ("arm_seq", "arm_age_ns", "ft_seq", "ft_age_ns", "stop_category", "grip", "contact", "judged_ns", "compared")
    + ("robot_safety", "robot_mode", "drives_on", "ff_version")
)
"""Integers whose "nothing yet" is -1, as in the drivers' samples."""


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where everything lies in one row of an arm with ``n`` joints."""

    n: int
    cycle: MessageLayout
    timing: MessageLayout
    dtype: np.dtype[Any]
    """Fields of both channels at their byte offsets, ``itemsize`` = ``split`` + the timing message."""
    blank: bytes
    """A row before anything was written: every float NaN, every integer 0 or -1."""

    @property
    def split(self) -> int:
        """Byte at which the timing message starts."""
        return len(self.cycle.template)


def row_layout(n: int) -> RowLayout:
    """Layout of the row of an arm with ``n`` joints. Raises ValueError unless 1 ≤ n ≤ 15."""
    if not 1 <= n <= 15:
        # Above 15 joints a packed length takes two bytes; no arm of ours comes near.
        raise ValueError(f"a row has 1 to 15 joints, got n = {n}")
    cycle, timing = (MessageLayout.of_slots(_slots(c, n)) for c in (CYCLE, TIMING))
    split = len(cycle.template)
    names, formats, offsets = [], [], []
    for layout, base, skip in ((cycle, 0, 0), (timing, split, 2)):
        for slot, offset in list(zip(layout.slots, layout.offsets, strict=True))[skip:]:
            names.append(slot.name)
            formats.append(slot.format)
            offsets.append(base + offset)
    itemsize = split + len(timing.template)
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})
    blank = bytearray(cycle.template + timing.template)
    row = np.frombuffer(blank, dtype=dtype)
    for field in FIELDS:
        row[field.name] = np.nan if field.kind == "f8" else (-1 if field.name in _MINUS_ONE else 0)
    return RowLayout(n=n, cycle=cycle, timing=timing, dtype=dtype, blank=bytes(blank))


def row_dtype(n: int) -> np.dtype[Any]:
    """Structured dtype of one row: ``float64`` and ``int64`` fields, little endian, unaligned (see the module)."""
    return row_layout(n).dtype


def _slots(channel: str, n: int) -> list[Slot]:
    fields = CHANNEL_FIELDS[channel]
    return [Slot(f.name, number, f.kind, f.size(n)) for number, f in enumerate(fields, start=1)]


def columns(channel: str, n: int) -> Iterator[tuple[Field, int | None]]:
    """Fields of ``channel`` with their sizes for ``n`` joints, in the order in which they are recorded."""
    for field in CHANNEL_FIELDS[channel]:
        yield field, field.size(n)
