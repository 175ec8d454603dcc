"""A stop in words: for the terminal, the report, the operator's messages, and scripts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hil.explain.causes import order_causes
from hil.explain.evidence import gather
from hil.explain.stops import Stop, Tripped, View, find_stops
from hil.telemetry.log import Log
from safety.faults import SPECS

PAGE = "docs/faults.md"
CATEGORIES = {
    0: "power away at once",
    1: "controlled stop, then power away",
    2: "controlled stop, then hold under power",
    -1: "none was under way: nothing moved",
}
_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a person needs to know of one stop."""

    title: str
    """One line."""
    tripped: tuple[str, ...]
    """One line for each fault, the first one first; with value, limit, margin and joint."""
    category: str
    """The stop category in words."""
    arm: str
    """What the arm did: stopping time, distance of each joint."""
    causes: tuple[tuple[str, str], ...]
    """Likely causes in order, each with what the log shows of it (empty: nothing)."""
    remedy: str
    go_on: str
    """The command to go on."""
    anchor: str
    """Where the documentation tells more; empty for a stop without a fault."""
    stop: Stop

    def lines(self) -> list[str]:
        """For a terminal; nothing is wrapped."""
        named = [("tripped", self.tripped[0])] if self.tripped else [("because", self.stop.asked)]
        named += [("and then", text) for text in self.tripped[1:]]
        named += [("stop", self.category), ("the arm", self.arm)]
        lines = [self.title] + [f"  {name + ':':<{_WIDTH}}{text}" for name, text in named]
        if self.causes:
            lines.append("  likely causes:")
        for number, (cause, seen) in enumerate(self.causes, 1):
            lines.append(f"    {number}. {cause}" + (f" [seen: {seen}]" if seen else ""))
        named = [("what to do", self.remedy), ("go on", self.go_on), ("more", self.anchor)]
        return lines + [f"  {name + ':':<{_WIDTH}}{text}" for name, text in named if text]

    def to_mapping(self) -> dict[str, Any]:
        """As plain values; joint vectors with one value a joint, A1 first; NaN where something is not known."""
        stop = self.stop
        return {
            "title": self.title,
            "tripped": [
                {
                    "code": None if t.code is None else t.code.value,
                    "headline": t.headline,
                    "value": t.value,
                    "limit": t.limit,
                    "margin": t.margin,
                    "unit": t.unit,
                    "joint": t.joint,
                    "tick": t.tick,
                    "after_s": t.after,
                }
                for t in stop.tripped
            ],
            "category": stop.category,
            "asked": stop.asked,
            "stopping_time_s": stop.time,
            "stopping_distance_rad": stop.distance.tolist(),
            "speed_rad_s": stop.speed.tolist(),
            "power_off_s": stop.off,
            "causes": [{"cause": cause, "seen": seen} for cause, seen in self.causes],
            "remedy": self.remedy,
            "go_on": self.go_on,
            "more": self.anchor,
            "lines": self.lines(),
        }


def explain(log: Log) -> list[Explanation]:
    """Every stop of ``log``, the oldest first. The run's own end is left out where nothing tripped."""
    view = View.of(log)
    stops = [stop for stop in find_stops(view) if not stop.planned]
    return [explain_stop(view, stop, number, len(stops)) for number, stop in enumerate(stops, 1)]


def explain_last(view: View) -> Explanation | None:
    """The last stop of ``view``; None where there is none."""
    stops = find_stops(view)
    return explain_stop(view, stops[-1], len(stops), len(stops)) if stops else None


def explain_stop(view: View, stop: Stop, number: int = 1, of: int = 1) -> Explanation:
    """One stop of ``view`` in words."""
    rows = view.rows
    seconds = (int(rows["t_ns"][stop.begin]) - int(rows["t_ns"][0])) * 1e-9
    first = stop.tripped[0] if stop.tripped else None
    spec = None if first is None or first.code is None else SPECS[first.code]
    what = stop.asked if first is None else (spec.title if spec is not None else first.headline)
    if first is not None and first.joint is not None:
        what += f" on A{first.joint + 1}"
    causes = [] if spec is None else order_causes(spec.causes, gather(view, stop))
    return Explanation(
        title=f"stop {number} of {of}, {seconds:.3f} s into the log, tick {int(rows['tick'][stop.begin])}: {what}",
        tripped=tuple(_tripped(t) for t in stop.tripped),
        category=_category(stop),
        arm=_arm(stop),
        causes=tuple(causes),
        remedy="" if spec is None else spec.remedy,
        go_on=_go_on(view, bool(stop.tripped)),
        anchor="" if spec is None else f"{PAGE}#{spec.anchor}",
        stop=stop,
    )


def _category(stop: Stop) -> str:
    if stop.category < 0:
        return CATEGORIES[-1] if stop.tripped else "none of ours: the arm's own watchdog brakes it"
    return f"{CATEGORIES[stop.category]} (category {stop.category})"


def _tripped(t: Tripped) -> str:
    text = t.headline
    if math.isfinite(t.margin):
        share = f", {abs(t.margin / t.limit) * 100:.0f} %" if t.limit else ""
        text += f"; margin {t.margin:.3g} {t.unit}".rstrip() + share
    return text + (f" ({t.after * 1e3:.0f} ms later)" if t.after > 0.5e-3 else "")


def _arm(stop: Stop) -> str:
    if stop.category < 0:
        return "did not move" if stop.tripped else "nobody watched it any more: look at it"
    if not np.isfinite(stop.distance).any():
        return "was not seen: the robot's state was not valid while it stopped"
    farthest = int(np.nanargmax(stop.distance))
    stood = f"stood after {stop.time:.3f} s" if math.isfinite(stop.time) else "was not seen standing"
    if math.isfinite(stop.off):
        stood += f", its power went after {stop.off:.3f} s"
    joints = " ".join(f"{1e3 * d:.1f}" for d in stop.distance)
    degrees = math.degrees(stop.distance[farthest])
    return f"{stood}; farthest A{farthest + 1}, {degrees:.2f}° (each joint, mrad: {joints})"


def _go_on(view: View, fault: bool) -> str:
    operated, cell = view.meta("run", "operated"), view.meta("run", "cell")
    name = str(cell) if cell is not None else "CELL"
    if operated is True:
        return f"hil ack --cell {name}, then hil enable --cell {name}" if fault else f"hil enable --cell {name}"
    if operated is False:
        motions = view.meta("run", "motions") or []
        asked = " ".join(f"--motion {motion}" for motion in motions if isinstance(motion, str))
        return f"the run has ended; begin anew: hil run {name} {asked}".rstrip()
    if fault:
        return "session.acknowledge(), then session.bring_up() and session.enable()"
    return "session.enable()"
