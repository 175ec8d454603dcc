"""The PiPER-type arm of a mock cell; see :class:`sim_mocks.arm_device.ArmDevice`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pinocchio as pin

from drivers.contract import Array
from estimators.rigid_body import BodyInertia, RigidBodyModel
from sim_mocks.cobot.bus import CanBus
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.ports import open_port
from sim_mocks.config import MockConfig
from sim_mocks.piper import wire
from sim_mocks.piper.config import PiperMockConfig
from sim_mocks.piper.controller import N, PiperController
from sim_mocks.world import ArmWorld


class PiperDevice:
    """Controller, bus and wire; faults of the fault API do not reach it yet."""

    name = "piper"

    def __init__(
        self, config: MockConfig, piper: PiperMockConfig, gravity: Callable[[Array], Array] | None = None
    ) -> None:
        """``gravity`` replaces the controller's own model (tests). Raises MockError, OSError."""
        self._dt_ns = round(config.world.dt * 1e9)
        self.ticks_per_cycle = round(piper.period_ms * 1e-3 / config.world.dt)
        if gravity is None:
            world = config.world
            tool = BodyInertia(world.tool_mass, np.array(world.tool_com), np.array(world.tool_inertia))
            gravity = RigidBodyModel(world.urdf, tool).gravity
        self.controller = PiperController(gravity, config.world.dt, piper.firmware)
        if piper.held:
            self.controller.hold(np.array(config.world.q0))
        overwritten = range(wire.HIGH_SPEED, wire.GRIPPER + 1)
        self.bus = CanBus([self.controller], piper.bitrate, overwritten=overwritten)
        self.port = open_port(piper.transport, piper.channel or "", piper.port, 0, piper.bitrate, config.control_dir)
        self._out: list[Frame] = []

    @property
    def command_age(self) -> float:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return -1.0

    @property
    def overlay(self) -> Array:
        """Motor torque, (6,) N·m."""
        return self.controller.tau

    @property
    def state(self) -> int:
        """Number of enabled joints."""
        return sum(self.controller.enabled)

    def secured(self, braked: bool) -> bool:
        """No joint is enabled, or the arm holds itself; it has no brakes."""
        return not any(self.controller.enabled) or self.controller.holds_itself

    def misbehave(self, tick: int, t_ns: int, dt: float) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""

    def receive(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        position, rotation = world.pose()
        rpy: Array = pin.rpy.matrixToRpy(rotation)
        self.controller.sense(world.q, world.qd, position.tolist(), rpy.tolist())
        self._out = self.bus.exchange(self.port.receive(), t_ns, self._dt_ns)

    def control(self, t_ns: int, world: ArmWorld) -> tuple[Array, list[bool]]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return self.controller.control(), [False] * N

    def emit(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        if self._out:
            self.port.send(self._out)

    def hello(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return {"can": [dict(self.port.where)]}

    def report(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        controller = self.controller
        return {
            "enabled": list(controller.enabled),
            "can_mode": controller.can_mode,
            "move": controller.move.name,
            "stopped": controller.stopped,
            "rejected": controller.rejected,
            "bus": [{"load": self.bus.load.mean, "frames": self.bus.load.frames, "foreign": self.port.foreign}],
        }

    def operations(self) -> Mapping[str, Callable[..., dict[str, Any] | None]]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return {
            "unplug_can": lambda t_ns, channel=0: self.port.unplug(),
            "plug_can": lambda t_ns, channel=0: self.port.plug(),
        }

    def close(self) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        self.port.close()
