"""Tolerances between signals: too wide ever to trip, or narrower than the signals' own noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hil.lint.base import Hit, Rule, Severity, named, where
from hil.lint.facts import Facts

_RESERVED = ("cycle", "timing", "events")
"""Channels of every log."""


def _stuck_below_cycle(f: Facts) -> Iterator[Hit]:
    stuck = f.cell.safety.stuck_ms
    if 0.0 < stuck < 3e3 * f.period:
        expected = f"three cycles or more, {3e3 * f.period:g} ms, or 0 for a device without noise"
        remedy = "raise safety.stuck_ms: two equal values may be chance"
        yield Hit(("safety", "stuck_ms"), f"{stuck:g} ms", expected, remedy)


def _torque_agreement_never_trips(f: Facts) -> Iterator[Hit]:
    share, most = f.cell.safety.torque_agreement, f.cell.safety.torque_fraction
    if share > 0.0 and share >= most:
        remedy = "lower safety.torque_agreement, or say 0 to switch the comparison off"
        yield Hit(("safety", "torque_agreement"), f"{share:g} of the torque limits",
                  f"less than torque_fraction, {most:g}, which trips first", remedy)  # fmt: skip


def _torque_agreement_in_noise(f: Facts) -> Iterator[Hit]:
    share = f.cell.safety.torque_agreement
    observer = f.cell.observer
    noise = [3.0 * math.hypot(a, b) for a, b in zip(observer.tau_sigma, observer.model_sigma, strict=True)]
    tolerance = [share * tau for tau in f.limit("tau_max")]
    if share > 0.0 and (bad := where(not t >= s for t, s in zip(tolerance, noise, strict=True))):
        remedy = "raise safety.torque_agreement, or state smaller observer.tau_sigma and model_sigma if they are"
        expected = f"at least three times the observer's own error, {named(bad, noise, 'N·m')}"
        yield Hit(("safety", "torque_agreement"), named(bad, tolerance, "N·m"), expected, remedy)


def _force_agreement_never_trips(f: Facts) -> Iterator[Hit]:
    force = f.cell.safety.force_agreement
    if force > 0.0 and force >= f.force_reach:
        remedy = "lower safety.force_agreement, or say 0 to switch the comparison off"
        yield Hit(("safety", "force_agreement"), f"{force:g} N",
                  f"less than the joints can bear at home, {f.force_reach:.4g} N", remedy)  # fmt: skip


def _standstill_never_trips(f: Facts) -> Iterator[Hit]:
    section = f.cell.robot.standstill
    weight = np.abs(f.weight)
    tolerance = np.array(section.tolerance_abs) + section.tolerance_rel * weight
    if not (2.0 * weight > tolerance).any():
        remedy = "lower robot.standstill.tolerance_abs, or choose a home in which the arm's weight is felt"
        read = named(range(f.n), tolerance.tolist(), "N·m")
        yield Hit(("robot", "standstill", "tolerance_abs"), read,
                  "less than twice the weight on a joint at least, which shows a flipped sign", remedy)  # fmt: skip


def _standstill_in_noise(f: Facts) -> Iterator[Hit]:
    section = f.cell.robot.standstill
    tolerance = (np.array(section.tolerance_abs) + section.tolerance_rel * np.abs(f.weight)).tolist()
    sigma = f.cell.observer.model_sigma
    if bad := where(not t >= s for t, s in zip(tolerance, sigma, strict=True)):
        remedy = "raise robot.standstill.tolerance_abs, or state a smaller observer.model_sigma if it is"
        yield Hit(("robot", "standstill", "tolerance_abs"), named(bad, tolerance, "N·m"),
                  f"at least the model's own error, {named(bad, sigma, 'N·m')}", remedy)  # fmt: skip


def _observer_beyond_cycle(f: Facts) -> Iterator[Hit]:
    most = 0.5 / f.period
    bandwidth = f.cell.observer.bandwidth
    if f.cell.observer.kind == "momentum" and not bandwidth <= most:
        remedy = "lower observer.bandwidth: at this cycle the filter rings"
        yield Hit(("observer", "bandwidth"), f"{bandwidth:g} 1/s", f"at most half the cycle rate, {most:g} 1/s", remedy)


def _guiding_cap_never_acts(f: Facts) -> Iterator[Hit]:
    cap, most = f.cell.free_drive.joint_speed, f.cell.safety.speed_fraction
    if cap > most:
        remedy = "lower free_drive.joint_speed: the fault would come before the gentle stop"
        yield Hit(("free_drive", "joint_speed"), f"{cap:g} of the speed limits",
                  f"at most safety.speed_fraction, {most:g}", remedy)  # fmt: skip


def _reserved_name(f: Facts) -> Iterator[Hit]:
    for i, sensor in enumerate(f.cell.sensors):
        if sensor.name in _RESERVED:
            remedy = "rename the sensor: every log has a channel of that name"
            yield Hit(("sensors", i, "name"), sensor.name, f"none of {', '.join(_RESERVED)}", remedy)


_E, _W = Severity.ERROR, Severity.WARNING

RULES = (
    Rule("stuck-below-cycle", _E, "A value may repeat for three cycles before it counts as frozen.",
         _stuck_below_cycle),
    Rule("torque-agreement-never-trips", _W, "Joint torques and sensor are compared more narrowly than their range.",
         _torque_agreement_never_trips),
    Rule("torque-agreement-in-noise", _E, "They are compared more widely than the observer's own error.",
         _torque_agreement_in_noise),
    Rule("force-agreement-never-trips", _W, "Forces are compared more narrowly than the arm can press at all.",
         _force_agreement_never_trips),
    Rule("standstill-never-trips", _E, "The check at standstill would see a flipped sign of the measured torque.",
         _standstill_never_trips),
    Rule("standstill-in-noise", _W, "The check at standstill is wider than the model's error that the file states.",
         _standstill_in_noise),
    Rule("observer-beyond-cycle", _E, "The momentum observer is slower than half the cycle rate.",
         _observer_beyond_cycle),
    Rule("guiding-cap-never-acts", _W, "Guiding by hand is capped below the speed that is a fault.",
         _guiding_cap_never_acts),
    Rule("reserved-name", _E, "No sensor has the name of a channel that every log has.", _reserved_name),
)  # fmt: skip
