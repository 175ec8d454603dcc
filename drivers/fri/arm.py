"""Driver of an LBR iiwa through FRI: torque, joint-position, wrench or pose overlay, inputs and outputs.

Signs: on the wire ``measuredTorque`` carries the opposite sign of a commanded torque, so ``RobotSample.tau`` is its
negative; ``externalTorque`` already is positive where the environment pushes the joint in its positive direction.

The controller speaks first and this side only ever answers. Category 0 on this wire is therefore silence: the
controller bridges a moment, then ends the motion and brakes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drivers.contract import (
    ArmState,
    ArmTraits,
    Array,
    Differentiator,
    LinkHealth,
    PassedCommand,
    PoseCommand,
    RobotSample,
    Ticks,
)
from drivers.errors import ConnectError, ProtocolError, RefusedError
from drivers.fri import status
from drivers.fri.codec import codec_for
from drivers.fri.measurement import Measurement
from drivers.fri.modes import MOMENT_ORDERS, check_entry, mode_of, payload
from drivers.fri.outputs import Outputs, Value, values
from drivers.fri.plausibility import Plausibility
from drivers.fri.poses import from_wire, set_point
from drivers.fri.receiver import Receiver
from drivers.fri.records import Monitoring
from drivers.fri.session import Session
from drivers.fri.udp import Address, PeerSocket
from drivers.fri.versions import recognise
from drivers.fri.wire import IoType, SessionState

SILENCE_NS = 1_000_000_000
"""Silence after which the session counts as closed and a controller may start anew with any counter."""


class FriArm:
    """:class:`drivers.contract.RobotArm` on every FRI version of :data:`drivers.fri.versions.VERSIONS`.

    ``host``, ``port``: where to listen (port 0: an ephemeral one, see :attr:`address`). ``peer``: the controller's
    address; None locks to the first sender of a good frame, port 0 to the first port of that host. ``q_max`` (rad,
    half the mechanical range), ``qd_max`` (rad/s), ``tau_max`` (N·m), all (7,): data sheet figures by which frames
    are judged plausible. ``receive_multiplier``: packets for each answer; a read waits for that many, so that
    ``traits.period`` is the send period times it. ``traits.commands`` names the client command mode. ``moment_order``:
    ``"xyz"`` or ``"zyx"``, as measured on this robot; None refuses moments. ``outputs``: those that may be written.
    Raises ProtocolError for an unknown ``version``, ValueError for other parameters that FRI does not have.

    ``RobotSample.dt`` counts from the last *valid* frame; an invalid frame keeps the last valid arrays.
    """

    def __init__(
        self,
        host: str,
        port: int,
        peer: Address | None,
        version: str,
        differentiator: Differentiator,
        ticks: Ticks,
        traits: ArmTraits,
        *,
        q_max: Array,
        qd_max: Array,
        tau_max: Array,
        receive_multiplier: int = 1,
        moment_order: str | None = None,
        outputs: Mapping[str, IoType] | None = None,
    ) -> None:
        if receive_multiplier < 1:
            raise ValueError(f"receive multiplier {receive_multiplier}: FRI counts from 1")
        if moment_order not in (None, *MOMENT_ORDERS):
            raise ValueError(f"moment order {moment_order!r}: there are {', '.join(MOMENT_ORDERS)}, and None")
        self.traits = traits
        self._version = version
        self._mode = mode_of(traits)
        self._codec = codec_for(version)
        if self._mode.by_pose and not self._codec.has_pose:
            raise ValueError(f"FRI {version} carries no Cartesian poses, FRI 2 does: choose another command mode")
        self._multiplier = receive_multiplier
        self._send_period = traits.period / receive_multiplier
        self._moment_order = moment_order
        self._outputs = Outputs(outputs or {})
        self._link = PeerSocket(host, port, peer)
        self._differentiator = differentiator
        self._ticks = ticks
        self._plausibility = Plausibility(q_max, qd_max, tau_max)
        self._wait_ns = int(1.5e9 * traits.period)
        self._tick_ns = int(0.75e9 * traits.period)
        self._fd = -1
        self._no_joints = np.full(traits.n, np.nan)
        self._reset()

    def _reset(self) -> None:
        self._health = LinkHealth()
        self._reporter = status.Reporter(self._health, self._send_period, self._version)
        self._receiver = Receiver(self._link, self._codec, self._health)
        self._session = Session(self.traits.n, self._mode, self._multiplier, self._send_period)
        self._measured = Measurement(self.traits.n, self._send_period, self._differentiator, self._plausibility)
        self._frame: Monitoring | None = None
        self._frame_ns = -1
        self._t_ns = self._ticks.now_ns()
        self._pending = False  # the newest frame waits for command()
        self._own_seq = 0  # counter of our next answer
        self._pose: PoseCommand | None = None
        self._pose_ref: tuple[Array, PoseCommand] | None = None  # the acting set-point and what it says

    @property
    def address(self) -> Address:
        """(host, port) on which this side listens."""
        return self._link.address

    @property
    def session_state(self) -> int:
        """The controller's own session state (:class:`drivers.fri.wire.SessionState`); -1 before the first frame."""
        return self._session.reported

    @property
    def frame(self) -> Monitoring | None:
        """The newest frame, in the units and signs of the wire; None before the first."""
        return self._frame

    @property
    def other_versions(self) -> frozenset[str] | None:
        """The FRI versions of a stream that is not of the cell's version; None where it is, or nothing came."""
        strange = self._receiver.strange
        return None if strange is None else recognise(strange)

    @property
    def enabled(self) -> bool:
        """:meth:`enable` was called and nothing has withdrawn it since."""
        return self._session.enabled

    def open(self) -> None:
        """Bind the socket. Raises ConnectError if that fails or the driver is open already."""
        if self._link.is_open:
            raise ConnectError("this FRI driver is open already; close() it first")
        self._fd = self._link.open()
        self._reset()

    def close(self) -> None:
        """Stop answering and free the port; the controller ends a motion under way by itself."""
        self._link.close()
        self._fd = -1
        self._pending = False
        self._outputs.clear()
        self._session.lost()

    def off(self) -> None:
        """Category 0: no answer from now on, in any state, until :meth:`release`."""
        self._session.switch_off()
        self._outputs.clear()
        if self._pending:
            self._pending = False
            self._health.unanswered += 1

    def release(self) -> None:
        """Answer monitoring frames again. Commands still need :meth:`enable`."""
        self._session.off = False

    def enable(self) -> None:
        """Allow commands. Raises RefusedError while off or unless the last state was READY or SYNCHRONISING."""
        session = self._session
        if session.off:
            raise RefusedError("enable() after off(): call release() first and wait until the arm is READY")
        if session.state not in (ArmState.READY, ArmState.SYNCHRONISING):
            reasons = "; ".join(sorted(self.health().flags)) or "wait for it in read()"
            raise RefusedError(
                f"enable() needs the state READY or SYNCHRONISING, it is {session.state.name}: {reasons}"
            )
        session.enabled = True

    def health(self) -> LinkHealth:
        """The driver's own record, updated in place: copy what must last."""
        self._reporter.report(self._frame, self._session, self._receiver.strange)
        return self._health

    def ios(self) -> dict[str, Value]:
        """Inputs and outputs by name as the newest frame reports them: bool, int or float by their type."""
        return {} if self._frame is None else values(self._frame.ios)

    def write_output(self, name: str, value: Value) -> None:
        """Write a declared output with the coming answers, until the controller reports the value.

        Raises RefusedError, and writes nothing: off, no session, FRI 1.11, a name that is not declared or that the
        controller does not offer as an output of that type, a value of another type.
        """
        m = self._frame
        if self._session.off or m is None or self._session.state is ArmState.DISCONNECTED:
            raise RefusedError(f"write_output({name!r}) in state {self._session.state.name}: no answer is sent now")
        if not self._codec.has_ios:
            raise RefusedError(f"FRI {self._version} carries no inputs and outputs")
        self._outputs.write(name, value, m.ios)

    def read(self) -> RobotSample:
        """Wait for the next frame that wants an answer (one and a half periods at most), answer it where the driver
        does so by itself, and return its sample. Raises RefusedError if the driver is not open, and nothing else."""
        if not self._link.is_open:
            raise RefusedError("read() on an FRI driver that is not open; open() it first")
        ticks = self._ticks
        frames: list[tuple[Monitoring, int]] = []
        deadline = self._t_ns + self._wait_ns
        while True:
            readable = ticks.wait(self._fd, max(0, deadline - ticks.now_ns()))
            now = ticks.now_ns()
            if readable:
                frames += self._receiver.drain()
            # Rubbish in the middle of a period is no tick, nor are the packets before the one to answer: wait on.
            if _counts(frames) >= self._multiplier or now >= deadline:
                break
            if now - self._t_ns >= self._tick_ns and (not readable or not frames):
                break
            if not readable and self._multiplier == 1:
                break
        self._t_ns = now
        session = self._session
        measured = self._measured
        if frames:
            m = self._advance(frames)
            self._frame_ns = now
            fault = measured.take(m)
            if fault and m.session_state != SessionState.IDLE:
                self._receiver.reject(fault)
            if self._mode.by_pose:
                found = set_point(m.pose, m.redundancy)
                self._pose = None if found is None else from_wire(found)
            self._answer(m)
        elif now - self._frame_ns > SILENCE_NS and session.state is not ArmState.DISCONNECTED:
            self._lost()
        frame = self._frame
        return RobotSample(
            now,
            -1 if frame is None else frame.seq,
            measured.valid,
            bool(frames),
            -1 if frame is None else now - self._frame_ns,
            measured.dt,
            measured.q,
            measured.qd,
            measured.qdd,
            measured.tau,
            measured.tau_ext,
            measured.q_set,
            session.accepted.lo,
            session.accepted.hi,
            self._no_joints if self._mode.by_pose else session.accepted.reference,
            session.state,
            -1 if frame is None else frame.t_device_ns,
            self._pose,
            self._acting_pose() if self._mode.by_pose else None,
        )

    def _acting_pose(self) -> PoseCommand | None:
        reference = self._session.accepted.reference
        if self._pose_ref is None or self._pose_ref[0] is not reference:
            if not np.isfinite(reference).all():
                return None
            self._pose_ref = (reference, from_wire(reference))
        return self._pose_ref[1]

    def command(self, passed: PassedCommand) -> bool:
        """Answer the newest frame with what the gate passed; False if the network refused to take it.

        Raises RefusedError, and sends nothing, unless the state is COMMANDED, the command was judged against the
        newest frame, that frame has no answer yet, and the command is a finite one of the mode that starts near the
        mirrored set-point. A send that the network refuses is counted (``rejected["send"]``, ``unanswered``).
        """
        m = self._frame
        session = self._session
        if session.off or not session.enabled or m is None or session.state is not ArmState.COMMANDED:
            raise RefusedError(
                f"command() in state {session.state.name}, enabled={session.enabled}, off={session.off}: commands "
                "are taken in COMMANDED after enable() only"
            )
        if passed.answers_seq != m.seq:
            raise RefusedError(f"command() answers frame {passed.answers_seq}, the newest is {m.seq}: judge it anew")
        if not self._pending:
            raise RefusedError(f"frame {m.seq} has been answered already: one command per tick")
        command = passed.command
        if not isinstance(command, self._mode.command):
            raise RefusedError(
                f"{type(command).__name__} in client command mode {self._mode.wire.name}: send a "
                f"{self._mode.command.__name__}"
            )
        try:
            parts, tau, reference = payload(command, self._mode, self._moment_order)
            data = self._codec.encode_command(self._own_seq, m.seq, ios=self._outputs.pending(m.ios), **parts)
        except (ProtocolError, TypeError, ValueError) as error:
            raise RefusedError(f"nothing was sent: {error}") from error
        if session.entry is not None:
            check_entry(self._mode, reference, session.entry)
        if not self._send(data):
            return False
        session.accepted.sent(self._own_seq - 1, tau, reference)
        session.entry = None
        self._pending = False
        return True

    def _send(self, data: bytes) -> bool:
        if not self._link.send(data):
            self._receiver.reject("send")
            return False
        self._own_seq += 1
        return True

    def _advance(self, frames: list[tuple[Monitoring, int]]) -> Monitoring:
        for m, step in frames:
            if self._pending:
                self._pending = False
                self._health.unanswered += 1
            if step:
                self._measured.pass_by(step)
            else:
                self._measured.restart()
            if not self._session.advance(m, step, self._own_seq - 1):
                self._receiver.reject("reflected_unknown")
        superseded = max(0, len(frames) - self._multiplier)
        self._health.late += superseded
        self._health.unanswered += superseded
        self._frame = m
        return m

    def _lost(self) -> None:
        if self._pending:
            self._pending = False
            self._health.unanswered += 1
        self._outputs.clear()
        self._session.lost()
        self._receiver.restart()

    def _answer(self, m: Monitoring) -> None:
        """Give the answers that are the driver's own; in COMMANDED the frame waits for :meth:`command`."""
        session = self._session
        if m.session_state == SessionState.IDLE:
            self._outputs.clear()
            return
        if session.state is ArmState.COMMANDED:
            self._pending = True
            return
        data: bytes | None = None
        if session.off:
            pass
        elif m.session_state < SessionState.COMMANDING_WAIT:
            data = self._alive(m)
        elif session.state is ArmState.SYNCHRONISING and session.enabled:
            data = self._mirror(m)
        if data is None or not self._send(data):
            self._health.unanswered += 1
        elif session.state is ArmState.SYNCHRONISING:
            session.mirrored = self._mode.set_point(m)

    def _alive(self, m: Monitoring) -> bytes:
        # The content is ignored in monitoring; the stock client mirrors the commanded position, so do we.
        try:
            return self._codec.encode_command(self._own_seq, m.seq, m.q_commanded, ios=self._outputs.pending(m.ios))
        except ProtocolError:
            return self._codec.encode_command(self._own_seq, m.seq)

    def _mirror(self, m: Monitoring) -> bytes | None:
        reference = self._mode.set_point(m)
        if reference is None or (not self._mode.by_pose and self._plausibility.judge_set_point(reference)):
            return None
        parts = {**self._mode.parts(reference), **self._mode.at_rest}
        return self._codec.encode_command(self._own_seq, m.seq, ios=self._outputs.pending(m.ios), **parts)


def _counts(frames: list[tuple[Monitoring, int]]) -> int:
    """Send periods that ``frames`` stand for, lost ones between them included; the last message of a session, which
    nothing follows, is enough by itself."""
    if frames and frames[-1][0].session_state == SessionState.IDLE:
        return 1 << 30
    return sum(max(1, step) for _, step in frames)
