"""Devices, estimators and clock of a supervisor that is given what a log holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from drivers.contract import ArmTraits, Array, LinkHealth, PassedCommand, RobotSample, WrenchSample
from drivers.errors import RefusedError
from estimators.inertia import BodyInertia
from hil.build import build_model
from hil.build_safety import build_checks, build_traits
from hil.cell import Cell
from hil.cell.parts import array
from hil.parts import Parts
from hil.replay.inputs import Inputs
from hil.timing import TimedTicks
from safety.faults import FaultCode


class Recorded:
    """The row that is being replayed, and every device's view of it."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.k = 0
        self.now = 0

    # hil.timing.TimedTicks asks these
    def now_ns(self) -> int:
        return self.now

    def wait(self, fd: int, timeout_ns: int) -> bool:
        raise NotImplementedError  # nobody waits for a log


class RecordedArm:
    """A :class:`drivers.contract.RobotArm` that gives the samples of the log."""

    def __init__(self, recorded: Recorded, traits: ArmTraits) -> None:
        self.traits = traits
        self._r = recorded

    def open(self) -> None: ...

    def read(self) -> RobotSample:
        return self._r.inputs.sample(self._r.k)

    def enable(self) -> None: ...

    def command(self, passed: PassedCommand) -> bool:
        """What the driver said then; True where it was never asked."""
        inputs, k = self._r.inputs, self._r.k
        tick = int(inputs.tick[k])
        if bool(np.isfinite(inputs["tau_cmd"][k]).all()):
            return True
        codes = [fault.code for fault in inputs.faults(tick)]
        if FaultCode.NOT_COMMANDED in codes:
            raise RefusedError("the driver refused it then")
        # It was passed then as well, and did not leave the machine.
        return bool(codes) or int(inputs["judged_ns"][k]) < 0

    def off(self) -> None: ...

    def release(self) -> None: ...

    def health(self) -> LinkHealth:
        return self._r.inputs.health(self._r.k)

    def close(self) -> None: ...


class RecordedSensor:
    """A :class:`drivers.contract.WrenchSensor` that gives the samples of the log."""

    name, rate = "the log", 0.0

    def __init__(self, recorded: Recorded) -> None:
        self._r = recorded

    def open(self) -> None: ...

    def poll(self) -> WrenchSample:
        return self._r.inputs.wrench(self._r.k)

    def health(self) -> LinkHealth:
        return LinkHealth()

    def close(self) -> None: ...


def recorded_parts(cell: Cell, recorded: Recorded) -> Parts:
    """The checks of ``cell`` as they are today, and everything else as the log has it. Nothing that the cell file names
    beside them (controllers, observers, models) is loaded. Raises ModelError, LimitsError."""
    traits, inputs = build_traits(cell), recorded.inputs
    checks = build_checks(cell, traits)
    sensed = bool(cell.sensors)
    observer: Any = SimpleNamespace(step=lambda tau, dyn, dt: inputs.estimate(recorded.k))
    wrist: Any = SimpleNamespace(contact=lambda wrench, dyn, qdd: inputs["wrench_ft"][recorded.k])

    def contact(J: Array, tau_ext: Array, P: Array) -> tuple[Array, Array]:
        return inputs.contact(recorded.k)

    return Parts(
        arm=RecordedArm(recorded, traits),
        ticks=TimedTicks(recorded),
        model=build_model(cell),
        observer=observer,
        controllers={},
        saturation=checks.saturation,
        gate=checks.gate,
        monitor=checks.monitor,
        stops=checks.stops,
        start_motion=lambda: None,
        sensor=RecordedSensor(recorded) if sensed else None,
        wrist=wrist if sensed else None,
        frames_per_tick=1,
        consistency=checks.consistency,
        rest=checks.rest,
        energy=checks.energy,
        variance=checks.variance,
        contact_limits=checks.contact_limits,
        contact=contact,
        observed_by="the log",
    )


def payload_of(cell: Cell, mass: float) -> BodyInertia | None:
    """What the model carried, by the mass in the row; None for nothing."""
    described = cell.gripper
    if not mass > 0.0 or described is None or described.payload is None:
        return None
    held = described.payload
    return BodyInertia(held.mass, array(held.com), held.inertia_matrix)


__all__ = ["Recorded", "payload_of", "recorded_parts"]
