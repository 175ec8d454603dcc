"""Driver of an AgileX PiPER-type arm on CAN, commanded by torque. **Experimental.**

The arm sends its feedback by time, every 5 ms, and takes commands whenever they come; there is neither a SYNC nor an
acknowledgement. One :meth:`PiperArm.read` waits for the next complete set of feedback, which is the tick, and
:meth:`PiperArm.command` answers it with six MIT frames whose gains are zero: a torque acts as soon as it arrives.

What a user must know. No document states a time-out of the arm: **if this program dies, the last torque goes on** until
somebody presses the emergency stop. There are no brakes. So the permission ends in the arm's own position hold where
the arm stands, in its emergency stop where it moves, and nothing here ever resumes from that one: the arm would drop.
While nothing is commanded nothing is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from drivers.can.bus import Bus, BusConfig
from drivers.can.log import FrameLog
from drivers.can.opening import open_bus
from drivers.contract import (
    ArmState,
    ArmTraits,
    Array,
    Differentiator,
    LinkHealth,
    MitCommand,
    PassedCommand,
    ProblemKind,
    RobotSample,
    Ticks,
    TorqueCommand,
)
from drivers.errors import ConnectError, RefusedError
from drivers.piper import codec
from drivers.piper.config import FirmwareScale, PiperConfig
from drivers.piper.feedback import Feedback
from drivers.piper.link import PERIOD_NS, Link
from drivers.piper.measurement import Measurement
from drivers.piper.session import STANDING, Phase, Session
from drivers.piper.supervision import Supervision
from drivers.piper.telling import tell
from drivers.piper.torque import TorqueFrames

_FATAL = frozenset(
    {ProblemKind.NODE_LOST, ProblemKind.NODE_RESTARTED, ProblemKind.NODE_STATE, ProblemKind.ADAPTER_LOST}
)
"""Problems under which nothing can be braked by torque: the permission to command ends with them."""
_QUALITY_SHARE = 0.05
"""Weight of one tick in the link quality."""


class PiperArm:
    """:class:`drivers.contract.RobotArm` and :class:`drivers.contract.Reopens` on a PiPER-type arm.

    ``q_min``, ``q_max`` (rad), ``qd_max`` (rad/s), ``tau_max`` (N·m), all (6,): data-sheet figures by which feedback is
    judged plausible. ``log``: folder of the .blf ring; None: no log. ``opener``: opens the channel.

    ``RobotSample.seq`` counts complete sets of feedback. The measured torque is motor current times a constant.
    ``tau_accepted_lo`` and ``_hi`` are what was sent, rounded as it was; before the first command what holds the arm.
    """

    def __init__(
        self, config: PiperConfig, differentiator: Differentiator, ticks: Ticks, traits: ArmTraits,
        *, q_min: Array, q_max: Array, qd_max: Array, tau_max: Array, log: Path | None = None,
        opener: Callable[[BusConfig], Bus] = open_bus,
    ) -> None:  # fmt: skip
        """Raises ValueError where the figures are not six each."""
        if traits.n != codec.N or any(figure.shape != (codec.N,) for figure in (q_min, q_max, qd_max, tau_max)):
            raise ValueError(f"{traits.name} has {traits.n} joints; this arm has six, and six figures of each limit")
        self.traits = traits
        self.config = config
        self.firmware = ""
        """As the arm stated it when it was opened."""
        self.trouble = ""
        """Why the last attempt to open failed; empty if it did not."""
        self._ticks, self._differentiator, self._opener = ticks, differentiator, opener
        self._figures = (q_min, q_max, qd_max, tau_max)
        self._log_folder = log
        self._log: FrameLog | None = None
        self._link: Link | None = None
        self._idle_fd = -1
        self._opened = self._reopen_wanted = False
        self._nothing = Feedback()
        self._reset(FirmwareScale())

    def _reset(self, scale: FirmwareScale) -> None:
        self._measured = Measurement(scale, self._differentiator, *self._figures)
        self._frames = TorqueFrames(scale)
        self._session = Session(self.config.hold_speed_percent)
        self._health = LinkHealth()
        self._watch: Supervision | None = None
        self._t_ns = self._ticks.now_ns()
        self._seq, self._sample_ns = -1, -1
        self._pending = False
        self._q_ref: Array | None = None
        self._gaps = 0
        self._rejected: dict[str, int] = {}
        self._quality = float("nan")

    # Opening and closing

    def open(self) -> None:
        """Open the channel, ask for the firmware, hear all feedback once; nothing is enabled. Raises ConnectError."""
        if self._opened:
            raise ConnectError("this arm is open already; close() it first")
        self._idle_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._opened = True
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        bus = self._opener(self.config.bus)
        if self._log_folder is not None and self._log is None:
            self._log = FrameLog(self._log_folder, self._ticks.now_ns())
        self._link = Link(bus, self._ticks, self._log, self._idle_fd)
        self.firmware = self._link.identify()
        self._reset(self.config.scale_of(self.firmware))
        self._watch = Supervision(bus, round(self.config.silent_ms * 1e6), self._ticks.now_ns())

    def close(self) -> None:
        """Hand the arm back to its own control, and let go of the channel; legal more than once."""
        if self._session.enabled:
            self.off()
        self._let_go()
        if self._log is not None:
            self._log.close(self._ticks.now_ns())
            self._log = None
        if self._idle_fd >= 0:
            os.close(self._idle_fd)
            self._idle_fd = -1
        self._opened = self._reopen_wanted = False

    def _let_go(self) -> None:
        if self._link is not None:
            self._link.bus.close()
        self._link = None
        self._pending = False

    def reopen(self) -> None:
        """Begin to open anew: the next :meth:`read` does it all."""
        if self._opened:
            self._reopen_wanted = True

    @property
    def reopening(self) -> bool:
        """An attempt to open anew is under way."""
        return self._reopen_wanted

    def _open_anew(self) -> None:
        self._reopen_wanted = False
        unsettled = self._session.unsettled
        self._let_go()
        try:
            self._connect()
            self.trouble = ""
            if unsettled:
                self._withdraw("the link was lost while the arm was commanded")
        except ConnectError as error:
            self.trouble = str(error)
            self._let_go()

    # Permission

    @property
    def heard(self) -> Feedback:
        """All that the arm has said since it was opened."""
        return self._nothing if self._link is None else self._link.heard

    @property
    def enabled(self) -> bool:
        """:meth:`enable` was called and nothing has withdrawn it since."""
        return self._session.enabled

    @property
    def phase(self) -> Phase:
        """Who holds the arm."""
        return self._session.phase

    def enable(self) -> None:
        """Let the arm hold itself where it is, then take it over by torque. Raises RefusedError."""
        session = self._session
        if session.off:
            raise RefusedError("enable() after off(): call release() first and wait until the arm is READY")
        if session.enabled:
            return
        if (state := self._state()) is not ArmState.READY:
            reasons = "; ".join(sorted(self.health().flags)) or "wait for it in read()"
            raise RefusedError(f"enable() needs the state READY, it is {state.name}: {reasons}")
        session.enable(self._measured.q)

    def off(self) -> None:
        """Category 0 of an arm without brakes: its own position control takes it where it stands; where it moves, or
        nothing is known of it, its emergency stop."""
        self._session.off = True
        self._withdraw()

    def release(self) -> None:
        """After :meth:`off`: the arm may be READY again. An emergency stop is not resumed: that is for a person."""
        self._session.off = False

    def _withdraw(self, why: str = "") -> None:
        self._pending = False
        measured, now = self._measured, self._ticks.now_ns()
        known = self._seq >= 0 and measured.valid and now - self._sample_ns <= 3 * PERIOD_NS
        standing = known and bool(np.abs(measured.qd).max() <= STANDING)
        if standing:
            self._session.at(measured.q)
        self._send(self._session.withdraw(standing, now, why))

    # The cycle

    def read(self) -> RobotSample:
        """Wait for the next set of feedback, one and a half periods at most. Raises RefusedError if the driver is not
        open, and nothing else."""
        if not self._opened:
            raise RefusedError("read() on an arm that is not open; open() it first")
        if self._reopen_wanted:
            self._open_anew()
        link, watch = self._link, self._watch
        if link is None or watch is None:
            self._ticks.wait(self._idle_fd, PERIOD_NS)
            self._t_ns = self._ticks.now_ns()
            return self._sample(False)
        fresh = link.await_set(self._t_ns)
        now = self._t_ns = self._ticks.now_ns()
        session, measured = self._session, self._measured
        self._pending = False
        if fresh:
            self._seq, self._sample_ns = self._seq + 1, now
            fault = measured.take(self.heard)
            if fault:
                self._rejected[fault] = self._rejected.get(fault, 0) + 1
        else:
            self._gaps += self.heard.missing
        quality = self._quality
        self._quality = float(fresh) if quality != quality else quality + _QUALITY_SHARE * (fresh - quality)
        watch.check(now, self.heard, session.torque, session.phase is not Phase.REST)
        if session.enabled:
            # A problem under torque is braked by torque if that can be, and that is the supervisor's to decide.
            why = session.overdue(fresh)
            fatal = next((problem for problem in watch.problems if problem.kind in _FATAL), None)
            if fatal is not None:
                why = f"{fatal.part}: {fatal.text}"
            if why:
                self._withdraw(why)
        before = session.phase
        self._send(session.advance(self.heard))
        self._mirror(before)
        if session.phase is Phase.COMMANDED:
            self._pending = fresh and measured.valid
            if self._q_ref is None:
                self._q_ref = measured.q
        else:
            self._q_ref = None
        link.flush(now)
        return self._sample(fresh)

    def _mirror(self, before: Phase) -> None:
        """While torque takes over, the torque that held the arm goes on; before that it is what acts."""
        phase, tau, frames = self._session.phase, self._measured.tau, self._frames
        if phase is Phase.MIRRORING:
            if before is not Phase.MIRRORING:
                frames.known(tau)
            self._torque(TorqueCommand(frames.lo, self._measured.q))
        elif phase is not Phase.COMMANDED:
            frames.known(tau if phase is Phase.ENABLING else None)

    def command(self, passed: PassedCommand) -> bool:
        """Send the torques that the gate passed; False if the adapter did not take them all.

        Raises RefusedError, and sends nothing, unless the state is COMMANDED, the command was judged against the
        newest sample, that one has no answer yet, and all of it is finite.
        """
        session = self._session
        if session.off or session.phase is not Phase.COMMANDED:
            raise RefusedError(
                f"command() in state {self._state().name}, off={session.off}: commands are taken in COMMANDED after "
                "enable() only"
            )
        if passed.answers_seq != self._seq:
            raise RefusedError(
                f"command() answers sample {passed.answers_seq}, the newest is {self._seq}: judge it anew"
            )
        if not self._pending:
            raise RefusedError(f"sample {self._seq} has been answered already, or is incomplete: one command per tick")
        command = passed.command
        if not isinstance(command, TorqueCommand | MitCommand):
            raise RefusedError(f"{type(command).__name__} to an arm that takes torques and MIT commands")
        taken = self._torque(command)
        self._pending = False
        self._q_ref = command.q_ref
        session.commanded()
        return taken

    def _torque(self, command: TorqueCommand | MitCommand) -> bool:
        taken = self._send(self._frames.encode(command, self._measured.q, self._measured.qd))
        self._frames.sent(taken)
        self._health.unanswered += not taken
        return taken

    def _send(self, frames: list[codec.Outgoing]) -> bool:
        return self._link is not None and self._link.send(frames)

    def _state(self) -> ArmState:
        link, watch = self._link, self._watch
        if link is None or watch is None or self._seq < 0 or link.bus.lost:
            return ArmState.DISCONNECTED
        if any(problem.kind is ProblemKind.NODE_LOST and problem.part == "arm" for problem in watch.problems):
            return ArmState.DISCONNECTED
        return self._session.state(self._measured.valid and self.heard.status is not None and not watch.problems)

    def _sample(self, fresh: bool) -> RobotSample:
        measured, now = self._measured, self._t_ns
        nan = measured.unknown
        return RobotSample(
            now, self._seq, measured.valid and self._seq >= 0, fresh,
            now - self._sample_ns if self._sample_ns >= 0 else -1, measured.dt,
            measured.q, measured.qd, measured.qdd, measured.tau, nan, nan,
            self._frames.lo, self._frames.hi, nan if self._q_ref is None else self._q_ref, self._state(),
        )  # fmt: skip

    # What a person is told, and what hangs on the same bus

    def send_gripper(self, stroke: float, torque: float) -> None:
        """Order the gripper to an opening (m) with a bounding torque (N·m); see :class:`drivers.piper.gripper`. Raises
        RefusedError while the arm is not open."""
        if not self._send([codec.encode_gripper(stroke, torque)]):
            raise RefusedError("the gripper cannot be commanded: the arm's CAN channel is not open or takes no frames")

    def health(self) -> LinkHealth:
        """The driver's own record, updated in place: copy what must last."""
        health = self._health
        tell(health, self.heard, self._link, self._watch, self._session, self.trouble)
        health.gaps, health.quality = self._gaps, self._quality
        health.rejected |= self._rejected
        if self._frames.clamped:
            health.rejected["torque_clamped"] = self._frames.clamped
        return health
