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

from drivers.can.bus import Bus
from drivers.can.log import FrameLog
from drivers.cobot.bringup import NodeInfo, bring_up
from drivers.cobot.cia402 import CW_ENABLE_OPERATION, DriveState, Mode, Want
from drivers.cobot.config import CobotConfig
from drivers.cobot.exchange import Exchange
from drivers.cobot.line import Line, open_line
from drivers.cobot.measurement import Measurement
from drivers.cobot.model import Scales
from drivers.cobot.pdo import ProcessData
from drivers.cobot.report import Report
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
        self._report = Report(nodes, data, self._session)
        line = self._line
        self._exchange = None if line is None else Exchange(config, line, data, self._session, self._ticks)
        self._pending = False
        self._t_ns = self._ticks.now_ns()
        self._sample_ns = -1
        self._q_ref: Array | None = None
        self._seq = -1

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
        if self._log_folder is not None and self._log is None:
            self._log = FrameLog(self._log_folder, self._ticks.now_ns())
        self._line = line = open_line(self.config, self._ticks, self._log, self._idle_fd)
        self._buses = line.buses
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
        self._line = self._exchange = None
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
        exchange = self._exchange
        if exchange is not None:
            exchange.write(session.words(), session.zeros)
            exchange.sync_now()

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
        line, exchange = self._line, self._exchange
        if line is None or exchange is None:
            self._ticks.wait(self._idle_fd, self._period_ns)
            self._t_ns = self._ticks.now_ns()
            return self._sample(False)
        exchange.await_sync()
        now = self._t_ns = exchange.collect()
        line.beat(now)
        data, session, watch, report = self._data, self._session, self._watch, self._report
        complete = data.missing == 0
        report.gaps += data.missing
        if exchange.states_due(now):
            for bus in line.buses:
                watch.bus_state(bus, bus.state())
        watch.check(now, data, session.look(data))
        session.advance(data, list(watch.problems.values()))
        report.rate(complete)
        if complete:
            self._seq = exchange.syncs
            self._sample_ns = now
            fault = self._measured.take(data, exchange.sync_ns)
            if fault:
                report.reject(fault)
                watch.implausible(data)
        self._pending = False
        if session.state is ArmState.COMMANDED:
            self._pending = complete
            if not complete:
                # Nobody can answer half a sample. The last torque goes on acting meanwhile, whatever is sent; sent
                # again, it keeps one lost frame from starving every drive's deadline. Three in a row end the command.
                exchange.repeat()
            if self._q_ref is None:
                self._q_ref = self._measured.q
        else:
            self._q_ref = None
            exchange.write(session.words(), session.zeros)
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
        assert self._exchange is not None  # COMMANDED is known from a line alone
        return self._exchange.write([CW_ENABLE_OPERATION] * self._data.n, targets)

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
        return self._report.health(self._watch, self._exchange, self._buses, self.trouble, self._seq >= 0)
