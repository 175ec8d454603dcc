"""The cobot of a mock cell: its drives, their buses and wires; see :class:`sim_mocks.arm_device.ArmDevice`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from drivers.contract import Array
from sim_mocks.cobot.bus import CanBus
from sim_mocks.cobot.config import CobotMockConfig
from sim_mocks.cobot.drive import Motor, TorqueDrive, drive_dictionary
from sim_mocks.cobot.faulty import CobotFaults
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.node import Node
from sim_mocks.cobot.ports import open_ports
from sim_mocks.cobot.power import Pds
from sim_mocks.cobot.sensing import JointSensing
from sim_mocks.config import MockConfig
from sim_mocks.faults import FaultPlan
from sim_mocks.profiles import load_profile
from sim_mocks.world import ArmWorld

_SPEED_GAIN, _SPEED_INTEGRAL = 0.5, 20.0
"""The drives' speed loop for ramps: N·m·s/rad at the joint for each N·m of rated joint torque, and 1/s."""


class CobotDevice:
    """Six (or other than six) drives on one or two buses."""

    name = "cobot"

    def __init__(
        self, config: MockConfig, cobot: CobotMockConfig, faults: FaultPlan, rng: np.random.Generator
    ) -> None:
        """Raises MockError, OSError."""
        self.config = cobot
        joints = cobot.joints
        profile = load_profile("cobot", config.world.profile, config.seed, len(joints))
        self.sensing = JointSensing(joints, profile, config.world.dt, rng)
        engage = profile.section("brakes").number("engage_delay", 0.05)
        self._dt = config.world.dt
        self._dt_ns = round(self._dt * 1e9)
        self.ticks_per_cycle = round(cobot.period_ms * 1e-3 / self._dt)
        boot_ns = round(cobot.boot_time * 1e9)
        self.drives: list[TorqueDrive] = []
        for joint in joints:
            rated = joint.rated_torque_mNm * 1e-3
            gain = _SPEED_GAIN * rated / joint.gear
            polarity = joint.torque_sign * joint.position_sign
            motor = Motor(rated, joint.counts_per_rev, joint.gear, gain, gain * _SPEED_INTEGRAL, polarity)
            dictionary = drive_dictionary(joint.node, motor, engage, cobot.release_delay)
            self.drives.append(TorqueDrive(Node(dictionary, boot_ns), motor, cobot.brakes, cobot.ramps))
        self.buses = [
            CanBus([d.node for d, j in zip(self.drives, joints, strict=True) if j.channel == k], cobot.bitrate,
                   cobot.limited)
            for k in range(cobot.channels)
        ]  # fmt: skip
        self.ports = open_ports(cobot, config.control_dir)
        self.faults = CobotFaults(faults, self)
        self._torques = [0.0] * len(joints)
        self._out: list[list[Frame]] = [[] for _ in self.buses]

    @property
    def command_age(self) -> float:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return -1.0

    @property
    def overlay(self) -> Array:
        """Joint torque that the drives believe to produce, (n,) N·m."""
        return self.sensing.nominal_torque(self._torques)

    @property
    def state(self) -> int:
        """Number of drives in OPERATION ENABLED."""
        return sum(drive.power.state is Pds.ENABLED for drive in self.drives)

    def secured(self, braked: bool) -> bool:
        """No drive has current, and the brakes, where there are any, are closed."""
        return not any(drive.power.powered for drive in self.drives) and (braked or not self.config.brakes)

    def misbehave(self, tick: int, t_ns: int, dt: float) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        self.faults.begin(tick, t_ns)

    def receive(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """The drives sample; then everything that this tick brings over the bus."""
        position = self.sensing.position(world.q if quiet else self.faults.values(tick, "q", world.q))
        speed = self.sensing.speed(position, world.qd)
        measured = self.sensing.measured(self._torques, world.qd)
        if not quiet:
            measured = self.faults.values(tick, "tau", measured)
        samples = zip(
            self.drives, position.tolist(), speed.tolist(), self.sensing.motor_torque(measured), strict=True
        )
        for drive, counts, rate, torque in samples:
            drive.sense(int(counts), rate, torque)
        for k, (bus, port) in enumerate(zip(self.buses, self.ports, strict=True)):
            sent = port.receive()
            if not quiet:
                sent = self.faults.incoming(tick, k, sent)
            bus.tamper = None if quiet else self.faults.tamper
            self._out[k] = bus.exchange(sent, t_ns, self._dt_ns)

    def control(self, t_ns: int, world: ArmWorld) -> tuple[Array, Sequence[bool]]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        outcome = [drive.control(t_ns, self._dt) for drive in self.drives]
        self._torques = [torque for torque, _ in outcome]
        return self.sensing.joint_torque(self._torques), [closed for _, closed in outcome]

    def emit(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        for k, (bus, port) in enumerate(zip(self.buses, self.ports, strict=True)):
            frames = self._out[k]
            if not quiet:
                frames = self.faults.outgoing(tick, k, frames)
            port.status(bus.adapter_errors, bus.adapter_off)
            if frames:
                port.send(frames)

    def hello(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return {"can": [dict(port.where) for port in self.ports]}

    def report(self) -> dict[str, Any]:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        return {
            "drives": [
                {
                    "node": drive.node.id,
                    "nmt": drive.node.nmt.name,
                    "state": drive.power.state.name,
                    "mode": drive.node.dictionary.number(0x6061),
                    "fault": drive.power.fault_code,
                    "errors": sorted(drive.node.emergencies.active),
                    "brake_closed": drive.brake_closed,
                    "torque": drive.torque,
                    "powered": drive.node.powered,
                }
                for drive in self.drives
            ],
            "bus": [
                {
                    "load": bus.load.mean,
                    "peak": bus.load.peak,
                    "frames": bus.load.frames,
                    "by_id": {f"0x{can_id:03X}": count for can_id, count in sorted(bus.load.by_id.items())},
                    "overflow": bus.overflow,
                    "adapter_errors": bus.adapter_errors,
                    "bus_off": bus.adapter_off,
                    "foreign": port.foreign,
                }
                for bus, port in zip(self.buses, self.ports, strict=True)
            ],
        }

    def operations(self) -> Mapping[str, Callable[..., dict[str, Any] | None]]:
        """See :class:`sim_mocks.arm_device.ArmDevice`. ``drive`` counts from 1, ``channel`` from 0."""
        return {
            "unplug_can": lambda t_ns, channel=0: self._port(channel).unplug(),
            "plug_can": lambda t_ns, channel=0: self._port(channel).plug(),
            "node_power": lambda t_ns, drive, on: self._drive(drive).node.power(bool(on), t_ns),
            "drive_fault": lambda t_ns, drive, code: self._drive(drive).fault(int(code)),
            "load_reset": lambda t_ns: self._reset_load(),
        }

    def close(self) -> None:
        """See :class:`sim_mocks.arm_device.ArmDevice`."""
        for port in self.ports:
            port.close()

    def _drive(self, number: int) -> TorqueDrive:
        if not 1 <= int(number) <= len(self.drives):
            raise ValueError(f"drive {number} does not exist; there are 1 … {len(self.drives)}")
        return self.drives[int(number) - 1]

    def _port(self, channel: int) -> Any:
        if not 0 <= int(channel) < len(self.ports):
            raise ValueError(f"channel {channel} does not exist; there are 0 … {len(self.ports) - 1}")
        return self.ports[int(channel)]

    def _reset_load(self) -> None:
        for bus in self.buses:
            bus.load = type(bus.load)(bus.bitrate)
