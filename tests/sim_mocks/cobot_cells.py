"""Mock cobot cells for tests, and a raw CAN client that speaks nothing but frames."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import can
import numpy as np

from drivers.contract import Array
from sim_mocks.cobot.config import CobotMockConfig
from sim_mocks.config import FtConfig, MockConfig
from sim_mocks.faults import Fault
from sim_mocks.host import CooperativeHost
from sim_mocks.operations import LocalControl
from sim_mocks.world import ArmWorld, WorldConfig

URDF = files("hil").joinpath("models/cobot6.urdf").read_text(encoding="utf-8")
Q0 = (0.3, -1.9, -1.9, -0.9, 1.57, 0.0)
_CHANNELS = itertools.count()


class Flywheels:
    """An :class:`sim_mocks.world.ArmWorld` of six flywheels with some viscous friction: cheap, and exact to foresee."""

    inertia = np.array([2.0, 2.0, 1.0, 0.2, 0.2, 0.2])
    load = np.zeros(6)
    """Constant torque on the joints, N·m, as gravity would be."""

    def __init__(self, dt: float = 1e-3) -> None:
        self.n, self.dt = 6, dt
        self.q, self.qd = np.zeros(6), np.zeros(6)
        self.tau_link = self.tau_ext = np.zeros(6)
        self.wrench_sensor = self.wrench_contact = np.zeros(6)
        self.tau: Array = np.zeros(6)
        self.braked: tuple[bool, ...] = (True,) * 6

    def step(self, tau_motor: Array, braked: bool | Sequence[bool]) -> None:
        self.tau = tau_motor
        self.braked = mask = (braked,) * 6 if isinstance(braked, bool) else tuple(braked)
        qdd = (tau_motor + self.load) / self.inertia
        self.qd = np.where(mask, 0.0, self.qd + self.dt * qdd)
        self.q = self.q + self.dt * self.qd

    def push(self, wrench: Array | None) -> None:
        self.load = np.zeros(6) if wrench is None else wrench

    def attach(self, mass: float, com: Array) -> None: ...

    def release(self) -> None: ...

    def grasp(self) -> bool:
        return False

    def let_go(self) -> None: ...

    def object_pose(self) -> None: ...

    def pose(self) -> tuple[Array, Array]:
        return np.zeros(3), np.eye(3)

    def close(self) -> None: ...


class RawSlcan:
    """The host's end of a Lawicel adapter, for clients in lockstep: reads until there is nothing more."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._rest = b""
        self._waiting: list[can.Message] = []
        os.write(self._fd, b"C\rS8\rO\r")

    def send(self, message: can.Message, timeout: float | None = None) -> None:
        line = f"t{message.arbitration_id:03X}{message.dlc}{message.data.hex()}\r"
        os.write(self._fd, line.encode())

    def recv(self, timeout: float) -> can.Message | None:
        while not self._waiting:
            try:
                self._rest += os.read(self._fd, 65536)
            except BlockingIOError:
                return None
            *lines, self._rest = self._rest.split(b"\r")
            for line in lines:
                if line[:1] == b"t":
                    data = bytes.fromhex(line[5:].decode())
                    self._waiting.append(can.Message(arbitration_id=int(line[1:4], 16), data=data))
        return self._waiting.pop(0)

    def shutdown(self) -> None:
        os.close(self._fd)


def cobot_config(
    profile: str = "ideal",
    *,
    seed: int = 0,
    ft: bool = False,
    faults: tuple[Fault, ...] = (),
    control_dir: str = "",
    paced: bool = False,
    **cobot: Any,
) -> MockConfig:
    """A cobot in free air with a tool of 1.2 kg, on a ``virtual`` channel of its own unless said otherwise."""
    world = WorldConfig(
        urdf=URDF,
        q0=Q0,
        tool_mass=1.2,
        tool_com=(0.0, 0.002, 0.06),
        tool_inertia=((2e-3, 0.0, 0.0), (0.0, 2e-3, 0.0), (0.0, 0.0, 1e-3)),
        tcp_pos=(0.0, 0.0, 0.12),
        device="cobot",
        profile=profile,
        seed=seed,
    )
    drives = CobotMockConfig(transport="virtual", channel=f"test-{os.getpid()}-{next(_CHANNELS)}")
    return MockConfig(
        world, seed, None, FtConfig(profile=profile) if ft else None, faults, control_dir=control_dir, paced=paced,
        cobot=replace(drives, **cobot),
    )  # fmt: skip


class Master:
    """The least that a supervisor does, in lockstep with the cell in the same thread: PDOs packed by hand."""

    RPDO, TPDO = struct.Struct("<Hh"), struct.Struct("<ihH")

    def __init__(self, config: MockConfig, world: ArmWorld | None = None) -> None:
        self.cell = CooperativeHost(config, world)
        self.control = LocalControl(self.cell)
        self.n = self.cell.world.n
        self.buses = [self._open(where) for where in self.control.hello()["can"]]
        self.nodes = [(joint.channel, joint.node) for joint in config.cobot.joints] if config.cobot else []
        self.heard: list[tuple[int, int, bytes]] = []
        self.feedback: dict[int, tuple[int, int, int]] = {}
        """Counts, per mille and statusword of each joint's newest TPDO1."""
        self.fresh: set[int] = set()

    @staticmethod
    def _open(where: dict[str, Any]) -> Any:
        options: dict[str, Any] = dict(where)
        if options["interface"] == "slcan":
            return RawSlcan(options["channel"])
        if options["interface"] == "udp_multicast":
            options |= {"hop_limit": 0, "fd": False}
        return can.Bus(**options)

    def send(self, can_id: int, data: bytes, channel: int = 0) -> None:
        self.buses[channel].send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False), 1.0)

    def cycle(self) -> None:
        """One period of the cell, and all that it brought."""
        self.cell.cycle()
        self.fresh.clear()
        for channel, bus in enumerate(self.buses):
            while (message := bus.recv(0)) is not None:
                if message.is_error_frame:
                    self.heard.append((channel, 0x2000_0000 | message.arbitration_id, bytes(message.data)))
                    continue
                can_id = message.arbitration_id
                self.heard.append((channel, can_id, bytes(message.data)))
                joint = self._joint(channel, can_id - 0x180)
                if joint is not None and message.dlc == 8:
                    self.feedback[joint] = self.TPDO.unpack(message.data)
                    self.fresh.add(joint)

    def sync(self, words: list[int] | None = None, targets: list[int] | None = None) -> None:
        """RPDOs (where ``words`` are given), SYNC, one period."""
        if words is not None:
            for (channel, node), word, target in zip(self.nodes, words, targets or [0] * self.n, strict=True):
                self.send(0x200 + node, self.RPDO.pack(word, target), channel)
        for channel in range(len(self.buses)):
            self.send(0x080, b"", channel)
        self.cycle()

    def sdo(self, joint: int, request: bytes) -> bytes:
        """One SDO frame to a joint and the answer to it."""
        channel, node = self.nodes[joint]
        self.heard.clear()
        self.send(0x600 + node, request.ljust(8, b"\0"), channel)
        for _ in range(10):
            self.cycle()
            for where, can_id, data in self.heard:
                if where == channel and can_id == 0x580 + node:
                    return data
        raise AssertionError(f"no answer to {request.hex()}")

    def write(self, joint: int, index: int, sub: int, value: int, size: int) -> int:
        """Expedited download; abort code, 0 where it was taken."""
        head = struct.pack("<BHB", 0x23 | (4 - size) << 2, index, sub)
        reply = self.sdo(joint, head + value.to_bytes(4, "little", signed=value < 0)[:size])
        return int.from_bytes(reply[4:], "little") if reply[0] == 0x80 else 0

    def read(self, joint: int, index: int, sub: int = 0) -> int:
        """Expedited upload of an unsigned value; a negative number is an abort code."""
        reply = self.sdo(joint, struct.pack("<BHB", 0x40, index, sub))
        if reply[0] == 0x80:
            return -int.from_bytes(reply[4:], "little")
        return int.from_bytes(reply[4 : 8 - (reply[0] >> 2 & 3)], "little")

    def remap(self, joint: int, comm: int, mapping: int, cob: int, kind: int, words: list[int], timer: int = 0) -> None:
        """Give a PDO another map by the book."""
        steps = [(comm, 1, 0x8000_0000 | cob, 4), (mapping, 0, 0, 1), (comm, 2, kind, 1)]
        steps += [(mapping, k, word, 4) for k, word in enumerate(words, 1)]
        steps += [(mapping, 0, len(words), 1), (comm, 5, timer, 2), (comm, 1, cob, 4)]
        for index, sub, value, size in steps:
            code = self.write(joint, index, sub, value, size)
            assert code == 0, f"joint {joint + 1}: 0x{index:04X}:{sub} = 0x{value:X}: abort 0x{code:08X}"

    def bring_up(self, *, mode: int = 10, deadline_ms: int = 10, slow: bool = True) -> None:
        """The plan: RPDO1 controlword + target, TPDO1 position + torque + statusword, TPDO2 every fifth SYNC."""
        for _ in range(30):
            self.cycle()
        for joint, (_, node) in enumerate(self.nodes):
            self.remap(joint, 0x1400, 0x1600, 0x200 + node, 1, [0x60400010, 0x60710010], deadline_ms)
            self.remap(joint, 0x1800, 0x1A00, 0x4000_0180 + node, 1, [0x60640020, 0x60770010, 0x60410010])
            if slow:
                self.remap(joint, 0x1801, 0x1A01, 0x4000_0280 + node, 5, [0x606C0020, 0x60780010, 0x60610008])
            assert self.write(joint, 0x6060, 0, mode, 1) == 0
        for channel in range(len(self.buses)):
            self.send(0x000, b"\x01\x00", channel)

    def enable(self, targets: list[int] | None = None) -> None:
        """Through the state machine to OPERATION ENABLED."""
        for word in (0x06, 0x07, 0x0F, 0x0F, 0x0F):
            self.sync([word] * self.n, targets)
        assert all(word & 0x6F == 0x27 for _, _, word in self.feedback.values()), self.feedback

    def _joint(self, channel: int, node: int) -> int | None:
        return self.nodes.index((channel, node)) if (channel, node) in self.nodes else None

    def close(self) -> None:
        for bus in self.buses:
            bus.shutdown()
        self.cell.close()
