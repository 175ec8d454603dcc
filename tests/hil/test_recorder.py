"""Publisher and recorder as two processes: complete logs, and what is left after either is killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq
from telemetry_helpers import DT_NS, READY_S, N, endpoint, fill, launch, meta, record

from hil.report.summary import missing_end
from hil.telemetry.log import read_log
from hil.telemetry.publisher import Publisher
from hil.telemetry.recorder import main


def _deterministic(path: Path) -> tuple[bytes, list[object]]:
    log = read_log(path)
    return log.cycle.tobytes(), [*log.events, dict(log.metadata), dict(log.attachments)]


def test_round_trip(tmp_path: Path) -> None:
    """What was written into the row is what is read from the file, NaN included, with events and metadata."""
    log = read_log(record(tmp_path, 400))
    assert not log.truncated
    assert log.cycle["tick"].tolist() == log.timing["tick"].tolist() == list(range(400))
    assert log.timing["t_ns"].tolist() == [k * DT_NS for k in range(400)]
    publisher = Publisher(f"ipc://{tmp_path}/second.sock", N, lockstep=False)
    for tick in (0, 7, 399):
        fill(publisher, tick)
        for name in log.cycle.dtype.names:
            assert log.cycle[name][tick].tobytes() == publisher.fields[name].tobytes(), name
    publisher.close()
    assert log.timing["wall_cycle_ns"].tolist() == [os.getpid() + k for k in range(400)]
    assert (log.timing["wall_pub_ns"][1:] > 0).all()
    assert [(e.kind, e.tick) for e in log.events] == [("phase", 200), ("fault", 200), ("recorded", 399)]
    assert log.events[1].data == {"joint": 3, "limit": None, "value": 81.5}
    assert log.phases == {0: "press"}
    assert log.events[-1].data == {"rows": 400, "missed": 0, "reason": "end of the run"}
    assert log.meta("run", "mock") is True
    assert log.meta("limits", "tau_max") == [320.0] * N
    assert log.attachments == {"cell.yaml": b"name: test\n"}
    assert log.units["/cycle"]["qd"] == "rad/s"


def test_same_rows_give_the_same_decoded_log(tmp_path: Path) -> None:
    """Two lockstep recordings differ in nothing but the wall-clock channel."""
    one, two = (_deterministic(record(tmp_path, 300, name)) for name in ("one.mcap", "two.mcap"))
    assert one == two


@pytest.mark.parametrize("killed_at", [61, 1234])
def test_killed_recorder_leaves_a_readable_log_and_the_publisher_goes_on(tmp_path: Path, killed_at: int) -> None:
    """SIGKILL at a seeded row: at most 0.1 s of row time is lost, and publishing continues without waiting."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=True)
    recorder = launch(tmp_path)
    assert publisher.wait_for_recorder(READY_S)
    for tick in range(2000):
        if tick == killed_at:
            recorder.kill()
        fill(publisher, tick)
        publisher.publish()
    status = publisher.status()
    assert status.sent == 2000
    assert not status.recorder_alive
    assert status.recorder_pid == recorder.pid
    assert not publisher.close()
    recorder.wait()
    log = read_log(tmp_path / "run.mcap")
    assert log.truncated
    rows = len(log.cycle)
    assert rows * DT_NS >= killed_at * DT_NS - 100_000_000
    assert log.cycle["tick"].tolist() == list(range(rows))


@pytest.mark.parametrize("ticks", [40, 700])
def test_killed_publisher_leaves_a_complete_file(tmp_path: Path, ticks: int) -> None:
    """When the publishing process is killed the recorder finishes the file by itself."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from telemetry_helpers import *\n"
        "folder, ticks = Path(sys.argv[1]), int(sys.argv[2])\n"
        "publisher = Publisher(endpoint(folder), N, lockstep=True)\n"
        "recorder = launch(folder)\n"
        "assert publisher.wait_for_recorder(READY_S)\n"
        "print(recorder.pid, flush=True)\n"
        "for tick in range(ticks):\n"
        "    fill(publisher, tick)\n"
        "    publisher.publish()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parents[1])])}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(ticks)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    recorder_fd = os.pidfd_open(int(process.stdout.readline()))
    try:
        assert process.wait(READY_S) == -signal.SIGKILL
        assert select.select([recorder_fd], [], [], READY_S)[0], "the recorder did not end"
    finally:
        os.close(recorder_fd)
        process.stdout.close()
    log = read_log(tmp_path / "run.mcap")
    assert not log.truncated
    assert log.events[-1].kind == "recorded"
    assert log.events[-1].data["reason"] == "the publishing process died"
    rows = len(log.cycle)
    assert log.cycle["tick"].tolist() == list(range(rows))
    # Not acknowledged rows may die with the publisher's socket; everything before is there.
    assert rows >= ticks - 25


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_file_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    publisher = Publisher(endpoint(tmp_path), N, lockstep=True)
    recorder = launch(tmp_path)
    assert publisher.wait_for_recorder(READY_S)
    for tick in range(120):
        fill(publisher, tick)
        publisher.publish()
    recorder.send_signal(number)
    assert recorder.wait(READY_S) == 0
    for tick in range(120, 200):  # must not hang on a recorder that left on purpose
        fill(publisher, tick)
        publisher.publish()
    assert publisher.status().unacknowledged == 0
    publisher.close()
    log = read_log(tmp_path / "run.mcap")
    assert not log.truncated
    assert log.events[-1].data["reason"] == f"{number.name} received"
    assert len(log.cycle) >= 120 - 25


def test_gaps_are_counted_and_told(tmp_path: Path) -> None:
    """Messages that never reach the recorder stand in the log as an event and in the final count."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=False)
    recorder = launch(tmp_path, lockstep=False)
    assert publisher.wait_for_recorder(READY_S)
    for tick in range(100):
        fill(publisher, tick)
        if tick == 50:
            publisher._sequence += 9  # as if the socket had dropped nine
        publisher.publish()
    assert publisher.close(READY_S)
    assert recorder.wait(READY_S) == 0
    log = read_log(tmp_path / "run.mcap")
    gap = next(e for e in log.events if e.kind == "gap")
    assert (gap.tick, gap.data) == (50, {"missed": 9})
    assert log.events[-1].data == {"rows": 100, "missed": 9, "reason": "end of the run"}


def test_wall_clock_publisher_never_waits(tmp_path: Path) -> None:
    """With a stopped recorder every publish returns; what it could not take is counted when it comes back."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=False)
    recorder = launch(tmp_path, lockstep=False)
    assert publisher.wait_for_recorder(READY_S)
    recorder.send_signal(signal.SIGSTOP)
    for tick in range(40_000):  # more than all queues between the two together can hold
        publisher.slots["tick"][()] = tick
        publisher.slots["t_ns"][()] = tick * DT_NS
        publisher.publish()
    recorder.send_signal(signal.SIGCONT)
    assert publisher.close(READY_S)
    assert recorder.wait(READY_S) == 0
    log = read_log(tmp_path / "run.mcap")
    assert 0 < len(log.cycle) < 40_000
    assert (np.diff(log.cycle["tick"]) > 0).all()


def test_without_recorder_nothing_waits(tmp_path: Path) -> None:
    """A run that is not recorded goes on, in lockstep too."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=True)
    assert not publisher.wait_for_recorder(0.01)
    for tick in range(200):
        fill(publisher, tick)
        publisher.publish()
    assert publisher.close()
    assert publisher.close()


def test_a_monitor_beside_the_recorder_takes_nothing_away(tmp_path: Path) -> None:
    """A plain SUB that subscribed first must not hide the recorder's announcement."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=True)
    with zmq.Context() as context, context.socket(zmq.SUB) as monitor:
        monitor.linger = 0
        monitor.connect(endpoint(tmp_path))
        monitor.subscribe(b"")
        recorder = launch(tmp_path)
        assert publisher.wait_for_recorder(READY_S)
        for tick in range(60):
            fill(publisher, tick)
            publisher.publish()
        assert monitor.poll(READY_S * 1000)
        assert monitor.recv()[:4] == b"row\0"
    assert publisher.close(READY_S)
    assert recorder.wait(READY_S) == 0
    assert len(read_log(tmp_path / "run.mcap").cycle) == 60


def test_wrong_joint_count_is_refused_in_words(tmp_path: Path) -> None:
    """A recorder told of another arm says so, and the file stays readable."""
    publisher = Publisher(endpoint(tmp_path), 6, lockstep=False)
    recorder = launch(tmp_path, lockstep=False)
    assert publisher.wait_for_recorder(READY_S)
    publisher.publish()
    assert recorder.wait(READY_S) == 1
    publisher.close(0)
    assert len(read_log(tmp_path / "run.mcap").cycle) == 0


def test_bad_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    arguments = ["--endpoint", endpoint(tmp_path), "--out", str(tmp_path / "x.mcap"), "--meta"]
    assert main([*arguments, str(bad)]) == 2
    assert "cannot start" in capsys.readouterr().err
    good = meta(tmp_path)
    assert main(["--endpoint", endpoint(tmp_path), "--out", str(tmp_path / "no" / "x"), "--meta", str(good)]) == 2
    # The largest pid Linux allows is 2^22.
    assert main([*arguments, str(good), "--parent", str(2**22 + 1)]) == 2


def test_recording_goes_on_in_another_file_or_in_none(tmp_path: Path) -> None:
    """Rows go to the log that is named at the time; each log is complete, knows its phases and counts its own rows."""
    publisher = Publisher(endpoint(tmp_path), N, lockstep=True)
    recorder = launch(tmp_path)
    try:
        assert publisher.wait_for_recorder(READY_S)
        for tick in range(300):
            if tick == 100:
                publisher.record_to("")
            if tick == 200:
                publisher.record_to(str(tmp_path / "second.mcap"))
            fill(publisher, tick)
            publisher.slots["phase"][()] = publisher.phase("swing")
            publisher.publish()
        assert publisher.close()
        assert recorder.wait(READY_S) == 0
    finally:
        recorder.kill()
        recorder.wait()
    for name, first in (("run.mcap", 0), ("second.mcap", 200)):
        log = read_log(tmp_path / name)
        assert not log.truncated
        assert log.cycle["tick"].tolist() == list(range(first, first + 100))
        assert log.phases == {0: "swing"}
        (ended,) = [event for event in log.events if event.kind == "recorded"]
        assert (ended.data["rows"], ended.data["missed"]) == (100, 0)
        assert missing_end(log) == ""
