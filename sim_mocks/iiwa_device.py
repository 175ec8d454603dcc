"""The iiwa of a mock cell: FRI controller, UDP wire and, where configured, a gripper on the controller's IOs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from drivers.contract import Array
from drivers.fri.wire import Quality, SessionState
from estimators.rigid_body import BodyInertia, RigidBodyModel
from sim_mocks.config import IiwaConfig, MockConfig
from sim_mocks.device_faults import act_iiwa
from sim_mocks.faults import FaultPlan
from sim_mocks.gripper import MockGripper
from sim_mocks.iiwa import FriController
from sim_mocks.iiwa_dynamics import ControllerPhysics, GravityModel, controller_model
from sim_mocks.profiles import Profile, load_profile
from sim_mocks.transports import UdpPort
from sim_mocks.world import ArmWorld


class IiwaDevice:
    """See :class:`sim_mocks.arm_device.ArmDevice`."""

    name = "iiwa"

    def __init__(
        self,
        config: MockConfig,
        iiwa: IiwaConfig,
        faults: FaultPlan,
        world: ArmWorld,
        rng: np.random.Generator,
        model: GravityModel | None = None,
    ) -> None:
        """``model`` replaces the controller's own (tests). Raises MockError, OSError."""
        nominal = RigidBodyModel(config.world.urdf)
        physics = controller_physics(load_profile("iiwa", config.world.profile, config.seed))
        if model is None:
            model = controller_model(config.world.urdf, physics.mass_factor, _load_data(config))
        limits = (nominal.q_min, nominal.q_max, nominal.qd_max, nominal.tau_max)
        self.controller = FriController(iiwa, physics, model, limits, config.world.dt, rng, nominal)
        self.ticks_per_cycle = self.controller.ticks_per_packet
        self._faults, self._tick, self._reopens = faults, 0, iiwa.reopens
        self.gripper = None if config.gripper is None else MockGripper(config.gripper, self.controller.ios, world)
        self.udp = UdpPort(*iiwa.bind)
        if iiwa.peer is not None:
            self.fri_peer(*iiwa.peer)
        if iiwa.open_at_start:
            self.controller.open_session(0)

    @property
    def command_age(self) -> float:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return self.controller.command_age

    @property
    def overlay(self) -> Array:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return self.controller.joints.overlay

    @property
    def state(self) -> int:
        """FRI session state."""
        return self.controller.state

    def fri_peer(self, host: str, port: int) -> None:
        """Send the monitoring stream to the client at ``host:port`` (a bound "any" address means this machine)."""
        self.udp.peer = ("127.0.0.1" if host in ("", "0.0.0.0") else host, port)

    def secured(self, braked: bool) -> bool:
        """Its brakes are closed whenever no motion is active."""
        return braked

    def misbehave(self, tick: int, t_ns: int, dt: float) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        for fault, begins in self._faults.actions("iiwa", tick):
            act_iiwa(self.controller, fault, begins, t_ns, reopens=self._reopens)
        self.controller.clock_offset_ns = round(1e9 * self._faults.clock_offset("iiwa", tick, dt))

    def receive(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        datagrams = self.udp.receive()
        if not quiet:
            datagrams = self._faults.incoming("iiwa", tick, datagrams)
        for data in datagrams:
            self.controller.receive(data, t_ns)
        if self.gripper is not None:
            self.gripper.tick(t_ns)

    def control(self, t_ns: int, world: ArmWorld) -> tuple[Array, bool]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return self.controller.control(t_ns, world.q, world.qd)

    def emit(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        self._tick = tick
        packet = self.controller.emit(t_ns, world.q, world.tau_link, None if quiet else self._values)
        if not quiet:
            for data in self._faults.outgoing("iiwa", tick, packet):
                self.udp.send(data)
        elif packet is not None:
            self.udp.send(packet)

    def hello(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return {"fri": list(self.udp.address)}

    def report(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        controller, quality = self.controller, self.controller.quality
        return {
            "session": SessionState(controller.state).name,
            "quality": Quality(quality.level).name,
            "phase": controller.joints.phase.name,
            "errors": [[t_ns, text] for t_ns, text in controller.errors],
            "answers": {
                "answered": quality.answered,
                "late": quality.late,
                "stale": quality.stale,
                "unknown": quality.unknown,
                "missed": quality.missed,
            },
            "rejected": dict(controller.rejected),
            "ios": dict(controller.ios.values),
            "foreign": self.udp.foreign,
        }

    def operations(self) -> Mapping[str, Callable[..., dict[str, Any] | None]]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        controller = self.controller
        return {
            "fri_peer": lambda t_ns, host, port: self.fri_peer(str(host), int(port)),
            "open_session": lambda t_ns: controller.open_session(t_ns),
            "close_session": lambda t_ns: controller.close_session(t_ns),
            "start_overlay": lambda t_ns, **how: controller.start_overlay(t_ns, **how),
            "cancel_overlay": lambda t_ns: controller.cancel_overlay(t_ns),
            "safety_stop": lambda t_ns, level: controller.safety_stop(t_ns, int(level)),
            "set_mode": lambda t_ns, mode: controller.set_mode(t_ns, int(mode)),
            "set_io": lambda t_ns, name, value: controller.ios.set(str(name), value),
        }

    def close(self) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        self.udp.close()

    def _values(self, name: str, array: Array) -> Array:
        return self._faults.values("iiwa", self._tick, name, array)


def controller_physics(profile: Profile) -> ControllerPhysics:
    """The controller's share of an ``iiwa`` profile. Raises ProfileError."""
    sensors = profile.section("sensors")
    return ControllerPhysics(
        mass_factor=profile.section("controller_model").vector("mass_factor", 1.0),
        tau_noise=sensors.vector("tau_noise"),
        tau_bias=sensors.vector("tau_bias"),
        q_noise=sensors.number("q_noise"),
        q_quantum=sensors.number("q_quantum"),
        delay_ticks=int(sensors.number("delay_ticks")),
        engage_delay=profile.section("brakes").number("engage_delay", 0.05),
        bridging=profile.number("bridging", 0.010),
    )


def _load_data(config: MockConfig) -> BodyInertia | None:
    world = config.world
    if world.tool_mass <= 0.0:
        return None
    return BodyInertia(world.tool_mass, np.array(world.tool_com), np.array(world.tool_inertia))
