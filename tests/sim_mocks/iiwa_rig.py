"""A controller with seven masses on rails instead of an arm: what it does can be computed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drivers.contract import Array
from drivers.fri.codec import Monitoring, codec_for
from sim_mocks.config import IiwaConfig
from sim_mocks.iiwa import FriController
from sim_mocks.iiwa_dynamics import ControllerPhysics

INERTIA = np.array([0.26, 1.59, 0.095, 0.38, 0.025, 0.026, 0.0019])
GRAVITY = np.array([0.0, 30.0, 0.0, -20.0, 0.5, 2.0, 0.0])
Q0 = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7])
Q_MAX = np.radians([170.0, 120.0, 170.0, 120.0, 170.0, 120.0, 175.0])
QD_MAX = np.radians([85.0, 85.0, 100.0, 75.0, 130.0, 135.0, 135.0])
TAU_MAX = np.array([320.0, 320.0, 176.0, 176.0, 110.0, 40.0, 40.0])
RATE_MAX = 1500.0
DT_NS = 1_000_000
ZERO = np.zeros(7)


class ConstantGravity:
    """The same gravity torque everywhere."""

    def gravity(self, q: Array) -> Array:
        return GRAVITY.copy()


class RailWorld:
    """Seven double integrators under a constant load; brakes stop them at once."""

    n = 7
    dt = 1e-3

    def __init__(self) -> None:
        self.q, self.qd = Q0.copy(), np.zeros(7)
        self.tau_link = GRAVITY.copy()
        self.tau_ext = np.zeros(7)
        self.wrench_sensor = np.zeros(6)
        self.wrench_contact = np.zeros(6)

    def step(self, tau_motor: Array, braked: bool) -> None:
        if braked:
            self.qd, self.tau_link = np.zeros(7), GRAVITY - self.tau_ext
        else:
            self.qd = self.qd + self.dt * (tau_motor - GRAVITY + self.tau_ext) / INERTIA
            self.tau_link = tau_motor
        self.q = self.q + self.dt * self.qd

    def push(self, wrench: Array | None) -> None:
        """The wrench acts on the first six joints directly."""
        self.tau_ext = np.zeros(7)
        self.wrench_contact = np.zeros(6)
        if wrench is not None:
            self.tau_ext[:6] = wrench
            self.wrench_contact = wrench

    def attach(self, mass: float, com: Array) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def grasp(self) -> bool:
        raise NotImplementedError

    def let_go(self) -> None:
        raise NotImplementedError

    def object_pose(self) -> None:
        return None

    def pose(self) -> tuple[Array, Array]:
        return np.zeros(3), np.eye(3)

    def close(self) -> None:
        pass


Answer = Callable[[Monitoring], bytes | None]


class Rig:
    """Controller and rails, stepped with bytes; keeps what the joints felt."""

    def __init__(
        self, config: IiwaConfig | None = None, physics: ControllerPhysics | None = None, seed: int = 0
    ) -> None:
        self.world = RailWorld()
        self.config = config or IiwaConfig()
        limits = (-Q_MAX, Q_MAX, QD_MAX, TAU_MAX)
        rng = np.random.default_rng(seed)
        self.controller = FriController(
            self.config, physics or ControllerPhysics.ideal(), ConstantGravity(), limits, 1e-3, rng
        )
        self.codec = codec_for("1.15")
        self.t_ns = 0
        self.client_seq = 0
        self.inbox: list[bytes] = []
        self.tau: list[Array] = []
        self.overlay: list[Array] = []
        self.braked: list[bool] = []
        self.states: list[int] = []
        self.last: Monitoring | None = None
        self.controller.open_session(0)

    def tick(self) -> Monitoring | None:
        """One tick; what the controller sent."""
        inbox, self.inbox = self.inbox, []
        for data in inbox:
            self.controller.receive(data, self.t_ns)
        tau, braked = self.controller.control(self.t_ns, self.world.q, self.world.qd)
        self.world.step(tau, braked)
        self.t_ns += DT_NS
        packet = self.controller.emit(self.t_ns, self.world.q, self.world.tau_link)
        self.tau.append(tau)
        self.overlay.append(self.controller.joints.overlay)
        self.braked.append(braked)
        self.states.append(int(self.controller.state))
        self.last = None if packet is None else self.codec.decode_monitoring(packet)
        return self.last

    def send(self, reflected: int, q: Sequence[float] | Array | None, tau: Sequence[float] | Array | None) -> None:
        """Put a command into the controller's inbox."""
        self.inbox.append(self.codec.encode_command(self.client_seq, reflected, q, tau))
        self.client_seq += 1

    def run(self, ticks: int, tau: Array = ZERO, q_ref: Array | None = None) -> None:
        """Answer every packet as its state demands."""
        for _ in range(ticks):
            seen = self.tick()
            if seen is None or seen.session_state == 0:
                continue
            commanding = seen.session_state >= 3
            active = seen.session_state == 4
            q = q_ref if active and q_ref is not None else seen.q_ipo
            self.send(seen.seq, q if commanding else None, (tau if active else ZERO) if commanding else None)

    def activate(self, stiffness: Sequence[float] = (0.0,) * 7, damping: Sequence[float] = (0.0,) * 7) -> None:
        """Bring the session to COMMANDING_ACTIVE with good quality."""
        self.run(150)
        self.controller.start_overlay(self.t_ns, stiffness=stiffness, damping=damping)
        self.run(150)
        assert self.states[-1] == 4

    def felt(self) -> tuple[float, float]:
        """Largest motor torque and torque rate as a share of their limits."""
        tau = np.array(self.tau)
        rate = np.abs(np.diff(tau, axis=0, prepend=np.zeros((1, 7)))) / 1e-3
        return float((np.abs(tau) / TAU_MAX).max()), float(rate.max() / RATE_MAX)
