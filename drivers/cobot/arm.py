"""Driver of an arm whose joints are CiA 402 drives on CAN, commanded by torque.

The bus tick is the cycle, and this side makes it. One :meth:`CobotArm.read`:

    wait for the time of the next SYNC → SYNC: every drive latches the command that it has and samples its feedback
    → collect one TPDO1 of each drive, until all are there or the deadline has passed → sample

and :meth:`CobotArm.command`, or the driver itself while nothing is commanded, writes one RPDO1 to each drive, which
acts from the next SYNC on: a torque acts one tick after the sample that it answers. In lockstep the wait for the
answers is the mock's tick, and the SYNC is due at once.

The drives do not depend on this program. Each stops by itself after five cycles without a command, or when the
heartbeat is missing for 50 ms, and bring-up sees that they watch it. Category 0 is "disable voltage" to every drive
with a SYNC at once; brakes close after their delay. In COMMANDED a tick without :meth:`CobotArm.command` sends nothing,
but for one whose sample is incomplete: it repeats the last command.
"""

from __future__ import annotations

import os
from pathlib import Path

from drivers.cobot.bringup import NodeInfo, bring_up
from drivers.cobot.bus import Bus, Frame, open_bus
from drivers.cobot.cia402 import CW_ENABLE_OPERATION, DriveState, Mode, Want
from drivers.cobot.config import CobotConfig
from drivers.cobot.line import Line
from drivers.cobot.log import FrameLog
from drivers.cobot.measurement import Measurement
from drivers.cobot.model import Scales
from drivers.cobot.pdo import SYNC_ID, ProcessData
from drivers.cobot.session import Session
from drivers.cobot.shutdown import shut_down
from drivers.cobot.supervision import Supervision
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
from drivers.errors import ConnectError, RefusedError

_SYNC = [(SYNC_ID, b"")]
_QUALITY_SHARE = 0.02
"""Weight of one SYNC in the link quality."""


class CobotArm:
    """:class:`drivers.contract.RobotArm` and :class:`drivers.contract.Reopens` on CiA 402 drives.

    ``q_min``, ``q_max`` (rad), ``qd_max`` (rad/s), ``tau_max`` (N·m), all (n,): data-sheet figures by which feedback
    is judged plausible. ``log``: folder of the .blf ring; None: no log.

    A drive takes no position reference: ``q_ref_accepted`` repeats that of the last command, from the measured position
    on, so that the gate can judge its steps.

    ``RobotSample.seq`` is the number of the last SYNC that every drive has answered; ``dt`` is the time between two of
    them.
    """

    def __init__(
        self,
        config: CobotConfig,
        differentiator: Differentiator,
        ticks: Ticks,
        traits: ArmTraits,
        *,
        q_min: Array,
        q_max: Array,
        qd_max: Array,
        tau_max: Array,
        log: Path | None = None,
    ) -> None:
        """Raises ValueError where traits, joints and figures disagree."""
        n = len(config.joints)
        if traits.n != n or any(figure.shape != (n,) for figure in (q_min, q_max, qd_max, tau_max)):
            raise ValueError(
                f"{traits.name} has {traits.n} joints, its configuration {n}; all figures must have as many"
            )
        self.traits = traits
        self.config = config
        self._ticks = ticks
        self._scales = Scales(config.joints)
        self._measured = Measurement(self._scales, config.period, differentiator, q_min, q_max, qd_max, tau_max)
        self._log_folder = log
        self._log: FrameLog | None = None
        self._period_ns = round(1e9 * config.period)
        self._collect_ns = round(1e9 * config.period * config.collect)
        self._idle_fd = -1
        self._line: Line | None = None
        self._opened = False
        self._reopen_wanted = False
        self.trouble = ""
        """Why the last attempt to open failed; empty if it did not."""
        self._buses: list[Bus] = []
        self._reset([])

    def _reset(self, infos: list[NodeInfo]) -> None:
        config = self.config
        nodes = config.nodes
        self._infos = infos
        self._data = data = ProcessData(nodes)
        self._watch = Supervision(nodes, config.channel_of, self._buses)
        modes = [info.mode for info in infos] or [config.mode or Mode.CYCLIC_SYNC_TORQUE] * len(nodes)
        self._session = Session(self._scales, modes)
        self._health = LinkHealth()
        self._out = [
            [data.commands[k] for k, joint in enumerate(config.joints) if joint.channel == channel]
            for channel in range(len(config.buses))
        ]
        self._scratch: list[Frame] = []
        self._rest: list[Frame] = []
        self._synced = False
        self._pending = False
        self._due_ns = self._t_ns = self._sync_ns = self._ticks.now_ns()
        self._sample_ns = -1
        self._q_ref: Array | None = None
        self._seq = -1
        self._syncs = -1
        self._gaps = self._late = 0
        self._rejected: dict[str, int] = {}
        self._quality = float("nan")
        self._flags_key: tuple[object, ...] = ()

    # Opening and closing

    def open(self) -> None:
        """Plan the load, open the channels, set up every node and start it. Raises ConnectError; nothing is enabled."""
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
        for load in self.config.loads():
            if load.refused:
                raise ConnectError(f"the planned load of the bus is too high: {load.refused}")
        self._buses = []
        for bus in self.config.buses:
            self._buses.append(open_bus(bus))
        now = self._ticks.now_ns()
        if self._log_folder is not None and self._log is None:
            self._log = FrameLog(self._log_folder, now)
        beat_ns = self.config.our_heartbeat_ms * 1_000_000
        line = Line(self._buses, self.config.channel_of, self._ticks, beat_ns, self._log, self._idle_fd)
        self._line = line
        self._reset([])
        watch = self._watch
        line.listener = watch.take
        infos = bring_up(line, self.config, watch)
        self._reset(infos)
        self._watch = watch
        self._watch.start(self._ticks.now_ns())
        self._measured.restart()
        self._session.reset_faults()

    def close(self) -> None:
        """Take the power away, leave every node pre-operational and let go of the channels; legal more than once."""
        line = self._line
        if line is not None:
            if self._infos:
                answering = [state is not DriveState.UNKNOWN for state in self._session.states]
                self.off()
                self._watch.operational = False
                shut_down(line, self._infos, answering)
            self._let_go(line)
        elif self._buses:
            for bus in self._buses:
                bus.close()
        self._buses = []
        if self._log is not None:
            self._log.close(self._ticks.now_ns())
            self._log = None
        if self._idle_fd >= 0:
            os.close(self._idle_fd)
            self._idle_fd = -1
        self._opened = self._reopen_wanted = False
        self._session.state = ArmState.DISCONNECTED

    def _let_go(self, line: Line) -> None:
        line.close()
        self._line = None
        self._infos = []
        self._pending = False

    def reopen(self) -> None:
        """Begin to open anew: the next :meth:`read` does it all, which takes a second or two. Nothing must be
        enabled; if it fails, :attr:`trouble` says why and the arm stays DISCONNECTED."""
        if self._opened:
            self._reopen_wanted = True

    @property
    def reopening(self) -> bool:
        """An attempt to open anew is under way."""
        return self._reopen_wanted

    def _open_anew(self) -> None:
        self._reopen_wanted = False
        if self._line is not None:
            self.off()
            self._let_go(self._line)
        try:
            self._connect()
            self.trouble = ""
        except ConnectError as error:
            self.trouble = str(error)
            if self._line is not None:
                self._let_go(self._line)
            for bus in self._buses:
                bus.close()
            self._session.state = ArmState.DISCONNECTED

    # Permission

    @property
    def enabled(self) -> bool:
        """:meth:`enable` was called and nothing has withdrawn it since."""
        return self._session.enabled

    @property
    def nodes(self) -> list[NodeInfo]:
        """What the drives told about themselves in bring-up."""
        return self._infos

    @property
    def line(self) -> Line | None:
        """The open channels; None while there are none."""
        return self._line

    def enable(self) -> None:
        """Lead the drives to OPERATION ENABLED with zero torque, then take commands. Raises RefusedError."""
        session = self._session
        if session.off:
            raise RefusedError("enable() after off(): call release() first and wait until the arm is READY")
        if session.state not in (ArmState.READY, ArmState.SYNCHRONISING):
            reasons = "; ".join(sorted(self.health().flags)) or "wait for it in read()"
            raise RefusedError(
                f"enable() needs the state READY or SYNCHRONISING, it is {session.state.name}: {reasons}"
            )
        if session.state is ArmState.READY:
            session.enable()

    def off(self) -> None:
        """Category 0: "disable voltage" and zero torque to every drive, and a SYNC so that they take it now."""
        session = self._session
        session.switch_off()
        self._pending = False
        if self._line is None:
            return
        self._write(session.words(), session.zeros)
        self._send_sync(self._ticks.now_ns())
        self._synced = True

    def release(self) -> None:
        """After :meth:`off`: lead the drives back to READY TO SWITCH ON, without power; a drive in FAULT gets one
        fault reset. Commands still need :meth:`enable`."""
        session = self._session
        session.off = False
        if not session.enabled:
            session.want = Want.REST
        self.acknowledge()

    def acknowledge(self) -> None:
        """A person has seen what the drives reported: forget their EMCYs and reset those that are in FAULT, once."""
        self._watch.acknowledge()
        self._session.reset_faults()

    # The cycle

    def read(self) -> RobotSample:
        """Send SYNC when it is due, collect the answers and return the sample. Raises RefusedError if the driver is
        not open, and nothing else."""
        if not self._opened:
            raise RefusedError("read() on an arm that is not open; open() it first")
        if self._reopen_wanted:
            self._open_anew()
        line = self._line
        if line is None:
            self._ticks.wait(self._idle_fd, self._period_ns)
            self._t_ns = self._ticks.now_ns()
            return self._sample(False)
        self._await_sync(line)
        self._collect(line)
        now = self._t_ns = self._ticks.now_ns()
        line.beat(now)
        data, session, watch = self._data, self._session, self._watch
        complete = data.missing == 0
        self._gaps += data.missing
        watch.check(now, data, session.look(data))
        session.advance(data, list(watch.problems.values()))
        self._rate_link(complete)
        if complete:
            self._seq = self._syncs
            self._sample_ns = now
            fault = self._measured.take(data, self._sync_ns)
            if fault:
                self._rejected[fault] = self._rejected.get(fault, 0) + 1
                watch.implausible(data)
        self._pending = False
        if session.state is ArmState.COMMANDED:
            self._pending = complete
            if not complete:
                # Nobody can answer half a sample. The last torque goes on acting meanwhile, whatever is sent; sent
                # again, it keeps one lost frame from starving every drive's deadline. Three in a row end the command.
                for channel, frames in enumerate(self._out):
                    line.send(channel, frames)
            if self._q_ref is None:
                self._q_ref = self._measured.q
        else:
            self._q_ref = None
            self._keep_alive()
        if self._log is not None:
            self._log.flush(now)
        return self._sample(complete)

    def command(self, passed: PassedCommand) -> bool:
        """Write the torques that the gate passed to the drives; False if an adapter did not take them all.

        Raises RefusedError, and sends nothing, unless the state is COMMANDED, the command was judged against the
        newest sample, that one has no answer yet, and the torques are finite and within what is ever sent.
        """
        session = self._session
        if session.off or not session.enabled or session.state is not ArmState.COMMANDED:
            raise RefusedError(
                f"command() in state {session.state.name}, enabled={session.enabled}, off={session.off}: commands "
                "are taken in COMMANDED after enable() only"
            )
        if passed.answers_seq != self._seq:
            raise RefusedError(
                f"command() answers sample {passed.answers_seq}, the newest is {self._seq}: judge it anew"
            )
        if not self._pending:
            raise RefusedError(f"sample {self._seq} has been answered already, or is incomplete: one command per tick")
        command = passed.command
        if not isinstance(command, TorqueCommand):
            raise RefusedError(f"{type(command).__name__} to an arm that takes torques: send a TorqueCommand")
        try:
            targets = self._scales.permille(command.tau)
        except (TypeError, ValueError, AttributeError) as error:
            raise RefusedError(f"nothing was sent: {error}") from error
        self._pending = False
        self._q_ref = command.q_ref
        return self._write([CW_ENABLE_OPERATION] * self._data.n, targets)

    def _write(self, words: list[int], targets: list[int]) -> bool:
        line = self._line
        assert line is not None
        self._data.command(words, targets)
        taken = True
        for channel, frames in enumerate(self._out):
            taken &= line.send(channel, frames)
        if not taken:
            self._health.unanswered += 1
            self._rejected["send"] = self._rejected.get("send", 0) + 1
        self._session.sent(targets)
        return taken

    def _keep_alive(self) -> None:
        session = self._session
        self._write(session.words(), session.zeros)

    def _await_sync(self, line: Line) -> None:
        """Receive until the next SYNC is due, and send it, unless :meth:`off` has done so."""
        ticks = self._ticks
        while True:
            now = ticks.now_ns()
            missing = self._data.missing
            self._receive(line, now)
            self._late += missing - self._data.missing
            if self._synced:
                break
            if now >= self._due_ns:
                self._send_sync(now)
                break
            line.beat(now)
            ticks.wait(line.fd, min(self._due_ns - now, line.poll_ns))
        self._synced = False

    def _send_sync(self, now: int) -> None:
        line = self._line
        assert line is not None
        self._syncs += 1
        self._data.expect()
        for channel in range(len(self._out)):
            if not line.send(channel, _SYNC):
                self._rejected["send"] = self._rejected.get("send", 0) + 1
        self._session.latch()
        self._sync_ns = now
        # Missed ticks are skipped, never caught up in a burst.
        self._due_ns += self._period_ns
        if self._due_ns <= now:
            self._due_ns = now + self._period_ns

    def _collect(self, line: Line) -> None:
        """Receive until every drive has answered, or the deadline has passed."""
        ticks, data = self._ticks, self._data
        deadline = self._sync_ns + self._collect_ns
        now = ticks.now_ns()
        while True:
            ticks.wait(line.fd, min(max(0, deadline - now), line.poll_ns))
            now = ticks.now_ns()
            self._receive(line, now)
            if not data.missing or now >= deadline:
                return

    def _receive(self, line: Line, now: int) -> None:
        frames, rest = self._scratch, self._rest
        for channel in range(len(self._out)):
            frames.clear()
            line.drain(channel, frames)
            if frames:
                self._data.take(frames, rest)
                if rest:
                    line.hand_on(channel, rest, now)
                    rest.clear()

    def _rate_link(self, complete: bool) -> None:
        quality = self._quality
        if quality != quality:
            self._quality = 1.0 if complete else quality
        else:
            self._quality += _QUALITY_SHARE * (complete - quality)

    def _sample(self, fresh: bool) -> RobotSample:
        measured, session, now = self._measured, self._session, self._t_ns
        nan = measured._nan
        return RobotSample(
            now,
            self._seq,
            measured.valid and self._seq >= 0,
            fresh,
            now - self._sample_ns if self._sample_ns >= 0 else -1,
            measured.dt,
            measured.q,
            measured.qd,
            measured.qdd,
            measured.tau,
            nan,
            nan,
            session.lo,
            session.hi,
            nan if self._q_ref is None else self._q_ref,
            session.state,
        )

    # What a person is told

    def health(self) -> LinkHealth:
        """The driver's own record, updated in place: copy what must last."""
        health, data, watch, session = self._health, self._data, self._watch, self._session
        health.frames = data.frames
        health.gaps = self._gaps
        health.late = data.late + self._late
        health.duplicates = data.duplicates
        health.quality = self._quality
        health.rejected = {**self._rejected, **watch.rejected}
        for reason, count in (
            ("pdo_length", data.wrong_length),
            ("error_frame", watch.error_frames),
            ("foreign", watch.foreign),
            ("garbled", sum(bus.garbled for bus in self._buses)),
        ):
            if count:
                health.rejected[reason] = count
        states = session.states
        known = self._seq >= 0
        health.drives_on = all(state is DriveState.OPERATION_ENABLED for state in states) if known else None
        health.problems = tuple(watch.problems.values())
        key = (tuple(states), session.off, session.refusal, health.problems, self.trouble, session.enabled)
        if key != self._flags_key:
            self._flags_key = key
            health.flags = self._flags(health)
        return health

    def _flags(self, health: LinkHealth) -> frozenset[str]:
        session = self._session
        found = {f"{problem.part}: {problem.text}; {problem.remedy}" for problem in health.problems}
        if session.off:
            found.add("off: no power until release()")
        if session.refusal:
            found.add(session.refusal)
        if self.trouble:
            found.add(self.trouble)
        for node, state in zip(self.config.nodes, session.states, strict=True):
            if state in (DriveState.FAULT, DriveState.FAULT_REACTION_ACTIVE, DriveState.QUICK_STOP_ACTIVE):
                found.add(f"node {node}: {state.name.lower().replace('_', ' ')}")
        return frozenset(found)
