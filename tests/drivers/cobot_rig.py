"""Six mock drives on a wire, each with a flywheel behind its gear, stepped whenever the driver waits."""

from __future__ import annotations

import itertools
import math
import os
import pty
import select
import tty
from collections.abc import Callable
from typing import Any

import can
import numpy as np

from drivers.can.bus import BusConfig
from drivers.cobot.arm import CobotArm
from drivers.cobot.config import CobotConfig
from drivers.cobot.model import CobotJoint
from drivers.cobot.traits import cobot_traits
from drivers.contract import ArmState, Array, PassedCommand, RobotSample, TorqueCommand
from sim_mocks.cobot.bus import CanBus
from sim_mocks.cobot.drive import Motor, TorqueDrive, drive_dictionary
from sim_mocks.cobot.frames import ERROR_FLAG, Frame
from sim_mocks.cobot.node import Node

_channels = itertools.count()
GEAR, RATED, COUNTS, INERTIA = 101.0, 1500, 131072, 2.0


class Wire:
    """The drives' end of one channel: frames in both directions, as the driver's interface sees them."""

    config: BusConfig

    def receive(self) -> list[Frame]: ...

    def send(self, frames: list[Frame]) -> None: ...

    def close(self) -> None: ...


class VirtualWire(Wire):
    def __init__(self) -> None:
        name = f"rig{next(_channels)}"
        self.config = BusConfig("virtual", name)
        self.bus = can.Bus(interface="virtual", channel=name)

    def receive(self) -> list[Frame]:
        frames = []
        while (message := self.bus.recv(0.0)) is not None:
            frames.append((message.arbitration_id, bytes(message.data)))
        return frames

    def send(self, frames: list[Frame]) -> None:
        for can_id, data in frames:
            error = bool(can_id & ERROR_FLAG)
            self.bus.send(
                can.Message(
                    arbitration_id=can_id & 0x7FF,
                    is_extended_id=False,
                    is_error_frame=error,
                    data=b"" if error else data,
                )
            )

    def close(self) -> None:
        self.bus.shutdown()


class SlcanWire(Wire):
    """An adapter on a pseudo-terminal that acknowledges every frame."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.config = BusConfig("slcan", os.ttyname(self.slave))
        self.rest = b""
        self.commands: list[bytes] = []
        self.flags = -1
        """What it answers to F; below zero: nothing."""

    def receive(self) -> list[Frame]:
        frames, answers = [], b""
        try:
            while chunk := os.read(self.master, 4096):
                self.rest += chunk
        except BlockingIOError:
            pass
        *lines, self.rest = self.rest.split(b"\r")
        for line in lines:
            if line[:1] == b"t":
                frames.append((int(line[1:4], 16), bytes.fromhex(line[5:].decode())))
                answers += b"z\r"
            elif line:
                self.commands.append(line)
                answers += b"F%02X\r" % self.flags if line == b"F" and self.flags >= 0 else b"\r"
        if answers:
            os.write(self.master, answers)
        return frames

    def send(self, frames: list[Frame]) -> None:
        os.write(self.master, b"".join(b"t%03X%d%s\r" % (i, len(d), d.hex().upper().encode()) for i, d in frames))

    def close(self) -> None:
        for fd in (self.master, self.slave):
            os.close(fd)
        self.master = self.slave = -1


class CobotRig:
    """Drives, wires and time; it is the driver's :class:`drivers.contract.Ticks`, one period in each wait."""

    def __init__(self, *, wires: list[Wire] | None = None, period: float = 0.002, brake: bool = True) -> None:
        self.wires: list[Wire] = wires or [VirtualWire()]
        self.period = period
        self.t_ns = 0
        motor = Motor(RATED * 1e-3, COUNTS, GEAR, 0.02, 0.2)
        self.drives: list[TorqueDrive] = []
        channels: list[list[Node]] = [[] for _ in self.wires]
        for k in range(6):
            node = Node(drive_dictionary(k + 1, motor, 0.05, 0.05), 20_000_000)
            self.drives.append(TorqueDrive(node, motor, brake))
            channels[k * len(self.wires) // 6].append(node)
        self.buses = [CanBus(nodes, 1_000_000) for nodes in channels]
        self.channel_of = [k * len(self.wires) // 6 for k in range(6)]
        self.q = np.zeros(6)
        self.qd = np.zeros(6)
        self.joint_torque = np.zeros(6)
        self.incoming: Callable[[int, list[Frame]], list[Frame]] = lambda channel, frames: frames
        self.outgoing: Callable[[int, list[Frame]], list[Frame]] = lambda channel, frames: frames
        self.log: list[list[Frame]] = []
        """What the driver sent, tick by tick."""

    def joints(self, **changes: object) -> tuple[CobotJoint, ...]:
        return tuple(
            CobotJoint(k + 1, GEAR, RATED, COUNTS, tau_max=150.0, channel=self.channel_of[k], **changes)  # type: ignore[arg-type]
            for k in range(6)
        )

    def arm(self, **changes: object) -> CobotArm:
        given: dict[str, Any] = {
            "joints": self.joints(),
            "buses": tuple(wire.config for wire in self.wires),
            "period": self.period,
            "prove_heartbeat": False,
        }
        config = CobotConfig(**{**given, **changes})
        traits = cobot_traits("cobot", 6, self.period)
        span = np.full(6, math.tau)
        return CobotArm(
            config, Backward(), self, traits, q_min=-span, q_max=span, qd_max=np.full(6, 3.2), tau_max=np.full(6, 150.0)
        )

    # Ticks

    def now_ns(self) -> int:
        return self.t_ns

    def wait(self, fd: int, timeout_ns: int) -> bool:
        self.tick()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def tick(self) -> None:
        dt = self.period
        for drive, q, qd, tau in zip(self.drives, self.q, self.qd, self.joint_torque, strict=True):
            drive.sense(round(q * GEAR / math.tau * COUNTS), qd * GEAR, tau / GEAR)
        self.log.append([])
        for channel, (bus, wire) in enumerate(zip(self.buses, self.wires, strict=True)):
            sent = wire.receive()
            self.log[-1] += sent
            heard = bus.exchange(self.incoming(channel, sent), self.t_ns, round(dt * 1e9))
            wire.send(self.outgoing(channel, heard))
        for k, drive in enumerate(self.drives):
            tau, braked = drive.control(self.t_ns, dt)
            self.joint_torque[k] = tau * GEAR
            self.qd[k] = 0.0 if braked else self.qd[k] + dt * tau * GEAR / INERTIA
            self.q[k] += dt * self.qd[k]
        self.t_ns += round(dt * 1e9)

    def close(self) -> None:
        for wire in self.wires:
            wire.close()


class Backward:
    """Backward difference."""

    def reset(self, q: Array) -> None:
        self.q = q

    def update(self, q: Array, dt: float) -> tuple[Array, Array]:
        qd, self.q = (q - self.q) / dt, q
        return qd, np.zeros_like(q)


def torque(sample: RobotSample, tau: Array) -> PassedCommand:
    """What the gate would hand over."""
    return PassedCommand(TorqueCommand(tau, sample.q), sample.seq)


def until(arm: CobotArm, state: ArmState, reads: int = 300) -> RobotSample:
    """Read until the arm is in ``state``, answering with zero torque where it is commanded."""
    for _ in range(reads):
        sample = arm.read()
        if sample.state is state:
            return sample
        if sample.state is ArmState.COMMANDED:
            arm.command(torque(sample, np.zeros(6)))
    raise AssertionError(f"{state.name} not within {reads} reads: {sample.state.name}, {arm.health().flags}")


def commanded(rig: CobotRig, **changes: object) -> tuple[CobotArm, RobotSample]:
    arm = rig.arm(**changes)
    arm.open()
    until(arm, ArmState.READY)
    arm.enable()
    return arm, until(arm, ArmState.COMMANDED)
