"""The numbers of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hil.report.clock import Clock, clock_of
from hil.report.timing import TimingSummary, summarise_timing
from hil.telemetry.log import Log
from hil.telemetry.schema import Event

Array = npt.NDArray[np.float64]

PRESSING_FORCE = 1.0
"""N; below this reference force a row does not count as pressing."""
SETTLED_SHARE = 0.95
"""Pressing counts from where the reference has reached this share of its peak: the ramp is not the plateau."""
SHORTEST_PHASE = 0.0195
"""s; a phase of 20 ticks of 1 ms counts."""
BRING_UP = ("connect", "check", "tare")
"""Phases before the tare is done."""
END_OF_RUN = "end of the run"
"""The recorder's reason for an end in order."""
SWITCHED = ("recording was switched off", "the recording goes on in", "the flight recorder has what it wants")
"""Its reasons where the log was ended in order and the cell went on."""
BAND = 1.959964
"""Half width of the 95 % band of a normal distribution, in standard deviations."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Deviation from the reference in one phase."""

    phase: str
    start_s: float
    duration_s: float
    unit: str
    """``m`` (TCP; across the force where one is commanded) or ``rad`` (joints)."""
    rms: float
    """Root mean square over the phase: of the distance (m), or of the joint where it is largest (rad)."""
    peak: float
    """Largest distance (m), or largest deviation of any joint (rad)."""
    rms_joint: int | None = None
    """Joint of ``rms``, counted from 1; None for the TCP."""
    peak_joint: int | None = None


@dataclass(frozen=True, slots=True)
class Force:
    """Force on the environment along its reference, on the plateau of pressing, from the F/T sensor."""

    reference: float
    mean: float
    sd: float
    seconds: float


@dataclass(frozen=True, slots=True)
class WrenchAgreement:
    """Observer against F/T sensor, both as the contact wrench at the TCP in base axes."""

    rms_force: tuple[float, float, float]
    """N, per axis."""
    rms_moment: tuple[float, float, float] | None
    """N·m, per axis; None for an observer of point contacts, which knows no moments."""
    in_band: float
    """Share of force values in which the sensor's value lies inside the observer's 95 % band."""
    seconds: float
    rms_pressing: float | None
    """N, of the worst axis while a force is commanded; None where none is."""
    observer: str = ""
    """Which observer ran, in words; empty where the log does not say."""
    in_band_pressing: float | None = None
    """As ``in_band`` while a force is commanded."""
    nis: float | None = None
    """Mean normalised innovation squared for each joint, 1 where the filter's noise is right; None without one."""
    known: float = 1.0
    """Share of rows, from the tare on, in which the observer knew the external torque."""
    contacts: tuple[int, float] | None = None
    """How often the observer's detector began to see a contact, and for how long in all, s; None without a detector."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run amounts to. None where the log does not hold what is needed."""

    rows: int
    duration_s: float
    period_s: float
    """Median distance of the recorded rows; NaN with fewer than two."""
    truncated: bool
    damaged: int
    """Damaged spots of the file that were skipped."""
    ended: str
    """Empty if the log holds the run's own end, else what it ends with instead."""
    mock: bool | None
    """None if the log does not say."""
    tracking: list[Tracking]
    torque_share: tuple[float, ...] | None
    """Largest total torque per joint as share of its limit; None if the log names no limits."""
    saturated: float
    """Share of rows in which a torque limit cut the command of at least one joint."""
    force: Force | None
    wrench: WrenchAgreement | None
    timing: TimingSummary | None
    faults: list[Event]
    gaps: int
    """Frames of the arm that were missing."""
    rejected: int
    """Frames of the arm that the driver refused."""
    ft_gaps: int
    """Frames of the F/T sensor that were missing."""
    ft_rejected: int
    """Frames of the F/T sensor that the driver refused."""
    stale: int
    """Rows without a new frame of the arm, from the first one on."""
    missed: int
    """Messages that never reached the recorder."""
    skipped: int
    """Ticks of the arm without a cycle of ours."""
    clock: Clock
    every: int = 1
    """k: each k-th row of the log was looked at, and what lies between two of them is unknown."""
    motor_side: bool = False
    """Joint torque is that of the motors, the friction of the gears in it."""

    @property
    def complete(self) -> bool:
        """Rows from the run's beginning to its end: only then does the absence of something say anything."""
        return self.rows > 0 and not self.truncated and not self.damaged and not self.ended

    @property
    def lost(self) -> int:
        """Frames, ticks and messages that the run or its log lost."""
        return self.gaps + self.rejected + self.ft_gaps + self.ft_rejected + self.stale + self.missed


def summarise(log: Log) -> Summary:
    """The numbers of ``log``, which may be cut or empty."""
    cycle, seconds = log.cycle, log.seconds
    names = cycle.dtype.names or ()
    period = float(np.median(np.diff(seconds))) if len(seconds) > 1 else float("nan")
    filled = len(cycle) > 0
    mock = log.meta("run", "mock")
    return Summary(
        rows=len(cycle),
        duration_s=float(seconds[-1]) if filled else 0.0,
        period_s=period / log.every,
        truncated=log.truncated,
        damaged=log.damaged,
        ended=missing_end(log),
        mock=mock if isinstance(mock, bool) else None,
        motor_side=log.meta("run", "torque_side") == "motor",
        tracking=_tracking(log) if filled else [],
        torque_share=torque_share(log) if filled else None,
        saturated=float(np.mean((cycle["limited"] != 0).any(axis=1))) if filled and "limited" in names else 0.0,
        force=_force(log, period) if filled else None,
        wrench=_wrench(log, period) if filled else None,
        timing=summarise_timing(log, period / log.every, paced=log.meta("run", "paced") is not False),
        faults=[e for e in log.events if e.kind == "fault"],
        gaps=_last(log, "gaps"),
        rejected=_last(log, "rejected"),
        ft_gaps=_last(log, "ft_gaps"),
        ft_rejected=_last(log, "ft_rejected"),
        stale=_stale(log),
        skipped=_last(log, "skipped"),
        clock=clock_of(log),
        every=log.every,
        missed=sum(e.data.get("missed", 0) for e in log.events if e.kind == "gap"),
    )


def missing_end(log: Log) -> str:
    """What stands in the place of the run's end; empty if the run ended in order.

    A supervisor that dies leaves a complete file of its recorder behind, whose last rows are still commanded.
    """
    ends = [e for e in log.events if e.kind == "recorded"]
    if not ends:
        return "no end of the run"
    reason = ends[-1].data.get("reason")
    if str(reason).startswith(SWITCHED):
        return ""
    if reason != END_OF_RUN:
        return str(reason or ends[-1].text)
    codes = log.meta("codes", "safety_state")
    if isinstance(codes, dict) and len(log.cycle) and has(log, "safety_state"):
        last = int(log.cycle["safety_state"][-1])
        for name in ("enabled", "stopping"):
            if codes.get(name) == last:
                return f"the last row is still {name}"
    return ""


def _last(log: Log, name: str) -> int:
    return int(log.cycle[name][-1]) if len(log.cycle) and has(log, name) else 0


def _stale(log: Log) -> int:
    if not has(log, "arm_fresh"):
        return 0
    fresh = log.cycle["arm_fresh"] != 0
    return int(np.count_nonzero(~fresh[int(np.argmax(fresh)) :])) if fresh.any() else 0


def has(log: Log, *names: str) -> bool:
    """Whether ``/cycle`` holds all these fields (older files may not)."""
    return set(names) <= set(log.cycle.dtype.names or ())


def phase_spans(log: Log) -> list[tuple[str, int, int]]:
    """Phases in their order as (name, first row, row after the last).

    What is shorter than ``SHORTEST_PHASE`` between two others is a change-over and left out.
    """
    spans, seconds = _all_spans(log), log.seconds
    last = len(spans) - 1
    return [
        (name, a, b)
        for k, (name, a, b) in enumerate(spans)
        if not 0 < k < last or seconds[b] - seconds[a] >= SHORTEST_PHASE
    ]


def tared(log: Log) -> npt.NDArray[np.bool_]:
    """Rows from the tare on, shape (N,): before it sensor and observer show their offsets, no contact."""
    known = np.zeros(len(log.cycle), dtype=bool)
    spans = _all_spans(log)
    if not any(name in BRING_UP for name, _, _ in spans):
        known[:] = True
        return known
    begin = next((a for name, a, _ in spans if name not in BRING_UP and name not in ("start", "stop")), len(known))
    known[begin:] = True
    return known


def contact_wrenches(log: Log) -> tuple[Array, Array]:
    """(from joint torques, from the F/T sensor), each (N, 6), N and N·m; NaN before the tare."""
    before = ~tared(log)[:, None]
    estimate, measured = log.cycle["wrench_est"], log.cycle["wrench_ft"]
    return np.where(before, np.nan, estimate), np.where(before, np.nan, measured)


def _all_spans(log: Log) -> list[tuple[str, int, int]]:
    if not len(log.cycle) or not has(log, "phase"):
        return []
    phase = log.cycle["phase"]
    starts = [0, *(np.flatnonzero(np.diff(phase)) + 1).tolist()]
    names = log.phases
    return [
        (names.get(int(phase[a]), f"phase {int(phase[a])}"), a, b)
        for a, b in zip(starts, [*starts[1:], len(phase)], strict=True)
    ]


def cartesian_error(log: Log) -> Array:
    """Vector from reference to TCP, shape (N, 3), m, across the force where one is commanded; NaN without reference.

    Along a commanded force the reference is no target: the surface decides where the tool is.
    """
    error: Array = log.cycle["x"] - log.cycle["x_ref"]
    direction = force_direction(log)
    along = np.einsum("ij,ij->i", error, direction)
    return np.asarray(error - along[:, None] * direction, dtype=np.float64)


def force_direction(log: Log) -> Array:
    """Unit vector of the reference force, shape (N, 3); zero where none is commanded."""
    force = np.nan_to_num(log.cycle["force_ref"], nan=0.0)
    size = np.linalg.norm(force, axis=1)
    return np.where(size[:, None] > PRESSING_FORCE, force / np.maximum(size, PRESSING_FORCE)[:, None], 0.0)


def pressing_force(log: Log, wrench: str) -> tuple[Array, Array]:
    """(reference, force on the environment along it), each (N,), N; NaN where no force is commanded.

    ``wrench``: ``wrench_ft`` or ``wrench_est``, which hold the opposite, the wrench on the robot.
    """
    direction = force_direction(log)
    pressing = direction.any(axis=1)
    reference = np.where(pressing, np.linalg.norm(np.nan_to_num(log.cycle["force_ref"]), axis=1), np.nan)
    force = -np.einsum("ij,ij->i", log.cycle[wrench][:, :3], direction)
    return reference, np.where(pressing, force, np.nan)


def torque_limits(log: Log) -> Array | None:
    """Torque limits (n,) in N·m from the log's metadata (``limits``: ``tau_max``); None if it has none."""
    stated = log.meta("limits", "tau_max")
    n = log.cycle["q"].shape[1] if has(log, "q") else 0
    try:
        limits = np.asarray(stated, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    usable = limits.shape == (n,) and bool(np.isfinite(limits).all()) and bool((limits > 0).all())
    return limits if usable else None


def torque_share(log: Log) -> tuple[float, ...] | None:
    """Largest finite |tau_total| per joint over its limit."""
    limits = torque_limits(log)
    if limits is None or not has(log, "tau_total"):
        return None
    total = np.abs(np.nan_to_num(log.cycle["tau_total"], nan=0.0))
    return tuple((total.max(axis=0) / limits).tolist())


def _tracking(log: Log) -> list[Tracking]:
    found = []
    seconds = log.seconds
    distance, joints = np.full((len(seconds), 1), np.nan), np.full((len(seconds), 1), np.nan)
    if has(log, "x", "x_ref", "force_ref"):
        distance = np.linalg.norm(cartesian_error(log), axis=1)[:, None]
    if has(log, "q", "q_ref"):
        joints = np.abs(log.cycle["q"] - log.cycle["q_ref"])
    for name, a, b in phase_spans(log):
        for unit, error in (("m", distance[a:b]), ("rad", joints[a:b])):
            good = error[np.isfinite(error).all(axis=1)]
            if not len(good):
                continue
            span = float(seconds[b - 1] - seconds[a])
            rms, peak = np.sqrt(np.mean(good**2, axis=0)), good.max(axis=0)
            worst, largest = int(rms.argmax()), int(peak.argmax())
            named = (worst + 1, largest + 1) if unit == "rad" else (None, None)
            found.append(
                Tracking(name, float(seconds[a]), span, unit, float(rms[worst]), float(peak[largest]), *named)
            )
    return found


def _force(log: Log, period: float) -> Force | None:
    if not has(log, "force_ref", "wrench_ft"):
        return None
    reference, force = pressing_force(log, "wrench_ft")
    known = np.isfinite(reference) & np.isfinite(force)
    if not known.any():
        return None
    plateau = known & (reference >= SETTLED_SHARE * np.nanmax(reference))
    if not plateau.any():
        return None
    values = force[plateau]
    seconds = len(values) * period
    return Force(float(np.mean(reference[plateau])), float(np.mean(values)), float(np.std(values)), seconds)


def _wrench(log: Log, period: float) -> WrenchAgreement | None:
    if not has(log, "wrench_est", "wrench_est_sd", "wrench_ft"):
        return None
    estimate, measured = contact_wrenches(log)
    difference = estimate - measured
    spread = log.cycle["wrench_est_sd"]
    both = np.isfinite(difference[:, :3]).all(axis=1) & np.isfinite(spread[:, :3]).all(axis=1)
    if not both.any():
        return None
    rms = np.sqrt(np.mean(difference[both] ** 2, axis=0)).tolist()
    moments = (rms[3], rms[4], rms[5]) if np.isfinite(rms[3:]).all() else None
    inside = np.abs(difference[:, :3]) <= BAND * spread[:, :3]
    pressing = both & force_direction(log).any(axis=1) if has(log, "force_ref") else np.zeros_like(both)
    worst = float(np.sqrt(np.mean(difference[pressing, :3] ** 2, axis=0)).max()) if pressing.any() else None
    after = tared(log)
    observer = log.meta("run", "observer")
    return WrenchAgreement(
        (rms[0], rms[1], rms[2]),
        moments,
        float(np.mean(inside[both])),
        float(both.sum() * period),
        worst,
        observer if isinstance(observer, str) else "",
        float(np.mean(inside[pressing])) if pressing.any() else None,
        _nis(log, after),
        float(np.mean(log.cycle["tau_ext_known"][after])) if has(log, "tau_ext_known") else 1.0,
        _contacts(log, after, period),
    )


def _contacts(log: Log, after: npt.NDArray[np.bool_], period: float) -> tuple[int, float] | None:
    """Number and time of the contacts that the detector saw from the tare on; None where it never knew anything."""
    if not has(log, "contact"):
        return None
    said = log.cycle["contact"][after]
    known = said[said >= 0]
    if not len(known):
        return None
    begins = int(np.count_nonzero(np.diff(np.concatenate(([0], known))) > 0))
    return begins, float(np.count_nonzero(known) * period)


def _nis(log: Log, after: npt.NDArray[np.bool_]) -> float | None:
    """Mean NIS for each joint from the tare on."""
    if not has(log, "nis", "q"):
        return None
    values = log.cycle["nis"][after]
    values = values[np.isfinite(values)]
    return float(np.mean(values)) / log.cycle["q"].shape[1] if len(values) else None
