"""What a log shows around a stop that speaks for one cause or another.

Each kind of evidence looks at the half second before the stop and says what it saw in one sentence, with a weight from
0 (nothing) to 1. A weight orders causes (:mod:`hil.explain.causes`) and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hil.explain.stops import Stop, View

BEFORE = 0.5
"""s that are looked at."""
NEAR = 0.03
"""s around the stop in which a contact counts: the observer lags, and a joint gives way."""
FORCE = 10.0
"""N beyond what was commanded, from which a contact is spoken of."""
TORQUE = 8.0
"""N·m of external torque by the observer, likewise."""
FAST = 0.8
"""Share of a speed limit from which a joint is fast."""
_SCALE = 4.0
"""Times a threshold for the full weight."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen."""

    kind: str
    weight: float
    """0 … 1."""
    said: str


class _Around:
    """The rows around one stop."""

    def __init__(self, view: View, stop: Stop) -> None:
        k = max(1, round(BEFORE / view.period))
        near = max(1, round(NEAR / view.period))
        self.view, self.stop = view, stop
        self.first = max(0, stop.begin - k)
        self.rows = view.rows[self.first : stop.begin + 1]
        self.near = view.rows[max(0, stop.begin - near) : stop.begin + near + 1]

    def rise(self, name: str) -> int:
        """By how much a counter rose until the stop."""
        return int(self.rows[name][-1] - self.rows[name][0]) if self.view.has(name) else 0


def gather(view: View, stop: Stop) -> dict[str, Evidence]:
    """Everything that was seen, by its kind."""
    around = _Around(view, stop)
    found = (look(around) for look in _LOOKS)
    return {each.kind: each for each in found if each is not None and each.weight > 0.0}


def _weight(value: float, threshold: float) -> float:
    """0 below the threshold, from 0.4 at it to 1 far above."""
    if not math.isfinite(value) or value < threshold:
        return 0.0
    return min(1.0, 0.4 + 0.6 * (value / threshold - 1.0) / (_SCALE - 1.0))


def _contact(a: _Around) -> Evidence | None:
    said, weight = [], 0.0
    if a.view.has("wrench_ft"):
        commanded = np.nan_to_num(a.near["force_ref"]) if a.view.has("force_ref") else 0.0
        force = np.linalg.norm(a.near["wrench_ft"][:, :3] + commanded, axis=1)
        if np.isfinite(force).any():
            most, before = float(np.nanmax(force)), float(np.linalg.norm(a.rows["wrench_ft"][0, :3]))
            if most >= FORCE:
                weight = _weight(most, FORCE)
                said.append(f"the wrench sensor felt {most:.0f} N that nobody commanded (0.5 s before: {before:.0f} N)")
    if a.view.has("contact", "tau_ext"):
        torque = np.abs(a.near["tau_ext"])
        if np.isfinite(torque).any():
            joint = int(np.nanargmax(np.nanmax(np.where(np.isfinite(torque), torque, -1.0), axis=0)))
            most = float(np.nanmax(torque[:, joint]))
            if most >= TORQUE:
                weight = max(weight, 0.9 * _weight(most, TORQUE))
                said.append(f"the observer saw {most:.0f} N·m from outside on A{joint + 1}")
        if (a.near["contact"] == 1).any():
            weight = max(weight, 0.7)
            said.append("the observer's detector reported contact")
    return Evidence("contact", weight, "; ".join(said)) if said else None


def _contact_lost(a: _Around) -> Evidence | None:
    if not a.view.has("wrench_ft"):
        return None
    force = np.linalg.norm(a.rows["wrench_ft"][:, :3], axis=1)
    if not np.isfinite(force).any() or not math.isfinite(force[-1]):
        return None
    peak, last = float(np.nanmax(force)), float(force[-1])
    if peak < FORCE or last > 0.25 * peak:
        return None
    return Evidence("contact lost", 0.8, f"the force fell from {peak:.0f} N to {last:.0f} N")


def _network(a: _Around) -> Evidence | None:
    gaps = a.rise("gaps")
    stale = int(np.count_nonzero(a.rows["arm_fresh"][1:] == 0)) if a.view.has("arm_fresh") else 0
    age = float(a.rows["arm_age_ns"].max()) * 1e-6 if a.view.has("arm_age_ns") else 0.0
    if not gaps and not stale:
        return None
    said = f"in the {BEFORE:g} s before, {gaps} frame(s) of the arm were missing and {stale} tick(s) brought none"
    return Evidence("network", min(1.0, 0.4 + 0.1 * (gaps + stale)), f"{said}; the oldest state was {age:.1f} ms old")


def _busy(a: _Around) -> Evidence | None:
    skipped, slow, period = a.rise("skipped"), 0.0, a.view.period * 1e3
    timing = a.view.timing
    if timing is not None and a.view.meta("run", "realtime") is True:
        cycle = timing["wall_cycle_ns"][a.first : a.stop.begin + 1]
        slow = float(cycle.max()) * 1e-6 if len(cycle) else 0.0
    if not skipped and slow <= period:
        return None
    said = f"{skipped} tick(s) passed without a cycle of ours, the longest cycle took {slow:.2f} ms of {period:.0f}"
    return Evidence("busy", min(1.0, 0.5 + 0.1 * skipped), said)


def _refused(a: _Around) -> Evidence | None:
    refused = a.rise("rejected")
    bad = int(np.count_nonzero(a.rows["arm_valid"] == 0)) if a.view.has("arm_valid") else 0
    if not refused:
        return None
    said = f"{refused} packet(s) of the arm were refused, {bad} tick(s) had no valid state"
    return Evidence("refused", min(1.0, 0.6 + 0.1 * refused), said)


def _silent(a: _Around) -> Evidence | None:
    if a.view.has("arm_seq") and int(a.rows["arm_seq"][-1]) < 0:
        return Evidence("silent", 1.0, "no packet of the arm had arrived until then")
    return None


def _link(a: _Around) -> Evidence | None:
    """The robot left the state in which it takes commands."""
    if not a.view.has("arm_state"):
        return None
    states = a.near["arm_state"]
    if not (states == 4).any() or (states == 4).all():
        return None
    left = states[int(np.flatnonzero(states == 4)[-1]) + 1 :]
    if not len(left):
        return None
    closed = int(left[0]) == 0
    said = "the link was closed" if closed else "the robot stopped taking commands while its packets went on"
    return Evidence("closed" if closed else "left", 0.7, said)


def _sensor(a: _Around) -> Evidence | None:
    gaps, refused = a.rise("ft_gaps"), a.rise("ft_rejected")
    age = float(a.rows["ft_age_ns"][-1]) * 1e-6 if a.view.has("ft_age_ns") else 0.0
    if not gaps and not refused and age < 20.0:
        return None
    said = f"{gaps} frame(s) of the wrench sensor were missing, {refused} refused, the newest was {age:.0f} ms old"
    return Evidence("sensor", min(1.0, 0.5 + 0.1 * (gaps + refused)), said)


def _limited(a: _Around) -> Evidence | None:
    if not a.view.has("limited"):
        return None
    cut = (a.rows["limited"] != 0).any(axis=1)
    share = float(np.mean(cut))
    if share < 0.02:
        return None
    said = f"torque limits cut the command in {share * 100:.0f} % of the cycles before"
    return Evidence("limited", min(1.0, 0.3 + share), said)


def _fast(a: _Around) -> Evidence | None:
    limits = np.asarray(a.view.meta("limits", "qd_max") or (), dtype=np.float64)
    speed = np.abs(a.rows["qd"])
    if limits.shape != speed.shape[1:] or not np.isfinite(speed).any():
        return None
    share = np.nanmax(np.where(np.isfinite(speed), speed, 0.0), axis=0) / limits
    joint = int(np.argmax(share))
    if share[joint] < FAST:
        return None
    said = f"A{joint + 1} moved at {share[joint] * 100:.0f} % of its speed limit"
    return Evidence("fast", min(1.0, 0.4 + float(share[joint] - FAST) * 2.0), said)


def _payload(a: _Around) -> Evidence | None:
    if not a.view.has("payload"):
        return None
    mass = a.view.rows["payload"][: a.stop.begin + 1]
    if float(mass[-1]) > 0.0 or (a.view.has("grip") and a.rise("grip")):
        return Evidence("payload", 0.5, f"the gripper had closed; the model carried {float(mass[-1]):g} kg")
    return None


def _nonsense(a: _Around) -> Evidence | None:
    """Which signal was the first that is no number, while the arm was commanded."""
    for kind, names in (("measured nonsense", ("q", "qd", "tau")), ("nonsense", ("tau_ff", "tau_wanted", "tau_cmd"))):
        for name in names:
            if not a.view.has(name) or len(a.rows) < 2:
                continue
            bad = ~np.isfinite(a.rows[name]).all(axis=1)
            if bad[-1] and not bad[-2] and kind == "measured nonsense":
                return Evidence(kind, 0.9, f"{name} was not a number in that tick, and was one before")
    return None


def _exception(a: _Around) -> Evidence | None:
    tick = int(a.rows["tick"][-1])
    raised = [e for e in a.view.events if e.kind == "error" and tick - 1 <= e.tick <= tick + 1]
    if not raised:
        return None
    return Evidence("exception", 1.0, raised[0].text.strip().splitlines()[-1])


_LOOKS: tuple[Callable[[_Around], Evidence | None], ...] = (
    _contact, _contact_lost, _network, _busy, _refused, _silent, _link, _sensor, _limited, _fast, _payload, _nonsense,
    _exception,
)  # fmt: skip
