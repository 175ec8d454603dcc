"""Limits of an arm as data with sources, and the few pure functions that compare against them.

Every function takes plain floats: at seven joints a Python loop over floats is faster than numpy and reads like the
sentence it implements. All comparisons are written so that NaN counts as beyond the limit (``not abs(x) <= limit``);
callers still test for finite first, because a person needs to read "not finite" and not "too large".
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from drivers.contract import ArmTraits, Array, RobotSample

_FLOAT64 = np.dtype(np.float64)


class LimitsError(ValueError):
    """Limits that cannot be used, or overrides that loosen; ``problems`` holds all of them, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, eq=False)
class JointLimits:
    """Limits of one arm; vectors have shape ``(n,)``, are copied and made read-only.

    Raises :class:`LimitsError` naming every value that is not finite, not positive, or of the wrong length.
    """

    q_min: Array
    """Lowest joint position, rad (data sheet)."""
    q_max: Array
    """Highest joint position, rad (data sheet)."""
    qd_max: Array
    """Largest joint speed, rad/s (data sheet)."""
    tau_max: Array
    """Largest total joint torque, N·m (data sheet)."""
    tau_cmd_max: Array
    """Largest torque that we command, N·m; on an iiwa the magnitude of the overlay."""
    tau_rate_max: Array
    """Largest change of the commanded torque per time, N·m/s, per tick."""
    tau_window_max: Array
    """Largest change of the commanded torque within ``window``, N·m: extra ticks cannot beat the rate limit."""
    q_ref_rate_max: Array
    """Largest change of the position reference per time, rad/s."""
    q_ref_distance_max: Array
    """Largest distance of the position reference from the measured position, rad."""
    window: float
    """Length of the window of ``tau_window_max``, s."""
    total_margin: float
    """Fraction of ``tau_max`` left for the robot's own model error when the total is predicted, 0 ≤ … < 1."""
    source: Mapping[str, str]
    """Where each number comes from, by field name."""

    def __post_init__(self) -> None:
        n = np.size(self.q_min)
        for name in VECTORS:
            vector = np.array(getattr(self, name), dtype=np.float64)
            vector.setflags(write=False)
            object.__setattr__(self, name, vector)
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))
        problems = [
            f"{name}: read shape {getattr(self, name).shape}, expected ({n},)"
            for name in VECTORS
            if getattr(self, name).shape != (n,)
        ]
        problems += [f"{f.name}: not finite" for f in _NUMBERS if not np.isfinite(getattr(self, f.name)).all()]
        problems += [f"{name}: must be above zero" for name in POSITIVE if not np.all(getattr(self, name) > 0.0)]
        problems += [f"{f.name}: has no source" for f in _NUMBERS if not self.source.get(f.name)]
        if not problems and not np.all(self.q_min < self.q_max):
            problems.append("q_min must lie below q_max on every joint")
        if not 0.0 <= self.total_margin < 1.0:
            problems.append(f"total_margin: read {self.total_margin:g}, expected 0 ≤ margin < 1")
        if problems:
            raise LimitsError(problems)

    @property
    def n(self) -> int:
        """Number of joints."""
        return int(self.q_min.shape[0])

    def tightened(self, overrides: Mapping[str, Sequence[float] | float]) -> JointLimits:
        """These limits with some of them tightened; a single number holds for every joint.

        Tighter means: a higher ``q_min``, ``total_margin`` or ``window`` (the same change in a longer time), a lower
        value everywhere else. Raises :class:`LimitsError` with every override that is unknown, not a finite number,
        of the wrong length, or looser.
        """
        problems: list[str] = []
        numbers: dict[str, Array | float] = {}
        for name, given in overrides.items():
            if name not in _NAMES:
                problems.append(f"{name}: no such limit; there are {', '.join(_NAMES)}")
                continue
            old = np.asarray(getattr(self, name), dtype=np.float64)
            new = _as_numbers(given)
            if new is None or new.shape not in ((), old.shape):
                wanted = f"one number or {self.n} numbers" if old.shape else "one number"
                problems.append(f"{name}: read {given!r}, expected {wanted}")
            elif not np.isfinite(new).all():
                problems.append(f"{name}: read {given!r}, expected finite numbers")
            elif np.any(new < old) if name in TIGHTER_UPWARDS else np.any(new > old):
                bound = "at least" if name in TIGHTER_UPWARDS else "at most"
                problems.append(f"{name}: read {given!r}, which is looser; allowed is {bound} {old.tolist()}")
            else:
                numbers[name] = np.broadcast_to(new, old.shape) if old.shape else float(new)
        if problems:
            raise LimitsError(problems)
        source = {k: f"tightened by the cell file (was: {v})" if k in numbers else v for k, v in self.source.items()}
        return replace(self, source=source, **numbers)  # type: ignore[arg-type]


_NUMBERS = tuple(f for f in fields(JointLimits) if f.name != "source")
_NAMES = tuple(f.name for f in _NUMBERS)
VECTORS = tuple(name for name in _NAMES if name not in ("window", "total_margin"))
POSITIVE = tuple(name for name in _NAMES if name not in ("q_min", "q_max", "total_margin"))
TIGHTER_UPWARDS = ("q_min", "total_margin", "window")


def _as_numbers(given: object) -> npt.NDArray[np.float64] | None:
    """``given`` as an array if it is a number or a flat list of numbers (a bool or a string is neither)."""
    items = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in items):
        return None
    flat = np.array(items, dtype=np.float64)
    return flat.reshape(()) if not isinstance(given, (list, tuple, np.ndarray)) else flat


def exceeds(value: float, limit: float) -> bool:
    """True if ``|value|`` is above ``limit``, or either is NaN."""
    return not abs(value) <= limit


def outside(value: float, low: float, high: float) -> bool:
    """True if ``value`` is not within ``low … high`` (ends included), or anything is NaN."""
    return not low <= value <= high


def worst_change(value: float, low: float, high: float) -> float:
    """Largest ``|value − x|`` for an ``x`` known only to lie in ``low … high``; all finite."""
    return max(abs(value - low), abs(value - high))


def predicted_total(tau: float, gravity: float, stiffness: float, deflection: float) -> float:
    """Torque that the joint will feel, N·m: ours, the robot's gravity compensation, the robot's spring."""
    return tau + gravity + stiffness * deflection


def vector(x: object, n: int) -> list[float] | None:
    """``x`` as a list if it is exactly a ``float64`` array of shape ``(n,)``; None otherwise, so that nothing is
    ever judged by a shorter, broadcast or converted copy."""
    if type(x) is np.ndarray and x.shape == (n,) and (x.dtype is _FLOAT64 or x.dtype == _FLOAT64):
        values: list[float] = x.tolist()
        return values
    return None


def all_finite(values: Sequence[float]) -> bool:
    """True if every element is finite. A finite sum proves it, at half the cost; a sum may also overflow."""
    return math.isfinite(sum(values)) or all(map(math.isfinite, values))


def lowest(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The lower of each pair."""
    return [x if x < y else y for x, y in zip(a, b, strict=True)]


def highest(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The higher of each pair."""
    return [x if x > y else y for x, y in zip(a, b, strict=True)]


def sample_age_ns(sample: RobotSample, now_ns: int) -> int | None:
    """Time since the newest frame arrived, ns; None before the first. A clock that runs backwards adds nothing."""
    return None if sample.age_ns < 0 else max(0, now_ns - sample.t_ns) + sample.age_ns


def checked_stiffness(limits: JointLimits, traits: ArmTraits, stiffness: Array) -> list[float]:
    """The spring that the robot adds to our torque, N·m/rad per joint: zeros unless it adds one.

    Raises LimitsError where joints, period or stiffness do not fit.
    """
    problems = []
    if limits.n != traits.n:
        problems.append(f"limits are for {limits.n} joints, {traits.name} has {traits.n}")
    if not (math.isfinite(traits.period) and traits.period > 0.0):
        problems.append(f"period of {traits.name}: read {traits.period}, expected seconds above zero")
    k = vector(stiffness, limits.n)
    if k is None or not all_finite(k) or min(k) < 0.0:
        problems.append(f"stiffness: read {stiffness!r}, expected {limits.n} finite numbers ≥ 0, float64")
    if problems or k is None:
        raise LimitsError(problems)
    return k if "stiffness" in traits.adds else [0.0] * limits.n


class WindowExtremes:
    """Lowest and highest torque of each joint during the last ``window`` seconds.

    Memory is bounded however many entries are added: they are merged into buckets of an eighth of the window, so that
    what is remembered reaches back at least ``window`` and at most 9/8 of it. Time that runs backwards is ignored.
    """

    _BUCKETS = 8

    def __init__(self, window: float) -> None:
        self._width_ns = max(1, math.ceil(window * 1e9 / self._BUCKETS))
        self._slots: deque[tuple[int, list[float], list[float]]] = deque()
        self._low: list[float] = []
        self._high: list[float] = []
        """Extremes of all slots."""

    def add(self, t_ns: int, low: list[float], high: list[float]) -> None:
        """Remember that the torque was somewhere in ``low … high`` at ``t_ns``; all finite."""
        slots, index = self._slots, t_ns // self._width_ns
        self._low = lowest(self._low, low) if slots else low
        self._high = highest(self._high, high) if slots else high
        if slots and slots[-1][0] >= index:
            index, slot_low, slot_high = slots.pop()
            low, high = lowest(slot_low, low), highest(slot_high, high)
        slots.append((index, low, high))

    def extremes(self, t_ns: int, low: list[float], high: list[float]) -> tuple[list[float], list[float]]:
        """Lowest and highest value per joint of ``low … high`` and all that is remembered at ``t_ns``."""
        slots, oldest = self._slots, t_ns // self._width_ns - self._BUCKETS
        if slots and slots[0][0] < oldest:
            while slots and slots[0][0] < oldest:
                slots.popleft()
            if slots:
                self._low = list(map(min, *(slot[1] for slot in slots), slots[0][1]))
                self._high = list(map(max, *(slot[2] for slot in slots), slots[0][2]))
        if not slots:
            return low, high
        return lowest(self._low, low), highest(self._high, high)


_DATA_SHEET = "KUKA data sheet (brochure figures, as in iiwa_ros and Drake's iiwa description)"
_OWN = "our own choice"
_SOURCE = {
    "q_min": f"{_DATA_SHEET}: ±170 120 170 120 170 120 175 deg",
    "q_max": f"{_DATA_SHEET}: ±170 120 170 120 170 120 175 deg",
    "qd_max": _DATA_SHEET,
    "tau_max": f"{_DATA_SHEET}; popular robot descriptions say 200 or 300 N·m on every joint, which is wrong",
    "tau_cmd_max": f"{_OWN}: half the data-sheet torque",
    "tau_rate_max": f"{_OWN}: KUKA publishes none; 1000 N·m/s is what Franka allows, less on the wrist",
    "tau_window_max": f"{_OWN}: tau_rate_max · window",
    "q_ref_rate_max": f"{_OWN}: the data-sheet speed",
    "q_ref_distance_max": f"{_OWN}: the controller's own axis-delta limit is not public",
    "window": _OWN,
    "total_margin": f"{_OWN}: room for the error of the robot's own gravity model",
}


def _iiwa(qd_max_deg: Sequence[float], tau_max: Sequence[float]) -> JointLimits:
    q_max = np.radians([170.0, 120.0, 170.0, 120.0, 170.0, 120.0, 175.0])
    rate = np.array([1000.0, 1000.0, 1000.0, 1000.0, 500.0, 300.0, 300.0])
    return JointLimits(
        q_min=-q_max,
        q_max=q_max,
        qd_max=np.radians(qd_max_deg),
        tau_max=np.array(tau_max),
        tau_cmd_max=0.5 * np.array(tau_max),
        tau_rate_max=rate,
        tau_window_max=rate * 0.020,
        q_ref_rate_max=np.radians(qd_max_deg),
        q_ref_distance_max=np.full(7, 0.1),
        window=0.020,
        total_margin=0.1,
        source=_SOURCE,
    )


IIWA14_R820 = _iiwa((85, 85, 100, 75, 130, 135, 135), (320, 320, 176, 176, 110, 40, 40))
IIWA7_R800 = _iiwa((98, 98, 100, 130, 140, 180, 180), (176, 176, 110, 110, 110, 40, 40))

_CLASS = "of the class of cobot6.urdf: rated motor torque times gear, speed and range as data sheets of the class say"
_COBOT_TAU = np.array([150.0, 150.0, 100.0, 35.0, 35.0, 25.0])
_COBOT_Q = np.radians([360.0, 360.0, 160.0, 360.0, 360.0, 360.0])
COBOT6 = JointLimits(
    q_min=-_COBOT_Q,
    q_max=_COBOT_Q,
    qd_max=np.full(6, np.pi),
    tau_max=_COBOT_TAU,
    tau_cmd_max=0.9 * _COBOT_TAU,
    tau_rate_max=10.0 * _COBOT_TAU,
    tau_window_max=10.0 * _COBOT_TAU * 0.020,
    q_ref_rate_max=np.full(6, np.pi),
    q_ref_distance_max=np.full(6, 0.1),
    window=0.020,
    total_margin=0.0,
    source=dict.fromkeys(("q_min", "q_max", "qd_max", "tau_max"), _CLASS)
    | {
        "tau_cmd_max": f"{_OWN}: nine tenths of the rated torque; gravity is in it",
        "tau_rate_max": f"{_OWN}: rated torque in a tenth of a second",
        "tau_window_max": f"{_OWN}: tau_rate_max · window",
        "q_ref_rate_max": f"{_OWN}: the data-sheet speed",
        "q_ref_distance_max": f"{_OWN}: a drive takes no position reference; it bounds what a hold may ask for",
        "window": _OWN,
        "total_margin": f"{_OWN}: the drives add nothing, so the total is what we command",
    },
)
"""A cobot of the project's own: six joints of the UR5e class."""

_PIPER = "piper_sdk 0.6 (protocol V2): ranges and speeds that it documents"
_PIPER_TAU = np.array([32.0, 32.0, 32.0, 8.0, 8.0, 8.0])
_PIPER_RATE = np.array([160.0, 160.0, 160.0, 60.0, 60.0, 60.0])

PIPER6 = JointLimits(
    q_min=np.array([-2.6179, 0.0, -2.967, -1.745, -1.22, -2.09439]),
    q_max=np.array([2.6179, 3.14, 0.0, 1.745, 1.22, 2.09439]),
    qd_max=np.full(6, 3.0),
    tau_max=_PIPER_TAU,
    tau_cmd_max=_PIPER_TAU,
    tau_rate_max=_PIPER_RATE,
    tau_window_max=_PIPER_RATE * 0.020,
    q_ref_rate_max=np.full(6, 3.0),
    q_ref_distance_max=np.full(6, 0.1),
    window=0.020,
    total_margin=0.0,
    source=dict.fromkeys(("q_min", "q_max", "qd_max"), _PIPER)
    | {
        "tau_max": f"{_OWN}: no data sheet states one; 8 N·m of an MIT frame, times 4 where a firmware multiplies",
        "tau_cmd_max": f"{_OWN}: as tau_max; a cell tightens it to what its firmware can be asked for",
        "tau_rate_max": f"{_OWN}: a fifth of the torque in 40 ms",
        "tau_window_max": f"{_OWN}: tau_rate_max · window",
        "q_ref_rate_max": f"{_OWN}: the documented speed",
        "q_ref_distance_max": f"{_OWN}: without stiffness no reference acts; it bounds what a hold may ask for",
        "window": _OWN,
        "total_margin": f"{_OWN}: the arm adds nothing, so the total is what we command",
    },
)
"""AgileX PiPER (experimental)."""
