"""The flight recorder: memory that outlives its writer, and one file for each stop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hil.flight import FlightRing, RingError, write_orphaned
from hil.flight.file import OVER
from hil.flight.recorder import FlightRecorder
from hil.flight.watch import AFTER, BEFORE
from hil.report import summarise
from hil.telemetry.log import read_log
from hil.telemetry.mcapfile import LogWriter
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event
from tests.hil.flying import FAULT, PERIOD, STOPPING, Made, N

BLANK = row_layout(N).blank


@pytest.fixture
def ring() -> Iterator[FlightRing]:
    made = FlightRing.create(N, PERIOD, 0.2)  # twenty rows
    yield made
    os.close(made.fd)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path)
    yield made
    os.close(made.ring.fd)


def row(k: int) -> bytes:
    return bytes([k % 251]) * len(BLANK)


def test_what_one_process_writes_another_reads(ring: FlightRing) -> None:
    other = FlightRing(ring.fd)
    for k in range(7):
        ring.add(row(k))
    ring.event(Event(3, 4, "fault", "hot", {"joint": 2}))
    ring.phase(Event(0, 0, "phase", "phase 0 is 'hold'", {"index": 0, "name": "hold"}))
    taken = other.take()
    assert taken.rows == b"".join(map(row, range(7)))
    assert (taken.count, taken.missed, len(taken.events)) == (7, 0, 1)
    assert len(other.phases()) == 1
    assert other.take().count == 0
    assert ring.last(2) == row(5) + row(6)


def test_a_reader_that_is_late_misses_the_oldest_and_is_told(ring: FlightRing) -> None:
    for k in range(53):
        ring.add(row(k))
    taken = ring.take()
    # The row that the writer would touch next is not trusted.
    assert taken.rows == b"".join(map(row, range(34, 53)))
    assert taken.missed == 34
    for k in range(53, 60):
        ring.add(row(k))
    assert ring.take().rows == b"".join(map(row, range(53, 60)))


def test_a_row_cut_short_by_a_kill_is_not_seen(ring: FlightRing) -> None:
    """The count rises only when the whole row stands there."""
    ring.add(row(1))
    with pytest.raises(ValueError, match="different structures"):
        ring.add(row(2)[:-1])
    assert ring.take().rows == row(1)


def test_events_of_any_length_fit_and_old_ones_go(ring: FlightRing) -> None:
    ring.event(Event(0, 0, "error", "Traceback " * 2000, {"much": "x" * 5000}))
    (long,) = ring.take().events
    assert 1000 < len(long) < 6000
    for k in range(300):
        ring.event(Event(k, k, "note", str(k)))
    assert len(ring.take().events) == 256


def test_names_of_phases_stop_where_the_room_ends(ring: FlightRing) -> None:
    for k in range(1000):
        ring.phase(Event(k, 0, "phase", f"phase {k}", {"index": k, "name": "n" * 40}))
    assert 200 < len(ring.phases()) < 1000


@pytest.mark.parametrize("size", [16, 4096, 8192])
def test_memory_that_is_no_ring_is_refused(size: int) -> None:
    fd = os.memfd_create("no ring")
    os.ftruncate(fd, size)
    with pytest.raises(RingError, match="expected"):
        FlightRing(fd)
    os.close(fd)


def test_memory_of_another_version_is_refused(ring: FlightRing) -> None:
    os.ftruncate(ring.fd, os.fstat(ring.fd).st_size + 8)
    with pytest.raises(RingError, match="same version"):
        FlightRing(ring.fd)


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_stop_has_a_file_from_before_it_to_after_it(made: Made) -> None:
    made.rows(400)
    made.event("note", "stopped by the operator")
    made.stop(30)
    (path,) = made.watch.files
    assert path.name == "0001.mcap"
    log = read_log(path)
    assert not log.truncated
    rows = log.cycle
    assert (np.diff(rows["tick"]) == 1).all()
    begin = int(np.argmax(rows["stop_category"] >= 0))
    end = len(rows) - int(np.argmax(rows["stop_category"][::-1] >= 0))
    assert log.seconds[begin] >= BEFORE - PERIOD
    assert log.seconds[-1] - log.seconds[end] >= AFTER - PERIOD
    assert (log.timing["tick"] == rows["tick"]).all()
    assert (log.timing["t_ns"] == rows["t_ns"]).all()
    assert [e.kind for e in log.events] == ["note", "recorded"]
    assert summarise(log).complete
    assert log.events[-1].data["reason"] == OVER
    assert log.attachments["cell.yaml"] == b"name: bench\n"
    assert list(path.parent.iterdir()) == [path]


def test_each_stop_has_its_own_file(made: Made) -> None:
    made.rows(300)
    for _ in range(3):
        made.stop()
        made.rows(50)
    assert [path.name for path in made.watch.files] == ["0001.mcap", "0002.mcap", "0003.mcap"]


def test_a_latched_fault_is_one_stop_until_it_is_acknowledged(made: Made) -> None:
    made.rows(300)
    made.stop(fault=FAULT)
    made.rows(500, fault=FAULT)
    assert len(made.watch.files) == 1
    made.rows(50)
    made.stop(fault=FAULT)
    assert len(made.watch.files) == 2


def test_a_hold_is_over_when_the_arm_stands_and_a_fault_in_it_is_news(made: Made) -> None:
    made.rows(300)
    made.rows(20, stop_category=2, safety_state=STOPPING, qd=0.5)
    made.rows(600, stop_category=2, safety_state=STOPPING)
    assert len(made.watch.files) == 1
    made.stop(fault=FAULT)
    assert len(made.watch.files) == 2


def test_a_stop_right_after_another_goes_on_in_its_file(made: Made) -> None:
    made.rows(300)
    made.rows(20, stop_category=1, safety_state=STOPPING, qd=0.5)
    made.rows(30)
    made.stop()
    (path,) = made.watch.files
    assert np.count_nonzero(np.diff((read_log(path).cycle["stop_category"] >= 0).astype(int)) == 1) == 2


@pytest.mark.parametrize(("planned", "fault", "files"), [(True, 0, 0), (True, FAULT, 1), (False, 0, 1)])
def test_only_the_runs_own_end_has_no_file(made: Made, planned: bool, fault: int, files: int) -> None:
    made.rows(300)
    made.rows(20, stop_category=1, safety_state=STOPPING, fault=fault)
    made.watch.finish(died=False, planned=planned)
    assert len(made.watch.files) == files


def test_a_killed_supervisor_leaves_its_last_rows(made: Made) -> None:
    made.rows(300, poll=False)
    made.watch.finish(died=True, planned=False)
    (path,) = made.watch.files
    log = read_log(path)
    assert int(log.cycle["tick"][-1]) == 299
    assert [e.kind for e in log.events] == ["died", "recorded"]


def test_one_that_died_without_commanding_leaves_none(made: Made) -> None:
    made.rows(300, safety_state=1)
    made.watch.finish(died=True, planned=False)
    assert made.watch.files == []


def test_rows_that_could_not_be_kept_are_told(tmp_path: Path) -> None:
    made = Made(tmp_path, seconds=2.0)
    made.rows(50)
    made.rows(10, stop_category=1, safety_state=STOPPING)
    made.rows(500, poll=False, stop_category=1, safety_state=STOPPING)
    made.stop()
    (path,) = made.watch.files
    log = read_log(path)
    assert [e.data["missed"] for e in log.events if e.kind == "gap"] == [321]
    assert summarise(log).missed == 321
    os.close(made.ring.fd)


def test_whole_or_not_at_all(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a file leaves nothing behind, and is told; the next stop has a file."""
    written = LogWriter.row
    count = 0

    def full(self: LogWriter, *row: object) -> None:
        nonlocal count
        count += 1
        if count > 100:
            raise OSError(28, "No space left on device")
        written(self, *row)  # type: ignore[arg-type]

    monkeypatch.setattr(LogWriter, "row", full)
    made.rows(300)
    made.stop()
    assert made.watch.files == []
    assert "No space left" in made.watch.problems[0]
    assert list((made.watch._folder).iterdir()) == []
    monkeypatch.undo()
    made.rows(50)
    made.stop()
    assert [path.name for path in made.watch.files] == ["0001.mcap"]


def test_a_run_whose_starter_died_keeps_its_last_stop_itself(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"n": 3, "lockstep": true, "metadata": {"run": {"cell": "bench"}}}')
    made = Made(tmp_path)
    made.rows(300, poll=False)
    made.rows(20, poll=False, stop_category=1, safety_state=STOPPING)
    write_orphaned(FlightRing(made.ring.fd), tmp_path, PERIOD, tmp_path / "meta.json")
    assert len(read_log(tmp_path / "stops" / "0001.mcap").cycle) == 270
    os.close(made.ring.fd)


def test_a_machine_without_such_memory_runs_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "memfd_create", refused)
    with FlightRecorder(N, PERIOD, tmp_path, tmp_path) as flight:
        assert flight.fd == -1
        flight.poll()
        (problem,) = flight.finish(died=False, planned=True)
    assert "no flight recorder" in problem
    assert flight.stops == []
