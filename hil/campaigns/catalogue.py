"""Which faults the campaign tries: every kind of the menu on each device that has it, pairs of them among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim_mocks.faults import MENU, Family, Fault

LASTING = 100_000
"""Ticks; longer than any trial."""
_DEVICES = ("iiwa", "ft")
"""Of the cell that the campaign runs."""


_OFFSET = (
    "A constant or slow error of a joint's position is another zero of its encoder: nothing else that the robot sends "
    "measures that joint (its position set-point is what we answered), and what the model could contradict is small: "
    "at home 20 mrad of A4 change g(q) by 0.3 N·m, where `torque_model` must tolerate 21 N·m of sensor bias, friction "
    "and model error. The arm stands off by the error. Only a second encoder or an outer measurement shows it; here it "
    "is seen from {seen} on (`position_step`)."
)
_FORCE = (
    "Until {harm} the joint torques cannot contradict the sensor: their own estimate of the force is off by up to half "
    "of `force_max` (20 N) in free motion and at impacts, by friction, model and differentiated speed. In contact the "
    "arm presses by as much too hard or too soft; a tare with nothing touching shows it."
)
UNSEEN = {
    ("iiwa", "ramp: position of A4, 20 mrad/s"): _OFFSET.format(seen="a jump of 1.6 mrad in a tick"),
    ("iiwa", "bias: position of A4, 5 mrad"): "As above: an offset that comes in over half a second.",
    ("ft", "step: Fz, 5 N"): _FORCE.format(harm="20 N (`wrench_mismatch`)"),
    ("ft", "bias: Fz, 5 N"): "As above.",
}
"""Why a fault of the campaign cannot be seen, by group and name of its case."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    group: str
    name: str
    faults: tuple[Fault, ...]
    """``at_tick`` counts from the beginning of the fault."""


def _case(device: str, kind: str, name: str, ticks: int = LASTING, **how: Any) -> Case:
    return Case(device, f"{kind}: {name}", (Fault(kind, device, 0, ticks, **how),))


def _iiwa() -> list[Case]:
    def out(kind: str, name: str, ticks: int, **how: Any) -> Case:
        return _case("iiwa", kind, f"{name}, robot to us", ticks, **how)

    def into(kind: str, name: str, ticks: int, **how: Any) -> Case:
        return _case("iiwa", kind, f"{name}, us to robot", ticks, field="in", **how)

    def value(kind: str, name: str, **how: Any) -> Case:
        return _case("iiwa", kind, name, **how)

    return [
        out("drop", "1 packet", 1),
        out("drop", "6 packets", 6),
        out("drop", "50 packets", 50),
        out("drop", "2 % of 1 s", 1000, probability=0.02),
        into("drop", "1 packet", 1),
        into("drop", "20 packets", 20),
        out("delay", "by 2 ticks, 50 ticks", 50, value=2),
        out("delay", "by 20 ticks, 50 ticks", 50, value=20),
        into("delay", "by 2 ticks, 50 ticks", 50, value=2),
        out("duplicate", "all", LASTING),
        into("duplicate", "all", LASTING),
        out("reorder", "1 packet", 1),
        out("reorder", "every tenth", LASTING, probability=0.1),
        into("reorder", "1 packet", 1),
        out("bit_flip", "1 bit of 1 packet", 1),
        out("bit_flip", "1 bit of 5 % of packets", LASTING, probability=0.05),
        into("bit_flip", "1 bit of 1 packet", 1),
        into("bit_flip", "1 bit of 2 % of packets", LASTING, probability=0.02),
        out("truncate", "1 packet", 1),
        out("truncate", "10 packets", 10),
        into("truncate", "1 packet", 1),
        into("truncate", "20 packets", 20),
        out("garbage", "64 bytes each tick", LASTING),
        into("garbage", "64 bytes each tick", LASTING),
        out("stall", "3 ticks", 3),
        out("stall", "50 ticks", 50),
        into("stall", "20 ticks", 20),
        out("burst", "batches of 4", 100, value=4),
        out("burst", "batches of 16", 100, value=16),
        into("burst", "batches of 8", 100, value=8),
        value("rate_error", "time stamps 1 % fast"),
        value("clock_jump", "time stamps 1 s ahead"),
        value("clock_jump", "time stamps 1 s back", value=-1.0),
        value("nan", "position of A4, 1 tick", field="q", joint=3, ticks=1),
        value("nan", "torque of A2", field="tau", joint=1),
        value("nan", "set-point", field="q_set"),
        value("infinity", "position of A1", field="q", joint=0),
        value("infinity", "external torque", field="tau_ext"),
        value("step", "position of A4, 2 mrad", field="q", joint=3, value=0.002),
        value("step", "position of A4, 20 mrad", field="q", joint=3, value=0.02),
        value("step", "torque of A2, 20 N·m", field="tau", joint=1, value=20.0),
        value("step", "torque of A2, 80 N·m", field="tau", joint=1, value=80.0),
        value("ramp", "position of A4, 20 mrad/s", field="q", joint=3, value=0.02),
        value("ramp", "torque of A2, 100 N·m/s", field="tau", joint=1, value=100.0),
        value("stuck", "position of A4", field="q", joint=3),
        value("stuck", "all positions", field="q"),
        value("stuck", "torque of A2", field="tau", joint=1),
        value("bias", "position of A4, 5 mrad", field="q", joint=3, value=0.005),
        value("bias", "torque of A2, 10 N·m", field="tau", joint=1, value=10.0),
        value("saturation", "torque of A2 at 20 N·m", field="tau", joint=1, value=20.0),
        value("saturation", "position of A2 at 0.5 rad", field="q", joint=1, value=0.5),
        value("swap", "positions of A2 and A4", field="q", joint=1, other=3),
        value("swap", "positions of A1 and A3", field="q", joint=0, other=2),
        value("swap", "torques of A2 and A4", field="tau", joint=1, other=3),
        value("sign_flip", "position of A2", field="q", joint=1),
        value("sign_flip", "position of A1", field="q", joint=0),
        value("sign_flip", "torque of A2", field="tau", joint=1),
        value("sign_flip", "all torques", field="tau"),
        value("quality_loss", "to POOR, 200 ticks", ticks=200),
        value("quality_loss", "to FAIR, 5 ticks", ticks=5, value=1),
        value("safety_stop", "level 1", ticks=300, value=1),
        value("safety_stop", "level 3", ticks=300, value=3),
        value("mode_change", "to T1", ticks=300),
        value("session_close", "by the robot"),
    ]


def _ft() -> list[Case]:
    def case(kind: str, name: str, ticks: int = LASTING, **how: Any) -> Case:
        return _case("ft", kind, name, ticks, **how)

    def wrench(kind: str, name: str, **how: Any) -> Case:
        return _case("ft", kind, name, field="wrench", **how)

    return [
        case("drop", "10 ticks", 10),
        case("drop", "everything"),
        case("drop", "20 %", probability=0.2),
        case("drop", "what we say", field="in"),
        case("delay", "by 20 ticks", value=20),
        case("delay", "by 200 ticks", value=200),
        case("duplicate", "all"),
        case("reorder", "1 frame", 1),
        case("bit_flip", "1 bit of 5 %", probability=0.05),
        case("bit_flip", "1 bit of all"),
        case("truncate", "5 %", probability=0.05),
        case("garbage", "64 bytes each tick"),
        case("stall", "50 ticks", 50),
        case("stall", "300 ticks", 300),
        case("burst", "batches of 16"),
        case("rate_error", "1 % fast"),
        case("rate_error", "10 % slow", value=-0.1),
        case("clock_jump", "time stamps 1 s ahead", value=1.0),
        case("clock_jump", "time stamps 1 s back", value=-1.0),
        wrench("nan", "Fz", joint=2),
        wrench("infinity", "all"),
        wrench("step", "Fz, 5 N", joint=2, value=5.0),
        wrench("step", "Fz, 50 N", joint=2, value=50.0),
        wrench("ramp", "Fz, 50 N/s", joint=2, value=50.0),
        wrench("stuck", "Fz", joint=2),
        wrench("stuck", "all"),
        wrench("bias", "Fz, 5 N", joint=2, value=5.0),
        wrench("saturation", "at 10 N (and N·m)", value=10.0),
        wrench("swap", "Fx and Fz", joint=0, other=2),
        wrench("swap", "Mx and My", joint=3, other=4),
        wrench("sign_flip", "all"),
        case("quality_loss", "frames flagged invalid, 5 ticks", 5),
        case("session_close", "leaves its run mode"),
    ]


def _pairs() -> list[Case]:
    def pair(name: str, *faults: Fault) -> Case:
        return Case("two at once", name, faults)

    return [
        pair("packets lost (3 ticks) and torque of A2 off by 80 N·m",
             Fault("drop", "iiwa", 0, 3), Fault("step", "iiwa", 0, LASTING, field="tau", joint=1, value=80.0)),
        pair("position of A4 stuck and packets doubled",
             Fault("stuck", "iiwa", 0, LASTING, field="q", joint=3), Fault("duplicate", "iiwa", 0, LASTING)),
        pair("sensor silent and robot stalls 50 ticks",
             Fault("drop", "ft", 0, LASTING), Fault("stall", "iiwa", 0, 50)),
        pair("wrench and torques with flipped signs",
             Fault("sign_flip", "ft", 0, LASTING, field="wrench"), Fault("sign_flip", "iiwa", 0, LASTING, field="tau")),
        pair("NaN position, and safety stop 5 ticks later",
             Fault("nan", "iiwa", 0, 1, field="q"), Fault("safety_stop", "iiwa", 5, 300)),
        pair("sensor invalid, and session closed 20 ticks later",
             Fault("nan", "ft", 0, LASTING, field="wrench"), Fault("session_close", "iiwa", 20, LASTING)),
        pair("packets lost both ways, 20 ticks",
             Fault("drop", "iiwa", 0, 20), Fault("drop", "iiwa", 0, 20, field="in")),
        pair("safety stop, and packets lost from then on",
             Fault("safety_stop", "iiwa", 0, LASTING), Fault("drop", "iiwa", 1, LASTING)),
    ]  # fmt: skip


def catalogue() -> list[Case]:
    """All cases: robot, sensor, pairs."""
    return [*_iiwa(), *_ft(), *_pairs()]


def untried() -> list[str]:
    """``device: kind`` for what the menu offers on the iiwa cell and no case has; processes are another campaign's."""
    tried = {(fault.device, fault.kind) for case in catalogue() for fault in case.faults}
    kinds = {name: kind for name, kind in MENU.items() if kind.family is not Family.PROCESS}
    wanted = {(device, name) for name, kind in kinds.items() for device in kind.devices if device in _DEVICES}
    return sorted(f"{device}: {kind}" for device, kind in wanted - tried)
