"""The mock PiPER with flywheels for joints, in lockstep with the driver, and a tap on the line between them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence

import can
import numpy as np

from drivers.can.bus import BusConfig, Frame, PythonCanBus
from drivers.contract import ArmState, Array, Command, PassedCommand, RobotSample, TorqueCommand
from drivers.piper.arm import PiperArm
from drivers.piper.config import FirmwareScale, PiperConfig
from drivers.piper.traits import piper_traits
from sim_mocks.config import MockConfig
from sim_mocks.host import CooperativeHost
from sim_mocks.piper.config import PiperMockConfig
from sim_mocks.piper.controller import PiperController
from sim_mocks.world import WorldConfig

_NAMES = itertools.count()
START = np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
WEIGHT = np.array([0.0, -3.0, -2.0, 0.0, 0.5, 0.0])
"""Constant load of the flywheels, N·m: what gravity is to an arm."""


class Wheels:
    """Six flywheels under a constant load; an :class:`sim_mocks.world.ArmWorld`."""

    inertia = np.array([0.5, 0.5, 0.3, 0.1, 0.1, 0.1])

    def __init__(self) -> None:
        self.n, self.dt = 6, 1e-3
        self.q, self.qd = START.copy(), np.zeros(6)
        self.load = WEIGHT
        self.tau: Array = np.zeros(6)
        self.tau_link = self.tau_ext = np.zeros(6)
        self.wrench_sensor = self.wrench_contact = np.zeros(6)

    def step(self, tau_motor: Array, braked: bool | Sequence[bool]) -> None:
        self.tau = tau_motor
        self.qd = self.qd + self.dt * (tau_motor + self.load) / self.inertia
        self.q = self.q + self.dt * self.qd

    def push(self, wrench: Array | None) -> None: ...

    def attach(self, mass: float, com: Array) -> None: ...

    def release(self) -> None: ...

    def pose(self) -> tuple[Array, Array]:
        return np.zeros(3), np.eye(3)

    def close(self) -> None: ...


class Known:
    """The controller's model of the flywheels: exact."""

    @staticmethod
    def gravity(q: Array) -> Array:
        return -WEIGHT


class Tap(PythonCanBus):
    """The driver's channel; what arrives goes through ``filter`` first."""

    filter: Callable[[list[Frame]], list[Frame]] = staticmethod(lambda frames: frames)
    pulled = ""

    @property
    def lost(self) -> str:
        return self.pulled or super().lost

    def drain(self, frames: list[Frame]) -> None:
        new: list[Frame] = []
        super().drain(new)
        frames += self.filter(new)


class Rest:
    """No estimate: accelerations are not what these tests are about."""

    def update(self, q: Array, dt: float) -> tuple[Array, Array]:
        return np.zeros(6), np.zeros(6)

    def reset(self, q: Array) -> None: ...


class PiperRig:
    def __init__(self, *, scale: FirmwareScale | None = None, version: str = "1.8-5", **mock: object) -> None:
        name = f"piper-rig-{os.getpid()}-{next(_NAMES)}"
        piper = PiperMockConfig(**{"transport": "virtual", "channel": name, "held": True, **mock})  # type: ignore[arg-type]
        world = WorldConfig("", tuple(START.tolist()), device="piper", profile="ideal")
        self.world = Wheels()
        self.host = CooperativeHost(MockConfig(world, 0, None, None, piper=piper), self.world, Known())  # type: ignore[arg-type]
        self.controller: PiperController = self.host.arm.controller  # type: ignore[attr-defined]
        self.other = can.Bus(interface="virtual", channel=name)
        self.taps: list[Tap] = []
        self.arm = PiperArm(
            PiperConfig(BusConfig("virtual", name), {version: scale or FirmwareScale()}),
            Rest(), self.host, piper_traits("rig"),
            q_min=np.array([-2.6, 0.0, -2.9, -1.7, -1.2, -2.0]), q_max=np.array([2.6, 3.1, 0.0, 1.7, 1.2, 2.0]),
            qd_max=np.full(6, 3.0), tau_max=np.array([32.0, 32.0, 32.0, 8.0, 8.0, 8.0]), opener=self._open,
        )  # fmt: skip

    def _open(self, config: BusConfig) -> Tap:
        self.taps.append(Tap(config))
        return self.taps[-1]

    @property
    def tap(self) -> Tap:
        return self.taps[-1]

    def heard(self) -> list[tuple[int, bytes]]:
        """All that has passed on the line since the last call."""
        out = []
        while (message := self.other.recv(0.0)) is not None:
            out.append((message.arbitration_id, bytes(message.data)))
        return out

    def commands(self) -> list[int]:
        """Identifiers of the host's frames since the last call."""
        return [can_id for can_id, _ in self.heard() if 0x150 <= can_id < 0x160 or can_id == 0x471]

    def send(self, can_id: int, data: bytes) -> None:
        self.other.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False))

    def ready(self) -> RobotSample:
        self.arm.open()
        return self.until(ArmState.READY)

    def until(self, state: ArmState, ticks: int = 200) -> RobotSample:
        for _ in range(ticks):
            sample = self.arm.read()
            if sample.state is state:
                return sample
        raise AssertionError(f"{sample.state.name} after {ticks} ticks; {sorted(self.arm.health().flags)}")

    def commanded(self) -> RobotSample:
        self.ready()
        self.arm.enable()
        return self.until(ArmState.COMMANDED)

    def answer(self, sample: RobotSample, tau: Array | None = None) -> bool:
        return self.arm.command(passed(TorqueCommand(-WEIGHT if tau is None else tau, sample.q), sample))

    def balance(self, ticks: int) -> RobotSample:
        """That many ticks under a torque that carries the load and damps."""
        sample = self.arm.read()
        for _ in range(ticks):
            if sample.fresh and sample.state is ArmState.COMMANDED:
                self.answer(sample, -WEIGHT - 5.0 * sample.qd)
            sample = self.arm.read()
        return sample

    def close(self) -> None:
        self.arm.close()
        self.other.shutdown()
        self.host.close()


def passed(command: Command, sample: RobotSample) -> PassedCommand:
    return PassedCommand(command, sample.seq)
