"""What a robot arm and a wrench sensor are to the rest of the toolkit.

A third party writes a driver by implementing :class:`RobotArm` or :class:`WrenchSensor`; nothing else of the
toolkit needs to know about the device. Units are SI, arrays are ``float64``; joint vectors have shape ``(n,)``,
wrenches ``(6,)`` as ``[Fx Fy Fz Mx My Mz]``.

Signs: ``M(q) qdd + C(q, qd) qd + g(q) = tau + tau_ext − tau_residual``, so ``tau`` is positive where the motor
pushes the joint in its positive direction and ``tau_ext`` where the environment does. Samples are read-only by
agreement (not frozen: a frozen dataclass costs microseconds in every cycle).

Before the first frame a sample holds NaN, ``valid=False`` and ``seq=-1``: "no frame yet" never reads as zeros.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class StopCategory(enum.IntEnum):
    """Stop categories in the vocabulary of IEC 60204-1; a PC program only *requests* them."""

    OFF_NOW = 0
    """Power away at once."""
    STOP_THEN_OFF = 1
    """Controlled stop with power, then power away."""
    STOP_AND_HOLD = 2
    """Controlled stop, power stays and the arm is held."""


class StopAction(enum.Enum):
    """What a stop category turns into on one arm's wire."""

    BRAKE_AND_HOLD = "damped braking through the gate, then hold with the reference frozen"
    BRAKE_THEN_OFF = "damped braking through the gate, then RobotArm.off()"
    OFF = "RobotArm.off() at once"
    LOWER = "damped lowering under power (an arm without brakes)"


class ArmState(enum.IntEnum):
    """The state of the link to an arm, the same few words for every device."""

    DISCONNECTED = 0
    """Nothing heard yet, or the session was closed."""
    MONITORING = 1
    """Samples arrive, but the link or the robot is not fit for commands."""
    READY = 2
    """Samples arrive and commanding could begin."""
    SYNCHRONISING = 3
    """The robot is about to take commands; the driver mirrors its set-point by itself."""
    COMMANDED = 4
    """Each tick the arm does what is commanded."""


class SafetyState(enum.IntEnum):
    """The robot's own safety state as it reports it."""

    UNKNOWN = -1
    NORMAL = 0
    STOP_0 = 1
    STOP_1 = 2
    STOP_2 = 3


class OperationMode(enum.IntEnum):
    """Operating mode of the robot's cabinet."""

    UNKNOWN = -1
    T1 = 0
    T2 = 1
    AUTOMATIC = 2


@dataclass(frozen=True, slots=True, eq=False)
class PoseCommand:
    """A Cartesian pose, and as a value in a sample the same without being a command.

    Which point it is and in which axes is the robot's business (FRI: the frames of the motion that the overlay lies
    on); measured pose, set-point and command are in the same ones.
    """

    x: Array
    """Position (3,), m."""
    R: Array
    """Orientation (3, 3), a rotation matrix."""
    redundancy: float
    """What the pose leaves open, rad: on an arm of seven joints the position of ``ArmTraits.redundant_joint``; 0 on
    one without redundancy."""


@dataclass(slots=True, eq=False)
class RobotSample:
    """One tick of an arm. All joint vectors have shape ``(n,)``; NaN where a quantity is not known."""

    t_ns: int
    """Monotonic time (virtual time in lockstep) at which this tick was read, ns."""
    seq: int
    """The device's own counter of the newest frame; -1 before the first."""
    valid: bool
    """The newest frame passed every plausibility check of the driver."""
    fresh: bool
    """A new frame arrived in this tick."""
    age_ns: int
    """Now minus the arrival of the newest frame, ns; -1 before the first."""
    dt: float
    """Seconds of the device's time between the newest frame and the one before it; NaN before the second."""
    q: Array
    """Joint positions, rad."""
    qd: Array
    """Joint velocities, rad/s (estimated where the wire has none)."""
    qdd: Array
    """Joint accelerations, rad/s² (estimated)."""
    tau: Array
    """Measured joint torque, N·m, positive along +q, on the side that ``ArmTraits.torque_side`` names."""
    tau_ext_robot: Array
    """The robot's own estimate of the external torque, N·m; NaN where it gives none."""
    q_set: Array
    """The robot's own set-point without our overlay, rad; NaN where it gives none."""
    tau_accepted_lo: Array
    """Lower bound of the torque command that acts on the robot now (equal to ``_hi`` where it is known), N·m."""
    tau_accepted_hi: Array
    """Upper bound of the torque command that acts on the robot now, N·m."""
    q_ref_accepted: Array
    """The position reference that acts on the robot now, rad; NaN while none does."""
    state: ArmState
    t_device_ns: int = -1
    """The device's own time stamp, ns in the device's clock; -1 where it has none."""
    pose: PoseCommand | None = None
    """The pose that the robot itself reports as measured; None where it reports none, or takes no poses."""
    pose_ref_accepted: PoseCommand | None = None
    """The pose reference that acts on the robot now; None while none does."""


@dataclass(slots=True, eq=False)
class WrenchSample:
    """One poll of a wrench sensor, in the sensor's own frame.

    Polarity: the wrench that the tool and the environment exert on the sensor (a hanging tool pulls along
    gravity). Neither tare nor tool weight is taken off.
    """

    t_ns: int
    """Monotonic (virtual in lockstep) time of the poll, ns."""
    seq: int
    """Number of good frames received so far, counted from 0; -1 before the first."""
    valid: bool
    """The newest frame is finite, in range and not flagged by the device."""
    fresh: bool
    """At least one new good frame arrived in this poll."""
    age_ns: int
    """Now minus the arrival of the newest good frame, ns; -1 before the first."""
    wrench: Array
    """``[Fx Fy Fz Mx My Mz]`` in N and N·m, shape (6,)."""
    t_device_ns: int = -1
    """Device time stamp, unwrapped, ns; -1 where the device has none."""
    temperature: float = float("nan")
    """°C; NaN where the device does not measure it."""
    flags: frozenset[str] = frozenset()
    """Names of the device's status bits that are set, e.g. ``overrange``."""


@dataclass(frozen=True, slots=True, eq=False)
class TorqueCommand:
    """Joint torque in N·m (on an iiwa the overlay added to the robot's own control) with the position reference
    that accompanies it in rad: a spring set-point where the robot has stiffness, hence a command of its own."""

    tau: Array
    q_ref: Array


@dataclass(frozen=True, slots=True, eq=False)
class PositionCommand:
    """Joint positions, rad."""

    q_ref: Array


@dataclass(frozen=True, slots=True, eq=False)
class WrenchCommand:
    """Feed-forward wrench ``(6,)`` in N and N·m, with the position reference in rad."""

    wrench: Array
    q_ref: Array


@dataclass(frozen=True, slots=True, eq=False)
class MitCommand:
    """Per-joint position (rad), velocity (rad/s), stiffness (N·m/rad), damping (N·m·s/rad) and torque (N·m)."""

    q_ref: Array
    qd_ref: Array
    kp: Array
    kd: Array
    tau: Array


Command = TorqueCommand | PositionCommand | WrenchCommand | MitCommand | PoseCommand


@dataclass(frozen=True, slots=True, eq=False)
class PassedCommand:
    """A command that the gate has passed: the only value that :meth:`RobotArm.command` takes.

    Made by ``safety.gate.CommandGate`` and nowhere else; a test reads the source tree and proves it.
    """

    command: Command
    answers_seq: int
    """``RobotSample.seq`` of the sample it was judged against; drivers refuse it for any other."""


@dataclass(frozen=True, slots=True)
class ArmTraits:
    """What is fixed about an arm and its driver."""

    name: str
    n: int
    period: float
    """Nominal tick, s."""
    torque_side: str
    """``"link"`` (torque sensors behind the gear) or ``"motor"`` (motor current)."""
    adds: frozenset[str]
    """Terms that the robot adds to our torque: of ``gravity``, ``coriolis``, ``friction``, ``stiffness``."""
    commands: tuple[type, ...]
    """Kinds of command the driver takes."""
    brakes: bool
    """Holding brakes on every joint."""
    stops: Mapping[StopCategory, StopAction]
    redundant_joint: int | None = None
    """Joint, counted from 0, whose position the redundancy parameter of a pose is; None: the arm has none."""


class ProblemKind(enum.Enum):
    """What may be wrong with a part of a device, or with the line to it."""

    DRIVE_FAULT = "a drive reports a fault"
    NODE_LOST = "a node does not answer"
    NODE_RESTARTED = "a node started anew and lost its settings"
    NODE_STATE = "a node is in a state that it should not be in"
    NODE_CONFLICT = "two nodes answer for one"
    BUS = "the line itself is disturbed"
    ADAPTER_LOST = "the adapter is gone"


@dataclass(frozen=True, slots=True)
class DeviceProblem:
    """One thing that keeps a device from being commanded, for as long as it lasts."""

    kind: ProblemKind
    part: str
    """Which part, as a person finds it: ``node 3``, ``slcan /dev/ttyACM0``."""
    text: str
    """What was read and what was expected."""
    remedy: str
    joint: int | None = None
    """Joint, counted from 0; None where it is not about one joint."""


@dataclass(slots=True)
class LinkHealth:
    """Counters and states of one device's link since it was opened; read at any time, costs nothing."""

    frames: int = 0
    """Good frames received."""
    gaps: int = 0
    """Frames that the device's counter or clock says are missing."""
    late: int = 0
    """Frames that were already superseded by a newer one when they were read."""
    duplicates: int = 0
    reordered: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Refused frames or datagrams by reason."""
    unanswered: int = 0
    """Frames that got no answer of ours."""
    quality: float = float("nan")
    """Link quality from 0 (useless) to 1 (best), as the device states it."""
    tracking: float = float("nan")
    """The device's own tracking performance, 0…1."""
    safety: SafetyState = SafetyState.UNKNOWN
    mode: OperationMode = OperationMode.UNKNOWN
    drives_on: bool | None = None
    flags: frozenset[str] = frozenset()
    problems: tuple[DeviceProblem, ...] = ()
    """What is wrong with parts of the device now; each is a fault while commands are permitted."""


@runtime_checkable
class Ticks(Protocol):
    """Where a driver's time and waiting come from: the wall clock, a lockstep token, or a mock in this process."""

    def now_ns(self) -> int:
        """Monotonic time, ns (virtual in lockstep)."""
        ...

    def wait(self, fd: int, timeout_ns: int) -> bool:
        """Wait until ``fd`` is readable or the wait is over; True if it is readable.

        In wall-clock time the wait is over after ``timeout_ns``. In lockstep it is over when the next tick has
        come, whether or not it brought data, so that virtual time passes even when data was dropped.
        """
        ...


class Differentiator(Protocol):
    """Turns joint positions into velocities and accelerations (arrays in, arrays out)."""

    def update(self, q: Array, dt: float) -> tuple[Array, Array]:
        """``qd, qdd`` after ``dt`` seconds since the last update; both ``(n,)`` arrays are fresh copies."""
        ...

    def reset(self, q: Array) -> None:
        """Start anew at rest in ``q``."""
        ...


class RobotArm(Protocol):
    """A torque-controlled arm whose ticks drive the supervisor's cycle.

    Life: ``open`` → ``read`` each tick → ``enable`` when ``state`` is READY → ``command`` once in each tick whose
    sample says COMMANDED → ``off`` → ``close``. The driver keeps the link alive by itself in every other state.
    It never starts to command again by itself: after leaving COMMANDED, ``enable`` must be called anew.
    """

    traits: ArmTraits

    def open(self) -> None:
        """Take hold of the device. Raises ConnectError."""
        ...

    def read(self) -> RobotSample:
        """Block until the next tick, then return its sample. Never raises for what came over the wire."""
        ...

    def enable(self) -> None:
        """Allow commands from now on. Raises RefusedError unless the last state was READY or SYNCHRONISING."""
        ...

    def command(self, passed: PassedCommand) -> bool:
        """Send what the gate passed; whether it left this machine. Raises RefusedError if not enabled, not
        COMMANDED, or for another sample."""
        ...

    def off(self) -> None:
        """Category 0: take the power away by whatever this wire offers, at once; legal in every state."""
        ...

    def release(self) -> None:
        """After :meth:`off`: resume keeping the link alive (never commanding), so that the arm can be READY again."""
        ...

    def health(self) -> LinkHealth: ...

    def close(self) -> None:
        """Let go of the device, powerless; legal in every state and more than once."""
        ...


@runtime_checkable
class Reopens(Protocol):
    """A device that can be opened anew, after it was unplugged, between the cycles of a running cell."""

    trouble: str
    """Why the last attempt failed; empty if it did not."""

    @property
    def reopening(self) -> bool:
        """An attempt is under way."""
        ...

    def reopen(self) -> None:
        """Begin to open anew. Waits for nothing and never raises: every poll goes on with it by one step."""
        ...


@runtime_checkable
class HasIos(Protocol):
    """An arm whose link carries inputs and outputs of the robot."""

    def ios(self) -> Mapping[str, bool | int | float]:
        """Inputs and outputs by name, as the newest frame reports them."""
        ...


class WrenchSensor(Protocol):
    """A six-axis force/torque sensor, polled once in each cycle."""

    name: str
    rate: float
    """Sample rate, Hz, as the handshake fixed it."""

    def open(self) -> None:
        """Handshake until the stream runs. Raises ConnectError."""
        ...

    def poll(self) -> WrenchSample:
        """Read all that has arrived, without waiting, and return the newest. Never raises for wire content."""
        ...

    def health(self) -> LinkHealth: ...

    def close(self) -> None: ...
