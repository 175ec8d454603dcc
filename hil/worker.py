"""The supervisor's process: ``python -m hil.worker --job JOB.json``.

It runs one job and nothing else (an operated cell is a job that lasts until it is told to go down), with the garbage
collector frozen and no thread but ZeroMQ's. It ends with 0 when the job was finished, 3 when a fault stopped it, 1 when
the cell could not be built. SIGINT and SIGTERM ask for a controlled stop; however it ends, the arm's power is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Small matrices are faster on one thread; it must be set before numpy is loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from drivers.errors import DriverError  # noqa: E402
from estimators.errors import EstimatorError  # noqa: E402
from hil.build import build_motion, build_parts  # noqa: E402
from hil.cell import Cell, CellError, load_cell, require_permission  # noqa: E402
from hil.cell.parts import array  # noqa: E402
from hil.code import code_of  # noqa: E402
from hil.explain.meter import StopMeter  # noqa: E402
from hil.flight import AFTER, FlightRing, FlightSink, write_orphaned  # noqa: E402
from hil.job import CELL_NAME, LOG_NAME, META_NAME, OUTCOME_NAME, Job, Outcome, ProgressPipe  # noqa: E402
from hil.mocks import ControlError, MockLink, overlay_starter, point_at  # noqa: E402
from hil.motion import Motion, MotionError  # noqa: E402
from hil.operation.cell import OperatedCell  # noqa: E402
from hil.operation.events import RememberingWriter  # noqa: E402
from hil.operation.place import Claim, PlaceError  # noqa: E402
from hil.operation.run import LogFiles, run_operated  # noqa: E402
from hil.operation.server import OperationServer  # noqa: E402
from hil.parts import Parts, close_devices, open_devices  # noqa: E402
from hil.plugins import PluginError  # noqa: E402
from hil.procedure import RunResult, procedure_cycles, run, stop  # noqa: E402
from hil.realtime import Placement, describe  # noqa: E402
from hil.realtime.collector import collector_off  # noqa: E402
from hil.recording import FAULT_NUMBERS, STATE_NUMBERS, TelemetryWriter  # noqa: E402
from hil.supervisor import Supervisor  # noqa: E402
from hil.telemetry.channel import has_ended  # noqa: E402
from hil.telemetry.launch import start_recorder, versions, write_meta  # noqa: E402
from hil.telemetry.publisher import Publisher  # noqa: E402
from safety.states import State  # noqa: E402

_END = object()
RECORDER_TIMEOUT = 20.0
PROGRESS_NS = 100_000_000


class StopRequest:
    """Remembers that a signal asked for a stop; the cycle looks between two cycles."""

    def __init__(self, parent: int) -> None:
        self.reason = ""
        """In words; empty while nobody asks."""
        self._parent = os.pidfd_open(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: types.FrameType | None) -> None:
        self.reason = f"stopped by the operator ({signal.Signals(number).name})"

    @property
    def orphaned(self) -> bool:
        """The process which started the run has ended."""
        return has_ended(self._parent)

    def look(self) -> str:
        """The reason, and notice that the process which started the run has ended; not for every cycle."""
        if not self.reason and self.orphaned:
            self.reason = "stopped because the program that started the run has ended"
        return self.reason


def connect(job: Job) -> MockLink:
    """The mock of ``job``. Raises ConnectError, ControlError."""
    return MockLink(job.control_dir, realtime=job.realtime)


def work(job: Job, progress: ProgressPipe, connect: Callable[[Job], MockLink] = connect) -> Outcome:
    """Run ``job`` to its end. Raises CellError, DriverError, EstimatorError, MotionError, PlaceError for what cannot be
    built."""
    request = StopRequest(job.parent)
    cell = load_cell(job.cell)
    require_permission(cell, real=False)
    if cell.digest() != job.digest:
        raise DriverError(f"{job.cell} was changed while the run was being started; start it again")
    run_dir = Path(job.run_dir)
    motions = _motions(job, cell)
    link = connect(job)
    hello = link.control.hello()
    starter = overlay_starter(link.control, cell)
    can, log = hello.get("can"), run_dir / "can"
    parts = build_parts(cell, link.ticks, starter, hello["ft_path"], can, log, stamps=job.realtime)
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(Claim(cell.name)) if job.operated else None
        placement = Placement(cell.realtime) if job.realtime else None
        if placement is not None:
            placement.enter(link.pid)
        endpoint = f"ipc://{job.control_dir}/telemetry" if claim is None else claim.cell.telemetry
        publisher = Publisher(endpoint, parts.model.n, lockstep=not job.realtime)
        stack.callback(publisher.close)
        meta = Path(job.control_dir) / META_NAME
        _write_meta(meta, job, cell, hello, placement, parts)
        recorder = start_recorder(publisher.endpoint, run_dir / LOG_NAME, meta, idle=not job.recording)
        stack.callback(_end, recorder, publisher)
        if not publisher.wait_for_recorder(RECORDER_TIMEOUT):
            raise DriverError(f"the recorder did not start within {RECORDER_TIMEOUT:.0f} s; look for its message above")
        if placement is not None:
            placement.place_recorder(recorder.pid)
        link.register(supervisor=os.getpid(), recorder=recorder.pid)
        ring = None if job.flight < 0 else FlightRing(job.flight)
        sink = publisher if ring is None else FlightSink(publisher, ring)
        writer = RememberingWriter(TelemetryWriter(sink, array(cell.robot.stiffness)))
        supervisor = Supervisor(parts, StopMeter(writer))
        if placement is not None:
            writer.event("realtime", f"by the wall clock: {describe(placement.grants)}")
        tell_code(writer, [*parts.controllers.values()], [parts.observer], motions)
        result = RunResult()
        stack.enter_context(collector_off())

        def reconnect() -> bool:
            if not link.lost:
                return True
            found = link.reconnect(parts.arm)
            if found and placement is not None:
                placement.place_mock(link.pid)
            return found

        try:
            open_devices(parts)
            for each in parts.adapting:
                if placement is not None and each.pid >= 0:
                    # It was started by the cycle's process, and must not share its CPU.
                    placement.place_recorder(each.pid)
            point_at(link.control, parts.arm)
            if claim is None:
                _cycles(supervisor, cell, motions, result, request, progress)
            else:
                operated = OperatedCell(
                    supervisor,
                    cell,
                    writer,
                    recording=LogFiles(publisher, run_dir / LOG_NAME, job.recording),
                    reconnect=reconnect,
                    grants=None if placement is None else placement.grants,
                )
                operated.folder = str(run_dir.resolve())
                tell_code(writer, motions=operated.motions)
                result = operated.result
                server = OperationServer(claim.cell.control, operated.handle)
                stack.callback(server.close)
                run_operated(operated, server, link, request.look, progress)
        finally:
            close_devices(parts)
        alive = publisher.recorder_alive
        recorded = publisher.close() and alive
        if ring is not None and request.orphaned:
            write_orphaned(ring, run_dir, parts.arm.traits.period, meta)
        return _outcome(supervisor, result, request.reason, _problems(supervisor, recorded, link.lost, placement))


def _motions(job: Job, cell: Cell) -> list[Motion]:
    """Those of the cell file, or of an excitation plan. Raises MotionError, PluginError; ModelError, OSError for a plan
    that does not fit."""
    if not job.plan:
        return [build_motion(name, cell) for name in job.motions]
    # Coal is loaded for plans only.
    from hil.exciting import build_arena, load_plan, plan_motions

    arena = build_arena(cell)
    plan = load_plan(Path(job.plan), cell, arena)
    return [motion for motion in plan_motions(plan, cell, arena) if motion.name in job.motions]


def tell_code(
    writer: RememberingWriter,
    controllers: Iterable[object] = (),
    observers: Iterable[object] = (),
    motions: Iterable[object] = (),
) -> None:
    """Events that say which classes of the user's drive this run."""
    for what, made in (("controller", controllers), ("observer", observers), ("motion", motions)):
        for text in filter(None, (code_of(what, each) for each in made)):
            writer.event("code", text)


def _end(process: subprocess.Popen[bytes], publisher: Publisher) -> None:
    """Wait for the recorder; ask it to end, and make it, where it does not."""
    publisher.close()
    for insist in (None, process.terminate, process.kill):
        if insist is not None:
            insist()
        try:
            process.wait(RECORDER_TIMEOUT)
            return
        except subprocess.TimeoutExpired:
            continue


def _problems(supervisor: Supervisor, recorded: bool, mock_lost: bool, placement: Placement | None) -> list[str]:
    """What went wrong beside what the faults say."""
    problems = [] if placement is None else [str(grant) for grant in placement.grants if not grant.granted]
    if mock_lost:
        problems.append("the mock cell's process ended during the run; the faults follow from that")
    if not recorded:
        problems.append("the recorder died during the run; the log ends where it died")
    if supervisor.writer_failures:
        problems.append(f"{supervisor.writer_failures} rows or events could not be handed to the recorder")
    return problems


def _cycles(
    supervisor: Supervisor,
    cell: Cell,
    motions: list[Motion],
    result: RunResult,
    request: StopRequest,
    progress: ProgressPipe,
) -> None:
    procedure = run(supervisor, cell, motions, result)
    cycles = procedure_cycles(supervisor, procedure, AFTER)
    next_ns = 0
    stopping = False
    while True:
        if request.reason and not stopping:
            stopping = True
            cycles.close()
            supervisor.note(f"{request.reason} during {supervisor.phase!r}")
            supervisor.phase = "stop"
            cycles = procedure_cycles(supervisor, stop(supervisor, after=AFTER))
        if next(cycles, _END) is _END:
            break
        supervisor.step()
        now = supervisor.parts.ticks.now_ns()
        if now >= next_ns:
            next_ns = now + PROGRESS_NS
            request.look()
            progress.send(**supervisor.progress())
    progress.send(**supervisor.progress())


def _write_meta(
    path: Path, job: Job, cell: Cell, hello: dict[str, Any], placement: Placement | None, parts: Parts
) -> None:
    limits = cell.robot.joint_limits
    write_meta(
        path,
        n=limits.n,
        lockstep=placement is None,
        metadata={
            "run": {
                "cell": cell.name,
                "digest": cell.digest(),
                "mock": cell.mocks,
                "paced": hello["paced"],
                "operated": job.operated,
                "torque_side": parts.arm.traits.torque_side,
                "observer": parts.observed_by,
                "realtime": placement is not None,
                "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "motions": list(job.motions),
                "mock_profile": hello["profile"],
                "mock_seed": hello["seed"],
            },
            "limits": {
                "tau_max": limits.tau_max.tolist(),
                "tau_cmd_max": limits.tau_cmd_max.tolist(),
                "qd_max": limits.qd_max.tolist(),
                "source": cell.robot.limits.source,
            },
            "codes": {
                "safety_state": {state.value: number for state, number in STATE_NUMBERS.items()},
                "fault": {code.value: number for code, number in FAULT_NUMBERS.items()},
            },
            "realtime": {}
            if placement is None
            else {"asked": cell.realtime.model_dump(mode="json"), "grants": [g.to_mapping() for g in placement.grants]},
            "versions": versions(),
        },
        files=[(CELL_NAME, "application/yaml", cell.dump())],
    )


def _outcome(supervisor: Supervisor, result: RunResult, stopped: str, problems: list[str]) -> Outcome:
    machine = supervisor.machine
    figures: dict[str, float] = {}
    if result.wrench_tare is not None:
        figures["tare_force"] = float(np.linalg.norm(result.wrench_tare.mean[:3]))
    if result.torque_tare is not None:
        figures["tare_torque_max"] = float(np.abs(result.torque_tare.mean).max())
    return Outcome(
        finished=result.finished and machine.state is not State.FAULTED,
        stopped=stopped,
        state=machine.state.value,
        motions=tuple(result.motions),
        faults=tuple(fault.headline() for fault in machine.faults),
        explanation="" if machine.first is None else machine.first.explain(),
        problems=tuple(problems),
        cycles=supervisor.tick,
        figures=figures,
    )


def main(arguments: list[str] | None = None, connect: Callable[[Job], MockLink] = connect) -> int:
    """Command line; the exit code. ``connect`` finds the job's mock, and the clock that goes with it."""
    parser = argparse.ArgumentParser(prog="python -m hil.worker", description="Run one job of a cell.")
    parser.add_argument("--job", type=Path, required=True, help="Job as JSON")
    job = Job.from_json(parser.parse_args(arguments).job.read_text(encoding="utf-8"))
    progress = ProgressPipe(sys.stdout.fileno())
    try:
        outcome = work(job, progress, connect)
    except (
        CellError,
        DriverError,
        EstimatorError,
        MotionError,
        PluginError,
        ControlError,
        PlaceError,
        OSError,
    ) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    progress.last(outcome=outcome.to_mapping())
    try:
        outcome.write(Path(job.run_dir) / OUTCOME_NAME)
    except OSError as error:
        print(f"{OUTCOME_NAME} could not be written: {error}", file=sys.stderr)
    return 0 if outcome.finished else 3


if __name__ == "__main__":
    sys.exit(main())
