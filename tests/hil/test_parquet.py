"""Logs as Parquet: the same bits, units and provenance, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_run import write_run
from typer.testing import CliRunner

from hil.cli.log import app
from hil.telemetry import parquet
from hil.telemetry.export import header
from hil.telemetry.log import read_log
from hil.telemetry.parquet import export_parquet

runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run.mcap", 1500)


@pytest.mark.parametrize(("channel", "every"), [("/cycle", 1), ("timing", 1), ("/cycle", 7)])
def test_every_number_is_the_recorded_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channel: str, every: int
) -> None:
    """Row for row and bit for bit, over the borders of row groups; NaN stays NaN and is no null."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 400)
    out = tmp_path / "run.parquet"
    result = runner.invoke(app, ["export", str(run), "--out", str(out), "--channel", channel, "--every", str(every)])
    assert result.exit_code == 0, result.output
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
    topic = "/" + channel.strip("/")
    log = read_log(run, every=every)
    table, got = log.channels[topic], pq.read_table(out)
    assert got.column_names == header(log, topic)
    assert pq.ParquetFile(out).num_row_groups == -(-len(table) // 400)
    columns = iter(got.columns)
    for name in table.dtype.names or ():
        values = table[name].reshape(len(table), -1)
        for k in range(values.shape[1]):
            column = next(columns)
            assert column.null_count == 0
            assert column.to_numpy().dtype == values.dtype
            assert column.to_numpy().tobytes() == np.ascontiguousarray(values[:, k]).tobytes(), name
    assert next(columns, None) is None


def test_units_and_provenance_travel_along(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.parquet"
    export_parquet(run, "/cycle", out)
    schema = pq.read_schema(out)
    assert schema.field("q_0 [rad]").metadata[b"unit"] == b"rad"
    assert schema.field("wrench_ft_5 [N·m]").metadata[b"unit"] == "N·m".encode()
    metadata = {key.decode(): value.decode() for key, value in pq.ParquetFile(out).metadata.metadata.items()}
    log = read_log(run)
    assert metadata["hil.cell"] == log.meta("run", "cell")
    assert (metadata["hil.channel"], metadata["hil.source"], metadata["hil.every"]) == ("/cycle", "run.mcap", "1")
    assert json.loads(metadata["hil.units"])["qd_6 [rad/s]"] == "rad/s"
    for name, entries in log.metadata.items():
        assert json.loads(metadata[f"hil.meta.{name}"]) == dict(entries)
    assert metadata["hil.file.cell.yaml"].encode() == log.attachments["cell.yaml"]
    assert "hil.note" not in metadata


def test_events(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    arguments = ["export", str(run), "--channel", "events", "--format", "parquet", "--out", str(out)]
    assert runner.invoke(app, arguments).exit_code == 0
    events = read_log(run).events
    rows = pq.read_table(out).to_pylist()
    assert [(r["tick"], r["t_ns [ns]"], r["kind"], r["text"]) for r in rows] == [
        (e.tick, e.t_ns, e.kind, e.text) for e in events
    ]
    assert [json.loads(r["data"]) for r in rows] == [e.data for e in events]


def test_a_cut_log_gives_what_stands_before_the_cut(run: Path, tmp_path: Path) -> None:
    """Also a log that was cut before its first row: a table with columns and no rows."""
    cut, out = tmp_path / "cut.mcap", tmp_path / "cut.parquet"
    for length in (run.stat().st_size - 40_000, 6000):
        cut.write_bytes(run.read_bytes()[:length])
        result = runner.invoke(app, ["export", str(cut), "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert "This log is cut" in result.stderr
        log, got = read_log(cut), pq.read_table(out)
        assert got.num_rows == len(log.cycle)
        assert got.column_names == [*header(log, "/cycle")]
        assert b"hil.note" in pq.ParquetFile(out).metadata.metadata


def test_memory_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more rows in hand than a row group and a chunk of the log."""
    run = write_run(tmp_path / "long.mcap", 3000)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 200)
    seen: list[int] = []
    write = parquet._Writer.write

    def watched(self: parquet._Writer, rows: np.ndarray, scan: parquet.Scan) -> None:
        held = sum(len(part) for parts in scan._tables.values() for part in parts)
        seen.append(len(rows) + held)
        write(self, rows, scan)

    monkeypatch.setattr(parquet._Writer, "write", watched)
    told: list[float] = []
    rows, columns, log = export_parquet(run, "/cycle", tmp_path / "long.parquet", progress=told.append)
    assert (rows, columns) == (3000, len(header(read_log(run), "/cycle")))
    assert len(log.cycle) == 0
    assert max(seen) <= 200
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_export_that_ends_early_leaves_the_old_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C or a full disk half-way: what stood there stands there still, and nothing beside it."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 400)
    out = tmp_path / "run.parquet"
    out.write_text("old")
    count = 0

    def progress(share: float) -> None:
        nonlocal count
        count += 1
        if share > 0.5:
            raise error

    with pytest.raises(type(error) if isinstance(error, OSError) else KeyboardInterrupt):
        export_parquet(run, "/cycle", out, progress=progress)
    assert count > 3
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]


def test_what_cannot_be_is_refused_in_words(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run.parquet"
    unknown = runner.invoke(app, ["export", str(run), "--channel", "/joints", "--out", str(out)])
    assert unknown.exit_code == 2
    assert "it has /cycle, /timing, /events" in " ".join(unknown.stderr.split())
    pipe = runner.invoke(app, ["export", str(run), "--format", "parquet", "--out", "-"])
    assert pipe.exit_code == 2
    assert "--format csv" in pipe.stderr
    nothing = runner.invoke(app, ["export", str(tmp_path / "nothing.mcap"), "--format", "parquet"])
    assert nothing.exit_code == 2
    assert "cannot be read" in nothing.stderr
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    missing = runner.invoke(app, ["export", str(run), "--out", str(out)])
    assert missing.exit_code == 2
    assert "pip install 'hil-lab[parquet]'" in " ".join(missing.stderr.split())
    assert list(tmp_path.iterdir()) == []
