"""The status of an operated cell as plain values, for displays and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from drivers.contract import LinkHealth, RobotSample, WrenchSample
from drivers.gripper import GripState
from hil.cell import Cell
from hil.gripping import Grip
from hil.operation.events import RememberingWriter
from hil.operation.tasks import Task
from hil.operation.verbs import Context, describe
from hil.realtime import Grant
from hil.supervisor import Supervisor
from safety.faults import SPECS, FaultReport
from safety.limits import JointLimits


class Operated(Protocol):
    """What is told of an operated cell."""

    supervisor: Supervisor
    cell: Cell
    limits: JointLimits
    events: RememberingWriter
    task: Task | None
    grants: Sequence[Grant] | None
    folder: str

    @property
    def checked(self) -> bool: ...

    @property
    def since(self) -> datetime: ...


def tell(operated: Operated, context: Context, events_after: int) -> dict[str, Any]:
    """See :meth:`hil.operation.cell.OperatedCell.status`; joint vectors have one value a joint, A1 first."""
    supervisor, cell = operated.supervisor, operated.cell
    limits = operated.limits
    machine, parts, estimate = supervisor.machine, supervisor.parts, supervisor.estimate
    sample, wrench = supervisor.sample, supervisor.wrench
    progress = supervisor.progress()
    return {
        "cell": cell.name,
        "mocks": cell.mocks,
        "situation": context.situation.value,
        "state": supervisor.state.value,
        "sentence": describe(context),
        "since": operated.since.isoformat(timespec="seconds"),
        "phase": supervisor.phase,
        "tick": supervisor.tick,
        "t_ns": parts.ticks.now_ns(),
        "faults": [_fault(fault) for fault in machine.faults],
        "realtime": None if operated.grants is None else [grant.to_mapping() for grant in operated.grants],
        "skipped": supervisor.skips.skipped,
        "skipped_in_a_row": supervisor.skips.most,
        "stop_category": supervisor.stop_category,
        "checked": operated.checked,
        "motion": context.motion,
        "elapsed": progress["elapsed"],
        "duration": progress["duration"],
        "motions": list(context.motions),
        "task": None if operated.task is None else operated.task.describe(),
        "log": context.log,
        "folder": operated.folder,
        "joints": {
            **_joints(sample),
            "q_min": limits.q_min.tolist(),
            "q_max": limits.q_max.tolist(),
            "qd_max": limits.qd_max.tolist(),
            "tau_max": limits.tau_max.tolist(),
            "tau_ext": estimate.tau_ext.tolist(),
        },
        "wrench": {
            "estimated": estimate.wrench.tolist(),
            "measured": estimate.wrench_ft.tolist() if wrench is not None else None,
        },
        "gripper": None if parts.grip is None else _grip(parts.grip),
        "devices": _devices(parts.arm.traits.name, sample, parts.arm.health())
        + ([] if parts.sensor is None else _sensor(parts.sensor.name, wrench, parts.sensor.health()))
        + ([] if parts.grip is None else _jaws(parts.grip, sample)),
        "events": operated.events.after(events_after),
    }


def _grip(grip: Grip) -> dict[str, Any]:
    carried = grip.carried
    return {
        "state": grip.state.name.lower(),
        "sentence": grip.state.value,
        "holding": grip.holding,
        "payload": None if carried is None else carried.mass,
    }


def _fault(fault: FaultReport) -> dict[str, Any]:
    spec = SPECS[fault.code]
    return {
        "code": fault.code.value,
        "headline": fault.headline(),
        "causes": list(spec.causes),
        "remedy": spec.remedy,
        "explanation": fault.explain(),
    }


def _joints(sample: RobotSample | None) -> dict[str, Any]:
    if sample is None:
        return {"q": None, "qd": None, "tau": None}
    return {"q": sample.q.tolist(), "qd": sample.qd.tolist(), "tau": sample.tau.tolist()}


def _devices(name: str, sample: RobotSample | None, health: LinkHealth) -> list[dict[str, Any]]:
    told = {"name": name, "kind": "arm", "state": "disconnected", "valid": False, "age_ms": None}
    if sample is not None:
        age = sample.age_ns * 1e-6 if sample.age_ns >= 0 else None
        told.update(state=sample.state.name.lower(), valid=sample.valid, age_ms=age)
    told.update(safety=health.safety.name, mode=health.mode.name, drives_on=health.drives_on)
    return [{**told, **_health(health)}]


def _sensor(name: str, wrench: WrenchSample | None, health: LinkHealth) -> list[dict[str, Any]]:
    told = {"name": name, "kind": "wrench sensor", "state": "disconnected", "valid": False, "age_ms": None}
    if wrench is not None:
        state = next((flag for flag in ("unplugged", "reopening") if flag in wrench.flags), "streaming")
        told.update(state=state, valid=wrench.valid, age_ms=wrench.age_ns * 1e-6 if wrench.age_ns >= 0 else None)
    return [{**told, **_health(health)}]


def _jaws(grip: Grip, sample: RobotSample | None) -> list[dict[str, Any]]:
    """The gripper among the devices: it lives on the arm's link, so its readings are as old as the arm's."""
    notes = [] if grip.carried is None else [f"the model carries {grip.carried.mass:g} kg"]
    if grip.holding and grip.carried is None:
        notes = ["its load is not in the model"]
    age = sample.age_ns * 1e-6 if sample is not None and sample.age_ns >= 0 else None
    valid = grip.state not in (GripState.UNKNOWN, GripState.STUCK)
    told = {"name": "gripper", "kind": "gripper", "state": grip.state.name.lower(), "valid": valid, "age_ms": age}
    return [{**told, **_health(LinkHealth()), "flags": notes}]


def _health(health: LinkHealth) -> dict[str, Any]:
    return {
        "quality": health.quality,
        "gaps": health.gaps,
        "rejected": sum(health.rejected.values()),
        "flags": sorted(health.flags),
    }
