"""Faults of what a device measures, before it is encoded."""

from __future__ import annotations

import math

from drivers.contract import Array
from sim_mocks.faults.fault import Fault
from sim_mocks.faults.kinds import BIAS_TICKS


def distort(fault: Fault, tick: int, array: Array, kept: Array | None) -> tuple[Array, str]:
    """A copy of ``array`` with ``fault`` in it, and in words what was done.

    ``kept``: what the quantity read when the fault began (for ``stuck``). Elements that the array does not have are
    left alone.
    """
    out = array.copy()
    where = slice(None) if fault.joint is None else slice(fault.joint, fault.joint + 1)
    part, value, kind = out[where], fault.parameter, fault.kind
    name = "all" if fault.joint is None else f"element {fault.joint}"
    if kind == "nan":
        part[:] = value
        return out, f"reads {value} ({name})"
    if kind == "infinity":
        part[:] = math.copysign(math.inf, value)
        return out, f"reads {math.copysign(math.inf, value)} ({name})"
    if kind == "stuck":
        assert kept is not None
        part[:] = kept[where]
        return out, f"is stuck ({name})"
    if kind == "saturation":
        part[:] = part.clip(-value, value)
        return out, f"is clipped to ±{value:g} ({name})"
    if kind == "sign_flip":
        part *= -1.0
        return out, f"has its sign flipped ({name})"
    if kind == "swap":
        a, b = fault.joint, fault.other
        assert a is not None
        assert b is not None
        if max(a, b) < len(out):
            out[[a, b]] = out[[b, a]]
        return out, f"has elements {a} and {b} exchanged"
    if kind == "bias":
        value *= min(1.0, (tick - fault.at_tick + 1) / BIAS_TICKS)
    elif kind == "ramp":
        value *= (tick - fault.at_tick + 1) * 1e-3
    part += value
    return out, f"is off by {value:.6g} ({name})"
