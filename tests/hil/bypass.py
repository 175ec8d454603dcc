"""A cell whose controller is an adversary, with eyes on the gate, on the wire and on the motors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from drivers.contract import ArmTraits, Array, PassedCommand, RobotSample, TorqueCommand
from estimators.rigid_body import Dynamics
from hil.cell import Cell
from safety.faults import FaultCode
from safety.gate import CommandGate, Refusal
from safety.limits import IIWA14_R820
from safety.states import State
from tests.hil.running import Running, shipped
from tests.sim_mocks.raw_fri import fields

RATE_MAX = 1500.0
"""What the mock's motors may do at most, N·m/s."""
HAIR = 1.0 + 1e-9
Pair = tuple[bytes, bytes]
"""Torque and position reference of a command, to the last bit."""
Wish = Callable[[int, RobotSample, Dynamics], Any]
_CONTENT = (
    "overlay torque", "commanded position", "illegal axis delta", "step of the commanded position", "torque rate",
    "total torque", "inconsistent command", "invalid command", "jointPosition", "jointTorque",
)  # fmt: skip


def quiet(k: int, sample: RobotSample, dyn: Dynamics) -> Array:
    """A wish for no torque at all."""
    return np.zeros(7)


class Adversary:
    """A controller that wants whatever it is told to want; ``k`` counts its cycles since :meth:`want`."""

    kind = "joint"

    def __init__(self) -> None:
        self.want(quiet)

    def want(self, wish: Wish) -> None:
        self._wish, self._k = wish, -1

    def reset(self, sample: RobotSample, dyn: Dynamics, tau_initial: Array | None = None) -> None:
        """Remembers nothing."""

    def torque(
        self, sample: RobotSample, dyn: Dynamics, reference: object, wrench_measured: Array | None, dt: float
    ) -> Any:
        self._k += 1
        return self._wish(self._k, sample, dyn)


class NoSaturation:
    """Hands wishes on to the gate as they are; a stop's braking goes through the real saturation."""

    def __init__(self, cell: Bypass, reference: Callable[[int, Array], Array]) -> None:
        self._cell, self._reference, self._real = cell, reference, cell.parts.saturation

    def apply(self, tau: Any, q_ref: Array, sample: RobotSample, g: Array, now_ns: int) -> Any:
        if self._cell.supervisor.state is State.STOPPING:
            return self._real.apply(tau, q_ref, sample, g, now_ns)
        return tau, self._reference(self._cell.adversary._k, q_ref), np.zeros(7, dtype=np.int64)


class Bypass(Running):
    """A running cell with an :class:`Adversary` for its controller."""

    def __init__(
        self,
        overrides: dict[str, Any] | None = None,
        stiffness: float = 0.0,
        saturated: bool = True,
        reference: Callable[[int, Array], Array] = lambda k, q: q,
    ) -> None:
        super().__init__(tightened(shipped(), overrides or {}, stiffness))
        self.limits = self.cell.robot.joint_limits
        self.adversary = Adversary()
        self.parts.controllers = {"joint": self.adversary, "cartesian": self.adversary}  # type: ignore[dict-item]
        if not saturated:
            self.parts.saturation = NoSaturation(self, reference)  # type: ignore[assignment]
        self.passed: set[Pair] = set()
        self.refused: set[Pair] = set()
        self.batches: list[list[FaultCode]] = []
        """Faults in the order in which they were found, those found together together."""
        self.wire: list[tuple[Array | None, Array | None]] = []
        """Torque and position of every datagram that reached the robot."""
        self._watch_gate()
        self._watch_wire()

    def replace_gate(self, traits: ArmTraits) -> None:
        """A gate for an arm with other traits."""
        self.parts.gate = CommandGate(self.limits, traits, np.array(self.cell.robot.stiffness))
        self._watch_gate()

    def _watch_gate(self) -> None:
        judge = self.parts.gate.judge

        def judged(command: TorqueCommand, *args: Any, **kwargs: Any) -> PassedCommand | Refusal:
            verdict = judge(command, *args, **kwargs)
            if isinstance(verdict, Refusal):
                self.refused.add(pair(command.tau, command.q_ref))
            else:
                assert isinstance(verdict.command, TorqueCommand)
                self.passed.add(pair(verdict.command.tau, verdict.command.q_ref))
            return verdict

        self.parts.gate.judge = judged  # type: ignore[method-assign]

    def _watch_wire(self) -> None:
        trip, receive = self.supervisor.trip, self.mock.controller.receive

        def tripped(faults: Any) -> None:
            self.batches.append([fault.code for fault in faults])
            trip(faults)

        def received(data: bytes, t_ns: int) -> None:
            content = fields(fields(data).get(2, [b""])[0])
            joints = {number: np.array(fields(content[number][0])[1]) for number in (1, 3) if number in content}
            self.wire.append((joints.get(3), joints.get(1)))
            receive(data, t_ns)

        self.supervisor.trip = tripped  # type: ignore[method-assign]
        self.mock.controller.receive = received  # type: ignore[method-assign]

    def check(self) -> None:
        """What must hold whatever happened. Motor torque and its rate are the mock's truth, not our opinion."""
        truth, limits, period = self.truth(), self.limits, self.parts.arm.traits.period
        tau, overlay = truth["tau_motor"], truth["overlay"]
        assert np.isfinite(tau).all()
        assert (np.abs(tau) <= IIWA14_R820.tau_max * HAIR).all()
        assert np.abs(np.diff(tau, axis=0, prepend=np.zeros((1, 7)))).max() <= RATE_MAX * period * HAIR
        # The overlay is what the gate has power over; its own limits are the tighter ones.
        assert (np.abs(overlay) <= limits.tau_cmd_max * HAIR).all()
        active = truth["session_state"] == 4
        steps = np.abs(np.diff(overlay, axis=0))[active[1:] & active[:-1]]
        assert (steps <= limits.tau_rate_max * period * HAIR).all()
        for tau_sent, q_sent in self.wire:
            assert q_sent is None or np.isfinite(q_sent).all()
            # A torque on the wire is the zero of the synchronisation, or the gate has passed exactly this.
            if tau_sent is not None and tau_sent.any():
                assert pair(tau_sent, q_sent) in self.passed
                assert pair(tau_sent, q_sent) not in self.refused
        # The robot never had to refuse what was in a command.
        assert not [text for _, text in self.mock.controller.errors if text.startswith(_CONTENT)]

    def braked(self) -> bool:
        return self.braked_since() is not None


def pair(tau: Any, q_ref: Any) -> Pair:
    """A command as bytes: comparable even where it is nonsense."""
    return tuple(x.tobytes() if isinstance(x, np.ndarray) else repr(x).encode() for x in (tau, q_ref))  # type: ignore[return-value]


def tightened(cell: Cell, overrides: dict[str, Any], stiffness: float = 0.0) -> Cell:
    """``cell`` with tighter limits (a single number holds for every joint) and a spring of the robot's own."""
    robot = cell.robot
    names = {k: (v,) * 7 if k not in ("window", "total_margin") and isinstance(v, float) else v
             for k, v in overrides.items()}  # fmt: skip
    limits = robot.limits.model_copy(update={"overrides": robot.limits.overrides.model_copy(update=names)})
    spring = {"stiffness": (stiffness,) * 7, "damping": (0.05 * stiffness,) * 7}
    return cell.model_copy(update={"robot": robot.model_copy(update={"limits": limits, **spring})})
