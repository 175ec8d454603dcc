"""A raw FRI controller on the loopback and a driver whose waiting only polls: nothing sleeps, nothing runs beside."""

from __future__ import annotations

import json
import math
import select
import socket
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import PassedCommand, RobotSample, TorqueCommand
from drivers.fri.arm import FriArm
from drivers.fri.codec import CommandMsg, Monitoring, codec_for
from drivers.fri.traits import iiwa_traits

Q_MAX = np.radians([170.0, 120.0, 170.0, 120.0, 170.0, 120.0, 175.0])
QD_MAX = np.radians([85.0, 85.0, 100.0, 75.0, 130.0, 135.0, 135.0])
TAU_MAX = np.array([320.0, 320.0, 176.0, 176.0, 110.0, 40.0, 40.0])
Q0 = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7])
IPO = Q0 + 0.001
TAU_WIRE = np.array([1.5, -20.25, 3.75, 12.5, -0.5, 0.25, -0.125])
TAU_EXT = np.array([0.5, -0.25, 0.75, 0.5, -0.5, -0.25, -0.125])
IDLE, WAIT, READY, SYNC, ACTIVE = range(5)
PERIOD_NS = 1_000_000


def golden(kind: str | None = None, version: str = "1.15") -> list[dict[str, Any]]:
    """The vectors of one version, each with its bytes under ``data``."""
    path = Path(__file__).parents[2] / "data" / "fri_golden.json"
    vectors = [v for v in json.loads(path.read_text())["vectors"] if v["fri"] == version]
    for v in vectors:
        v["data"] = bytes.fromhex(v["hex"])
    return [v for v in vectors if kind in (None, v["kind"])]


class PollTicks:
    """Virtual time: each wait is one tick, and says whether something has arrived already."""

    def __init__(self) -> None:
        self.now = 0
        self.tick_ns = PERIOD_NS
        self.waits = 0

    def now_ns(self) -> int:
        return self.now

    def wait(self, fd: int, timeout_ns: int) -> bool:
        self.now += self.tick_ns
        self.waits += 1
        return bool(select.select([fd], [], [], 0)[0])


class BackwardDifference:
    """The simplest differentiator; records what it was given."""

    def __init__(self) -> None:
        self.q: np.ndarray | None = None
        self.dts: list[float] = []
        self.resets = 0

    def reset(self, q: np.ndarray) -> None:
        self.q = q.copy()
        self.resets += 1

    def update(self, q: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
        assert self.q is not None
        self.dts.append(dt)
        qd = (q - self.q) / dt
        self.q = q.copy()
        return qd, np.zeros_like(q)


class Controller:
    """Sends monitoring datagrams as told and reads the answers."""

    def __init__(self, version: str = "1.15") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.codec = codec_for(version)
        self.seq = 0
        self.reflected = 0
        self.to: tuple[str, int] = ("127.0.0.1", 0)

    def frame(self, session: int, **changes: Any) -> Monitoring:
        """A sound frame of that session state with the next counter; ``changes`` replace fields."""
        commanding = session >= SYNC
        m = Monitoring(
            seq=self.seq,
            reflected_seq=self.reflected,
            session_state=session,
            quality=3,
            send_period_ms=1,
            receive_multiplier=1,
            n_joints=7,
            safety_state=0,
            operation_mode=0,
            control_mode=2,
            drive_state=[2] * 7,
            q=Q0,
            tau_measured=TAU_WIRE,
            q_commanded=Q0 + 0.002,
            tau_commanded=TAU_WIRE,
            tau_external=TAU_EXT,
            q_ipo=IPO if commanding else None,
            client_command_mode=3 if commanding else 0,
            overlay_type=1 if commanding else 0,
            tracking=1.0 if session == ACTIVE else 0.0,
            t_device_ns=1_700_000_000_000_000_000 + self.seq * PERIOD_NS,
        )
        self.seq = (self.seq + 1) & 0xFFFFFFFF
        for name, value in changes.items():
            setattr(m, name, value)
        return m

    def send(self, session: int, **changes: Any) -> Monitoring:
        m = self.frame(session, **changes)
        self.raw(self.codec.encode_monitoring(m))
        return m

    def raw(self, data: bytes) -> None:
        self.socket.sendto(data, self.to)

    def answers(self) -> list[CommandMsg]:
        """Every answer that has arrived; the last one's counter is what the next frames reflect."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(self.codec.decode_command(self.socket.recv(2048)))
            self.reflected = found[-1].seq
        return found


class Rig:
    """Controller, driver and virtual time together."""

    def __init__(
        self, peer: tuple[str, int] | str | None = None, version: str = "1.15", mode: str = "torque", **more: Any
    ) -> None:
        self.controller = Controller(version)
        self.ticks = PollTicks()
        self.differentiator = BackwardDifference()
        if peer == "controller":
            peer = self.controller.socket.getsockname()
        assert not isinstance(peer, str)
        self.arm = FriArm(
            "127.0.0.1",
            0,
            peer,
            version,
            self.differentiator,
            self.ticks,
            iiwa_traits("iiwa", 1e-3 * more.get("receive_multiplier", 1), command_mode=mode),
            q_max=Q_MAX,
            qd_max=QD_MAX,
            tau_max=TAU_MAX,
            **more,
        )
        self.arm.open()
        self.controller.to = self.arm.address

    def tick(self, session: int, **changes: Any) -> RobotSample:
        """One frame sent, one sample read."""
        self.controller.send(session, **changes)
        return self.arm.read()

    def until_commanded(self) -> RobotSample:
        """Through READY, enable and synchronisation; returns the first sample in COMMANDED, unanswered."""
        self.tick(WAIT)
        self.tick(READY)
        self.arm.enable()
        self.controller.answers()
        for _ in range(3):
            self.tick(SYNC)
            self.controller.answers()
        return self.tick(ACTIVE)

    def command(self, sample: RobotSample, tau: np.ndarray | float = 0.0, q_ref: np.ndarray = IPO) -> None:
        self.arm.command(passed(sample.seq, np.full(7, tau) if np.isscalar(tau) else tau, q_ref))

    def close(self) -> None:
        self.arm.close()
        self.controller.socket.close()


def passed(seq: int, tau: Any, q_ref: Any = IPO) -> PassedCommand:
    return PassedCommand(TorqueCommand(tau, q_ref), seq)


def finite(command: CommandMsg) -> bool:
    return all(part is None or all(map(math.isfinite, part)) for part in (command.q, command.tau, command.wrench))
