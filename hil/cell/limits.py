"""The limits of a cell's arm: a data sheet by name, and overrides that may only tighten it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

from hil.cell.check import show
from hil.cell.source import Source
from safety.limits import COBOT6, IIWA7_R800, IIWA14_R820, PIPER6, TIGHTER_UPWARDS, VECTORS, JointLimits, LimitsError

PRESETS: Mapping[str, JointLimits] = MappingProxyType(
    {"iiwa14_r820": IIWA14_R820, "iiwa7_r800": IIWA7_R800, "cobot6": COBOT6, "piper6": PIPER6}
)
"""Data sheets by the name that ``robot.limits.preset`` gives."""

_MODEL_SLACK = 1.005
"""A URDF's limits are rounded; more than half a percent apart means another arm."""


def check_limits(source: Source, urdf: Path | None) -> None:
    """Note every override that loosens, every position outside the limits, and a model of a weaker arm."""
    preset = PRESETS.get(str(source.get("robot", "limits", "preset")))
    if preset is None:
        return
    limits = _tightened(source, preset)
    _inside(source, ("robot", "home"), limits)
    motions = source.get("motions")
    for name in motions if isinstance(motions, Mapping) else ():
        _inside(source, ("motions", name, "target"), limits)
    if urdf is not None:
        _same_arm(source, urdf, limits)


def _tightened(source: Source, preset: JointLimits) -> JointLimits:
    """``preset`` with those overrides that are sound; the others become faults."""
    overrides = source.get("robot", "limits", "overrides")
    limits = preset
    for name, value in overrides.items() if isinstance(overrides, Mapping) else ():
        if not hasattr(preset, name) or not _numbers(value):
            continue  # an unknown key or no number: told by the model of the section
        try:
            limits = limits.tightened({name: value})
        except LimitsError as error:
            old = getattr(preset, name)
            bound = "or more" if name in TIGHTER_UPWARDS else "or less"
            allowed = show(tuple(round(float(x), 4) for x in old)) if name in VECTORS else f"{old:g}"
            looser = "looser" in str(error)
            say = f"an override may only tighten the data sheet; allowed: {allowed} {bound}" if looser else str(error)
            source.fault(("robot", "limits", "overrides", name), show(value), say)
    return limits


def _numbers(value: Any) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in items)


def _inside(source: Source, loc: tuple[str, ...], limits: JointLimits) -> None:
    value = source.get(*loc)
    if not isinstance(value, tuple) or len(value) != limits.n or not _numbers(value):
        return
    low, high = limits.q_min.tolist(), limits.q_max.tolist()
    bad = [i for i in range(limits.n) if not low[i] < value[i] < high[i]]
    if bad:
        ranges = ", ".join(f"A{i + 1} {low[i]:.4g} … {high[i]:.4g} rad" for i in bad)
        source.fault(loc, ", ".join(f"A{i + 1} {value[i]:g} rad" for i in bad), f"allowed by the limits: {ranges}")


def _same_arm(source: Source, urdf: Path, limits: JointLimits) -> None:
    """The limits must not be those of a stronger arm than the model."""
    try:
        joints = [j for j in ElementTree.parse(urdf).getroot().iter("joint") if j.get("type") == "revolute"]
    except (ElementTree.ParseError, OSError) as error:
        source.fault(("robot", "model"), show(source.get("robot", "model")), f"the URDF cannot be read: {error}")
        return
    if len(joints) != limits.n:
        read = f"{len(joints)} revolute joints in {urdf.name}"
        source.fault(("robot", "model"), read, f"allowed: a model with {limits.n}, as many as the limits have")
        return
    for attribute, unit, mine in (("effort", "N·m", limits.tau_max), ("velocity", "rad/s", limits.qd_max)):
        for i, joint in enumerate(joints):
            limit = joint.find("limit")
            model = float(limit.get(attribute, "0")) if limit is not None else 0.0
            if 0.0 < model * _MODEL_SLACK < mine[i]:
                source.fault(
                    ("robot", "limits", "preset"),
                    f"{source.get('robot', 'limits', 'preset')}, {attribute} {mine[i]:.4g} {unit} on A{i + 1}",
                    f"the model {urdf.name} allows {model:.4g} {unit}: name the limits of the arm that the model is of",
                )
                return


def joint_limits(preset: str, overrides: Mapping[str, Any]) -> JointLimits:
    """The limits that a checked cell binds its arm with. Raises :class:`safety.limits.LimitsError`."""
    return PRESETS[preset].tightened(overrides)
