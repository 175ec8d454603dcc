"""Driver of an LBR iiwa through FRI, torque overlay (client command mode TORQUE).

Signs: on the wire ``measuredTorque`` carries the opposite sign of a commanded torque, so ``RobotSample.tau`` is its
negative; ``externalTorque`` already is positive where the environment pushes the joint in its positive direction.

The controller speaks first and this side only ever answers. Category 0 on this wire is therefore silence: the
controller bridges a moment, then ends the motion and brakes.
"""

from __future__ import annotations

import numpy as np

from drivers.contract import (
    ArmState,
    ArmTraits,
    Array,
    Differentiator,
    LinkHealth,
    PassedCommand,
    RobotSample,
    Ticks,
    TorqueCommand,
)
from drivers.errors import ConnectError, ProtocolError, RefusedError
from drivers.fri import status
from drivers.fri.codec import codec_for
from drivers.fri.measurement import Measurement
from drivers.fri.plausibility import Plausibility
from drivers.fri.receiver import Receiver
from drivers.fri.records import Monitoring
from drivers.fri.session import Session
from drivers.fri.udp import Address, PeerSocket
from drivers.fri.wire import JOINTS, SessionState

SILENCE_NS = 1_000_000_000
"""Silence after which the session counts as closed and a controller may start anew with any counter."""
ENTRY_STEP = 0.1
"""rad; the first position reference of a stay in COMMANDED may be this far from the set-point mirrored before."""
_ZERO = [0.0] * JOINTS


class FriArm:
    """:class:`drivers.contract.RobotArm` on FRI 1.14 to 1.16.

    ``host``, ``port``: where to listen (port 0: an ephemeral one, see :attr:`address`). ``peer``: the controller's
    address; None locks to the first sender of a good frame, port 0 to the first port of that host. ``q_max`` (rad,
    half the mechanical range), ``qd_max`` (rad/s), ``tau_max`` (N·m), all (7,): data sheet figures by which frames
    are judged plausible. Raises ProtocolError for an unknown ``version``.

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
    ) -> None:
        self.traits = traits
        self._codec = codec_for(version)
        self._link = PeerSocket(host, port, peer)
        self._differentiator = differentiator
        self._ticks = ticks
        self._plausibility = Plausibility(q_max, qd_max, tau_max)
        self._wait_ns = int(1.5e9 * traits.period)
        self._tick_ns = int(0.75e9 * traits.period)
        self._fd = -1
        self._reset()

    def _reset(self) -> None:
        self._health = LinkHealth()
        self._flags_key: tuple[object, ...] = ()
        self._receiver = Receiver(self._link, self._codec, self._health)
        self._session = Session(self.traits.n, self.traits.period)
        self._measured = Measurement(self.traits.n, self.traits.period, self._differentiator, self._plausibility)
        self._frame: Monitoring | None = None
        self._frame_ns = -1
        self._t_ns = self._ticks.now_ns()
        self._pending = False  # the newest frame waits for command()
        self._own_seq = 0  # counter of our next answer

    @property
    def address(self) -> Address:
        """(host, port) on which this side listens."""
        return self._link.address

    @property
    def session_state(self) -> int:
        """The controller's own session state (:class:`drivers.fri.wire.SessionState`); -1 before the first frame."""
        return self._session.reported

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
        self._session.lost()

    def off(self) -> None:
        """Category 0: no answer from now on, in any state, until :meth:`release`."""
        self._session.switch_off()
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
        health = self._health
        m = self._frame
        if m is not None:
            status.fill_health(health, m)
            s = self._session
            key = (
                m.session_state,
                m.receive_multiplier,
                m.send_period_ms,
                m.client_command_mode,
                s.enabled,
                s.mirrored is None,
                s.off,
            )
            if key != self._flags_key:
                self._flags_key = key
                health.flags = status.flags(m, s, self.traits.period)
        return health

    def read(self) -> RobotSample:
        """Wait for the next frame (one and a half periods at most), answer it where the driver does so by itself,
        and return its sample. Raises RefusedError if the driver is not open, and nothing else."""
        if not self._link.is_open:
            raise RefusedError("read() on an FRI driver that is not open; open() it first")
        ticks = self._ticks
        deadline = self._t_ns + self._wait_ns
        while True:
            readable = ticks.wait(self._fd, max(0, deadline - ticks.now_ns()))
            now = ticks.now_ns()
            frames = self._receiver.drain() if readable else None
            # Rubbish in the middle of a period is no tick: go on waiting for one.
            if frames or not readable or now - self._t_ns >= self._tick_ns:
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
            session.accepted.q_ref,
            session.state,
            -1 if frame is None else frame.t_device_ns,
        )

    def command(self, passed: PassedCommand) -> bool:
        """Answer the newest frame with what the gate passed; False if the network refused to take it.

        Raises RefusedError, and sends nothing, unless the state is COMMANDED, the command was judged against the
        newest frame, that frame has no answer yet, and the command is a finite TorqueCommand that starts near the
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
        if not isinstance(command, TorqueCommand):
            raise RefusedError(f"{type(command).__name__} is not supported on this arm: send a TorqueCommand")
        try:
            tau = np.array(command.tau, dtype=float)
            q_ref = np.array(command.q_ref, dtype=float)
            data = self._codec.encode_command(self._own_seq, m.seq, q_ref, tau)
        except (ProtocolError, TypeError, ValueError) as error:
            raise RefusedError(f"nothing was sent: {error}") from error
        if session.entry is not None:
            _check_entry(q_ref, session.entry)
        if not self._send(data):
            return False
        session.accepted.sent(self._own_seq - 1, tau, q_ref)
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
        superseded = len(frames) - 1
        self._health.late += superseded
        self._health.unanswered += superseded
        self._frame = m
        return m

    def _lost(self) -> None:
        if self._pending:
            self._pending = False
            self._health.unanswered += 1
        self._session.lost()
        self._receiver.restart()

    def _answer(self, m: Monitoring) -> None:
        """Give the answers that are the driver's own; in COMMANDED the frame waits for :meth:`command`."""
        session = self._session
        if m.session_state == SessionState.IDLE:
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
            session.mirrored = m.q_ipo

    def _alive(self, m: Monitoring) -> bytes:
        # The content is ignored in monitoring; the stock client mirrors the commanded position, so do we.
        try:
            return self._codec.encode_command(self._own_seq, m.seq, m.q_commanded)
        except ProtocolError:
            return self._codec.encode_command(self._own_seq, m.seq)

    def _mirror(self, m: Monitoring) -> bytes | None:
        if m.q_ipo is None or self._plausibility.judge_set_point(m.q_ipo):
            return None
        return self._codec.encode_command(self._own_seq, m.seq, m.q_ipo, _ZERO)


def _check_entry(q_ref: Array, entry: Array) -> None:
    step = float(np.abs(q_ref - entry).max())
    if not step <= ENTRY_STEP:
        raise RefusedError(
            f"the first position reference lies {step:.3f} rad from the robot's set-point, {ENTRY_STEP} rad are "
            "allowed: begin at RobotSample.q_ref_accepted"
        )
