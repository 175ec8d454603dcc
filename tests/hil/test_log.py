"""Reading logs: cut anywhere, from other producers, with other fields; and the command line over it."""

from __future__ import annotations

import csv
import os
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from mcap.writer import CompressionType, Writer
from synthetic_run import write_run
from typer.testing import CliRunner

from hil.cli.log import app
from hil.report import summarise, verdict_rows
from hil.telemetry import mcapfile
from hil.telemetry.export import is_replaceable
from hil.telemetry.log import DamagedLogError, ForeignLogError, LogError, NotALogError, read_log
from hil.telemetry.mcapfile import LogWriter
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event

runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run.mcap", 1500)


def test_every_cut_is_readable_or_refused_in_words(tmp_path: Path) -> None:
    """A file cut at every 1000th byte (and in its first bytes) gives a prefix of the rows or a LogError."""
    run, cut = write_run(tmp_path / "run.mcap", 300), tmp_path / "cut.mcap"
    whole = run.read_bytes()
    complete = read_log(run)
    with run.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    # (end of the chunk in the file, rows up to then); rows are 1 ms apart
    chunks = [
        (c.chunk_start_offset + c.chunk_length, c.message_end_time // 1_000_000 + 1) for c in summary.chunk_indexes
    ]
    readable = 0
    for length in [*range(100), *range(100, len(whole), 1000), len(whole) - 9, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        try:
            log = read_log(cut)
        except NotALogError:
            assert length < 100
            continue
        readable += 1
        assert log.truncated
        assert log.note
        rows = len(log.cycle)
        assert rows == max((count for end, count in chunks if end <= length), default=0)
        assert log.cycle.tobytes() == complete.cycle[:rows].tobytes()
    assert readable > 100


def test_damaged_bytes_never_escape_as_anything_but_a_log_error(run: Path, tmp_path: Path) -> None:
    """Flipped bytes anywhere: whole rows from around the damage, never a changed one, or a LogError."""
    whole = bytearray(run.read_bytes())
    damaged = tmp_path / "damaged.mcap"
    rng = np.random.default_rng(5)
    complete = read_log(run).cycle
    for at in rng.integers(8, len(whole), 200).tolist():
        content = whole.copy()
        content[at] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(content)
        try:
            log = read_log(damaged)
        except LogError:
            continue
        kept = np.isin(complete["tick"], log.cycle["tick"])
        assert log.cycle.tobytes() == complete[kept].tobytes()
        assert kept.all() or log.damaged or log.truncated


def _chunks(path: Path) -> list[tuple[int, int, int]]:
    """(byte of the chunk record, bytes, first tick) of each chunk."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    return [(c.chunk_start_offset, c.chunk_length, c.message_start_time // 1_000_000) for c in summary.chunk_indexes]


@pytest.mark.parametrize("where", ["content", "length", "opcode", "first chunk"])
def test_one_damaged_chunk_costs_that_chunk_alone(run: Path, tmp_path: Path, where: str) -> None:
    """Reading goes on behind the damage, also where the declarations were lost; the log is damaged, not cut."""
    chunks = _chunks(run)
    index = 0 if where == "first chunk" else 4
    at, length, first = chunks[index]
    last = chunks[index + 1][2]
    content = bytearray(run.read_bytes())
    content[at + {"content": length // 2, "length": 5, "opcode": 0, "first chunk": 200}[where]] ^= 0x55
    damaged = tmp_path / "damaged.mcap"
    damaged.write_bytes(content)
    log, whole = read_log(damaged), read_log(run).cycle
    assert (log.damaged, log.truncated) == (1, False)
    lost = (whole["tick"] >= first) & (whole["tick"] < last)
    assert log.cycle.tobytes() == whole[~lost].tobytes()
    said = runner.invoke(app, ["info", str(damaged)])
    assert said.exit_code == 0, said.output
    assert "This log is damaged" in said.stderr
    assert "is cut" not in said.stderr
    assert {r.name: r.ok for r in verdict_rows(summarise(log))}["recorded"] is False


def test_chunks_close_by_row_time(tmp_path: Path) -> None:
    """Rows that are far apart in time do not wait for 64 KiB: nothing older than 50 ms is still unwritten."""
    layout = row_layout(7)
    path = tmp_path / "slow.mcap"
    writer = LogWriter(path, {}, [])
    split = layout.split
    for k in range(40):
        writer.row(layout.blank[:split], layout.blank[split:], k * 20_000_000)
        written = len(read_log(path).cycle)
        assert (k - written) * 20_000_000 < mcapfile.CHUNK_NS
    writer.finish()


def test_chunks_close_by_size(tmp_path: Path) -> None:
    """No chunk grows past 64 KiB by more than a row; this breaks if the mcap library changes its flush()."""
    layout = row_layout(7)
    path = tmp_path / "fast.mcap"
    writer = LogWriter(path, {}, [])
    for _ in range(500):
        writer.row(layout.blank[: layout.split], layout.blank[layout.split :], 0)
    writer.finish()
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    sizes = [c.uncompressed_size for c in summary.chunk_indexes]
    assert len(sizes) >= 10
    assert max(sizes[1:]) < mcapfile.CHUNK_BYTES + len(layout.blank) + 2 * 31
    assert sizes[0] < mcapfile.CHUNK_BYTES + 16_000  # the first one holds the schemas too


def test_old_chunk_is_written_although_no_row_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the wall clock too a chunk closes after 50 ms, so that a pause does not hold rows back."""
    clock = [1_000_000_000]
    monkeypatch.setattr(mcapfile.time, "monotonic_ns", lambda: clock[0])
    layout = row_layout(7)
    writer = LogWriter(tmp_path / "pause.mcap", {}, [])
    writer.row(layout.blank[: layout.split], layout.blank[layout.split :], 0)
    clock[0] += 49_000_000
    writer.tend()
    assert len(read_log(tmp_path / "pause.mcap").cycle) == 0
    clock[0] += 1_000_000
    writer.tend()
    assert len(read_log(tmp_path / "pause.mcap").cycle) == 1
    writer.finish()


def test_other_mcap_readers_read_our_files(run: Path) -> None:
    """The mcap library's own readers see the same messages, whole file or cut."""
    with run.open("rb") as file:
        summary = make_reader(file).get_summary()
        assert summary is not None
        assert summary.statistics is not None
        counts = summary.statistics.channel_message_counts
        assert counts == {1: 1500, 2: 1500, 3: 6}
        names = {s.name: s.encoding for s in summary.schemas.values()}
    assert names == {"hil.Cycle": "protobuf", "hil.Timing": "protobuf", "hil.Event": "protobuf"}
    seen = 0
    reader = NonSeekingReader(BytesIO(run.read_bytes()[:-100_000]))
    try:
        for _ in reader.iter_messages("/cycle", log_time_order=False):
            seen += 1
    except (McapError, RuntimeError, struct.error):
        pass  # the library reads up to the cut, then raises; what, depends on the record that the cut is in
    assert seen > 1000


def test_attachment_and_metadata_survive_an_early_cut(run: Path, tmp_path: Path) -> None:
    """Configuration stands at the start of the file."""
    cut = tmp_path / "early.mcap"
    cut.write_bytes(run.read_bytes()[:6000])
    log = read_log(cut)
    assert log.attachments["cell.yaml"].startswith(b"name: polishing")
    assert log.meta("limits", "tau_max") == [320.0, 320.0, 176.0, 176.0, 110.0, 40.0, 40.0]
    assert len(log.cycle) == len(log.seconds) == 0
    assert log.cycle["q"].shape == (0, 7)


def test_files_with_other_fields_are_decoded_by_their_own_schema(tmp_path: Path) -> None:
    """A log of another version: fields gone, new, renumbered, of other types."""
    file = descriptor_pb2.FileDescriptorProto(name="old.proto", package="hil", syntax="proto3")
    message = file.message_type.add(name="Cycle")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (name, kind, label) in enumerate(
        [
            ("t_ns", kinds.TYPE_SFIXED64, kinds.LABEL_OPTIONAL),
            ("q", kinds.TYPE_DOUBLE, kinds.LABEL_REPEATED),
            ("retired", kinds.TYPE_DOUBLE, kinds.LABEL_OPTIONAL),
            ("comment", kinds.TYPE_STRING, kinds.LABEL_OPTIONAL),
        ],
        start=1,
    ):
        message.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    cls = message_factory.GetMessageClass(pool.FindMessageTypeByName("hil.Cycle"))
    path = tmp_path / "old.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="hil", library="an older hil")
        schema = writer.register_schema(
            "hil.Cycle", "protobuf", descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()
        )
        channel = writer.register_channel("/cycle", "protobuf", schema)
        for k in range(5):
            data = cls(t_ns=k, q=[k, 2 * k], retired=0.5, comment="x" * k).SerializeToString()
            writer.add_message(channel, k, data, k)
        writer.finish()
    log = read_log(path)
    assert log.cycle.dtype.names == ("t_ns", "q", "retired")
    assert log.cycle["t_ns"].tolist() == [0, 1, 2, 3, 4]
    assert log.cycle["q"].tolist() == [[k, 2 * k] for k in range(5)]
    assert len(log.timing) == 0
    assert runner.invoke(app, ["info", str(path)]).exit_code == 0


def test_every_nth_row(run: Path) -> None:
    """Picking does not depend on where chunks end."""
    ticks = read_log(run, every=7).cycle["tick"]
    assert ticks.tolist() == list(range(0, 1500, 7))


def _foreign(path: Path) -> Path:
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.NONE)
        writer.start(profile="ros2", library="somebody's bag writer")
        writer.finish()
    return path


def test_what_is_no_log_of_ours_is_refused_in_words(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.mcap", tmp_path / "text.mcap"
    empty.write_bytes(b"")
    text.write_text("tick,q\n1,2\n" * 100)
    with pytest.raises(NotALogError, match="is empty"):
        read_log(empty)
    with pytest.raises(NotALogError, match="no MCAP file"):
        read_log(text)
    with pytest.raises(NotALogError, match="cannot be read: No such file"):
        read_log(tmp_path / "nothing.mcap")
    with pytest.raises(NotALogError, match="cannot be read"):
        read_log(tmp_path)
    with pytest.raises(ForeignLogError, match=r"somebody's bag writer.*general MCAP viewer"):
        read_log(_foreign(tmp_path / "bag.mcap"))


def test_a_log_against_its_own_schema_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "odd.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, compression=CompressionType.LZ4)
        writer.start(profile="hil", library="x")
        schema = writer.register_schema("hil.Cycle", "protobuf", b"\xff\xff")
        writer.add_message(writer.register_channel("/cycle", "protobuf", schema), 0, b"", 0)
        writer.finish()
    with pytest.raises(DamagedLogError, match="FileDescriptorSet"):
        read_log(path)


@pytest.mark.parametrize("command", ["info", "plot", "export"])
def test_bad_files_end_with_code_2_and_a_sentence(tmp_path: Path, command: str) -> None:
    """No traceback, whatever the file is."""
    text = tmp_path / "text.mcap"
    text.write_text("hello, this is no log")
    for path in (tmp_path / "nothing.mcap", text, _foreign(tmp_path / "bag.mcap"), tmp_path):
        result = runner.invoke(app, [command, str(path)])
        assert result.exit_code == 2, result.output
        assert "error:" in result.stderr
        assert "Traceback" not in result.output


def test_info_of_a_cut_log_says_so(run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(run.read_bytes()[:-40_000])
    result = runner.invoke(app, ["info", str(cut)])
    assert result.exit_code == 0
    assert "This log is cut" in result.stderr
    assert "1000 Hz" in result.stdout
    assert "mocks" in result.stdout
    assert "pressing force" in result.stdout


def test_plot_writes_pictures(run: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["plot", str(run), "--out", str(tmp_path / "pictures")])
    assert result.exit_code == 0, result.output
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == [f"run-{n}.png" for n in ("force", "timing", "torque", "tracking", "wrench")]
    for path in (tmp_path / "pictures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


@pytest.mark.parametrize("channel", ["/cycle", "timing"])
def test_exported_values_are_the_recorded_ones(run: Path, tmp_path: Path, channel: str) -> None:
    """Every number in the CSV reads back as the same bits; units stand in the header."""
    out = tmp_path / "run.csv"
    result = runner.invoke(app, ["export", str(run), "--out", str(out), "--channel", channel, "--every", "5"])
    assert result.exit_code == 0, result.output
    with out.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert [p.name for p in tmp_path.iterdir()] == ["run.csv"]
    table = read_log(run).channels["/" + channel.strip("/")][::5]
    assert len(rows) == len(table) == 300
    column = 0
    for name in table.dtype.names:
        values = table[name].reshape(len(table), -1)
        for k in range(values.shape[1]):
            assert header[column].split(" ")[0] == (name if table[name].ndim == 1 else f"{name}_{k}")
            kind = np.float64 if values.dtype.kind == "f" else np.int64
            got = np.array([r[column] for r in rows]).astype(kind)
            assert got.tobytes() == values[:, k].astype(kind).tobytes(), header[column]
            column += 1
    assert column == len(header)
    if channel == "/cycle":
        assert {"q_0 [rad]", "wrench_ft_2 [N]", "wrench_ft_5 [N·m]", "tick", "t_ns [ns]"} <= set(header)


def test_events_export(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.csv"
    done = runner.invoke(app, ["export", str(run), "--channel", "events", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "6 events of" in done.output
    assert " kB" in done.output
    assert "bit" not in done.output
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 7
    assert rows[1][2:4] == ["phase", "phase 0 is 'home'"]


def test_export_to_standard_output(run: Path) -> None:
    result = runner.invoke(app, ["export", str(run), "--every", "500", "--channel", "timing", "--out", "-"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 4  # header and rows, nothing else
    assert result.stdout.startswith("tick,")
    assert "3 rows of 8 columns" in result.stderr


def test_export_never_replaces_what_is_no_file(run: Path, tmp_path: Path) -> None:
    """A pipe stays a pipe and gets the rows; a link stays a link."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    arguments = ["export", str(run), "--every", "500", "--channel", "timing", "--out"]
    assert runner.invoke(app, [*arguments, str(pipe)]).exit_code == 0
    assert pipe.is_fifo()
    assert len(os.read(reader, 65536).splitlines()) == 4
    os.close(reader)
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    assert runner.invoke(app, [*arguments, str(link)]).exit_code == 0
    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 4
    assert {p.name for p in tmp_path.iterdir()} == {"pipe", "target.csv", "link.csv"}
    assert not is_replaceable(Path("/dev/null"))
    assert not is_replaceable(Path("/dev/stdout"))


def test_info_shows_the_end_and_the_faults(tmp_path: Path) -> None:
    """Of many events the last ones and every fault; the numbers of codes only when asked for."""
    path = tmp_path / "many.mcap"
    writer = LogWriter(path, {"codes": {"fault": '{"torque_rate": 10}'}}, [])
    writer.event(Event(0, 0, "phase", "phase 0 is 'connect'", {"index": 0, "name": "connect"}))
    writer.event(Event(1, 1, "fault", "A6 too fast"))
    for k in range(40):
        writer.event(Event(k, k, "note", f"number {k}."))
    writer.event(Event(50, 50, "stop", "stop of category 1"))
    writer.finish()
    text = runner.invoke(app, ["info", str(path)]).stdout
    assert "A6 too fast" in text
    assert "stop of category 1" in text
    assert "number 21." in text
    assert "number 20." not in text
    assert "23 earlier" in text
    assert "torque_rate" not in text
    everything = runner.invoke(app, ["info", str(path), "--codes", "--events", "100"]).stdout
    assert "connect begins" in everything
    assert "phase 0" not in everything
    assert "torque_rate" in everything


def test_failed_export_leaves_the_old_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up half-way destroys nothing and leaves nothing behind."""
    out = tmp_path / "run.csv"
    out.write_text("old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hil.telemetry.export.os.fsync", full)
    result = runner.invoke(app, ["export", str(run), "--out", str(out)])
    assert result.exit_code == 2
    assert "No space left" in result.stderr
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.csv"]


def test_unknown_channel_names_the_known_ones(run: Path) -> None:
    result = runner.invoke(app, ["export", str(run), "--channel", "/joints"])
    assert result.exit_code == 2
    assert "/cycle, /timing, /events" in result.stderr


def test_event_times_may_be_negative_or_missing(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "e.mcap", {}, [])
    writer.event(Event(-1, -5, "start", "before time began"))
    writer.finish()
    log = read_log(tmp_path / "e.mcap")
    assert (log.events[0].t_ns, log.events[0].tick, log.truncated) == (-5, -1, False)
    assert runner.invoke(app, ["info", str(tmp_path / "e.mcap")]).exit_code == 0
