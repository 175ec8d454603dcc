"""Reports of log files: of sessions, of operated cells with several logs, of logs that are long."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_run import write_run
from typer.testing import CliRunner

from hil import launch
from hil.cli import app
from hil.job import Outcome
from hil.report import files, summarise, verdict_rows
from hil.report.files import read_bounded, report_name, stride

ROWS = 3000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "mine.mcap", ROWS)


def test_the_report_of_any_log(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["log", "report", str(log), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert f"{ROWS} rows" in done.output
    page = out.read_text(encoding="utf-8")
    assert "<img" in page
    assert f"{ROWS} cycles" in page
    done = CliRunner().invoke(app, ["log", "report", str(log)])
    assert done.exit_code == 0, done.output
    assert log.with_name("mine-report.html").stat().st_size > 10_000


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["log", "report", str(tmp_path / "none.mcap")])
    assert done.exit_code == 2
    assert "none.mcap" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_long_log_is_thinned_out_and_its_figures_stay(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows, and the same period, force and duration as of all of them."""
    monkeypatch.setattr(files, "MOST_ROWS", log.stat().st_size // 600 // 4)
    every = stride(log)
    assert every in (4, 5)
    thin, whole = summarise(read_bounded(log)), summarise(files.read_log(log))
    assert thin.rows == -(-ROWS // every)
    assert (thin.every, whole.every) == (every, 1)
    assert thin.period_s == pytest.approx(whole.period_s)
    assert thin.duration_s == pytest.approx(whole.duration_s, abs=every * 1e-3)
    assert thin.force is not None
    assert whole.force is not None
    assert thin.force.seconds == pytest.approx(whole.force.seconds, rel=0.02)
    assert thin.timing is not None
    assert whole.timing is not None
    assert thin.timing.missed <= whole.timing.missed
    assert thin.timing.answer.p50 == pytest.approx(whole.timing.answer.p50, rel=0.1)
    recorded = {row.name: row for row in verdict_rows(thin)}["recorded"]
    assert f"each {every}th looked at" in recorded.value


@pytest.mark.parametrize(
    ("name", "page"),
    [("run.mcap", "report.html"), ("run_2.mcap", "report_2.html"), ("run_x.mcap", "run_x-report.html")],
)
def test_names(name: str, page: str) -> None:
    assert report_name(Path(name)) == page


def test_an_operated_cell_gets_a_report_for_each_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "REPORTS", 1)
    for name in ("run.mcap", "run_2.mcap", "run_10.mcap"):
        write_run(tmp_path / name, 200)
    notes: list[str] = []
    rows, report = launch._reports(tmp_path, Outcome(finished=True), notes)
    assert report == tmp_path / "report_10.html"
    assert report.is_file()
    assert (tmp_path / "report_2.html").is_file()
    assert not (tmp_path / "report.html").exists()
    assert [row.name for row in rows][:3] == ["run", "recorded", "faults"]
    assert notes == ["run_2.mcap: report_2.html", "1 earlier logs have no report; `hil log report FILE` makes one"]


def test_where_nothing_was_recorded_it_is_said(tmp_path: Path) -> None:
    rows, report = launch._reports(tmp_path, Outcome(finished=True), [])
    assert report is None
    assert "recording was off" in rows[-1].value
    assert all(row.ok is not False for row in rows)
