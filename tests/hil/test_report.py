"""Numbers of a known run, and the page made from it."""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from synthetic_run import LIMITS, PHASES, PRESS_N, write_run

from hil.report import VerdictRow, summarise, verdict_rows, verdict_table, write_report
from hil.report.figures import FIGURES
from hil.report.summary import phase_spans, pressing_force
from hil.report.timing import summarise_timing
from hil.telemetry.log import Log, read_log
from hil.telemetry.mcapfile import LogWriter
from hil.telemetry.row import row_layout

ROWS = 4000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return read_log(write_run(tmp_path_factory.mktemp("run") / "run.mcap", ROWS))


def _with_timing(log: Log, cycle_us: np.ndarray, write_us: np.ndarray) -> Log:
    timing = log.timing[: len(cycle_us)].copy()
    timing["wall_cycle_ns"], timing["wall_write_ns"] = cycle_us * 1000, write_us * 1000
    return replace(log, channels={**log.channels, "/timing": timing})


def test_known_numbers(log: Log) -> None:
    """The made-up run was built from these figures."""
    s = summarise(log)
    assert (s.rows, s.truncated, s.mock, s.gaps, s.rejected, s.missed) == (ROWS, False, True, 1, 0, 0)
    assert s.period_s == pytest.approx(1e-3)
    assert s.duration_s == pytest.approx((ROWS - 1) * 1e-3)
    assert [t.phase for t in s.tracking] == list(PHASES)
    home, *cartesian = s.tracking
    assert home.unit == "rad"
    assert home.rms == pytest.approx(np.hypot(0.002, 0.001), rel=0.05)  # bias and noise of the joints
    for phase in cartesian:
        assert phase.unit == "m"
        assert phase.rms == pytest.approx(0.0008, rel=0.05)  # the lag along the circle, not the 10 mm of pressing
    assert s.force is not None
    assert s.force.reference == pytest.approx(PRESS_N, rel=0.02)
    assert s.force.mean == pytest.approx(PRESS_N, rel=0.02)
    assert s.force.sd == pytest.approx(0.5, rel=0.15)
    assert s.wrench is not None
    # bias 1 N, estimate's noise 1.25 N and sensor's 0.5 N along z
    assert s.wrench.rms_force[2] == pytest.approx(np.sqrt(1 + 1.25**2 + 0.25), rel=0.1)
    assert s.wrench.in_band > 0.95
    assert s.saturated == pytest.approx(5 / ROWS)
    assert s.timing is not None
    assert s.timing.cycle.max == pytest.approx(1.4e-3)
    assert (s.timing.missed, s.timing.longest_run) == (1, 1)


def test_torque_share_is_of_the_stated_limits(log: Log) -> None:
    share = summarise(log).torque_share
    assert share is not None
    np.testing.assert_allclose(share, np.abs(log.cycle["tau_total"]).max(axis=0) / LIMITS)
    without = replace(log, metadata={**log.metadata, "limits": {"tau_max": "[1, 2]"}})
    assert summarise(without).torque_share is None


def test_pressing_force_is_positive_into_the_surface(log: Log) -> None:
    """The log holds the wrench on the robot; the force on the surface is its opposite."""
    reference, force = pressing_force(log, "wrench_ft")
    plateau = reference > 0.99 * PRESS_N
    assert np.mean(force[plateau]) > 0
    assert np.mean(log.cycle["wrench_ft"][plateau, 2]) > 0  # the surface pushes the tool up
    assert np.mean(log.cycle["force_ref"][plateau, 2]) < 0  # the tool pushes down


def test_phase_spans_cover_the_run(log: Log) -> None:
    spans = phase_spans(log)
    assert [name for name, _, _ in spans] == list(PHASES)
    assert spans[0][1] == 0
    assert spans[-1][2] == ROWS
    assert all(a[2] == b[1] for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("slow", "write", "verdict"),
    [([], 200.0, "good"), ([], 700.0, "fair"), ([500], 200.0, "fair"), ([500, 501, 502, 900, 901], 200.0, "poor")],
)
def test_timing_verdict_agrees_with_its_numbers(log: Log, slow: list[int], write: float, verdict: str) -> None:
    """One word; misses and the longest run of them are counted; advice only where something can be done."""
    cycle, answer = np.full(2000, 250.0), np.full(2000, write)
    cycle[slow] = 1500.0
    timing = summarise_timing(_with_timing(log, cycle, answer), 1e-3)
    assert timing is not None
    assert timing.verdict == verdict
    assert timing.missed == len(slow)
    assert timing.longest_run == (3 if len(slow) > 1 else len(slow))
    assert bool(timing.advice) == (verdict != "good")
    assert f"{len(slow)} of 2000" in timing.sentence


def test_quantiles(log: Log) -> None:
    values = np.arange(1.0, 1002.0)[:1001]
    timing = summarise_timing(_with_timing(log, values, values), 10e-3)
    assert timing is not None
    got = timing.answer
    assert (got.n, got.p50, got.p99, got.max) == (1001, *(pytest.approx(v * 1e-6) for v in (501, 991, 1001)))
    assert got.p999 == pytest.approx(1000e-6)


def test_verdict_rows_judge(log: Log, tmp_path: Path) -> None:
    """A clean run has no cross, a fault, a cut or a poor cycle has."""
    rows = {r.name: r for r in verdict_rows(summarise(log))}
    assert all(r.ok is not False for r in rows.values())
    assert rows["pressing force"].value.startswith(("20.0 ± 0.5", "19.9 ± 0.5", "20.1 ± 0.5"))
    faulty = read_log(write_run(tmp_path / "fault.mcap", 1000, fault=True))
    rows = {r.name: r for r in verdict_rows(summarise(faulty))}
    assert rows["faults"].ok is False
    assert rows["faults"].value == "A6 above its torque limit"
    cut = tmp_path / "cut.mcap"
    cut.write_bytes((tmp_path / "fault.mcap").read_bytes()[:-100_000])
    assert {r.name: r.ok for r in verdict_rows(summarise(read_log(cut)))}["recorded"] is False


def test_terminal_table_shows_every_row() -> None:
    console = Console(width=120, record=True, file=None)
    with console.capture() as capture:
        console.print(verdict_table([VerdictRow("force", "20 N", "18 to 22 N", True), VerdictRow("gap", "3")]))
    text = capture.get()
    assert "✓" in text
    assert "18 to 22 N" in text
    assert "gap" in text


class _Page(HTMLParser):
    """Collects what a page loads, and checks that its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_complete_and_self_contained(log: Log, tmp_path: Path) -> None:
    """Everything is inside: pictures, configuration, versions, the two plain statements."""
    out = write_report(log, tmp_path / "report.html", title="Polishing <b>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    page = _Page()
    html = out.read_text(encoding="utf-8")
    page.feed(html)
    assert page.open == []
    assert len(page.loads) == len(FIGURES) == 5
    for source in page.loads:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)
    assert "Polishing <b>" in page.text
    assert "# <b>no markup</b>" in page.text  # the cell file, escaped
    for words in ("Made on mocks", "not a rated safety function", "pressing force", "numpy", "p99.9", *PHASES):
        assert words in page.text, words


def test_page_of_a_run_on_a_real_arm_or_unknown(log: Log, tmp_path: Path) -> None:
    """The mock statement is never a default."""
    real = replace(log, metadata={**log.metadata, "run": {"mock": "false"}})
    text = write_report(real, tmp_path / "a.html", title="x").read_text()
    assert "mocks" not in text
    assert "not a rated safety function" in text
    unknown = replace(log, metadata={})
    assert "does not say whether" in write_report(unknown, tmp_path / "b.html", title="x").read_text()


def test_callers_verdict_replaces_the_default(log: Log, tmp_path: Path) -> None:
    rows = [VerdictRow("brakes", "closed after 120 ms", "at most 150 ms", True), VerdictRow("x", "y", "z", False)]
    text = write_report(log, tmp_path / "r.html", title="x", verdict=rows).read_text()
    assert "closed after 120 ms" in text
    assert "not passed" in text


def test_nothing_recorded_still_gives_a_page(tmp_path: Path) -> None:
    """A run that died before its first row is reported, not a traceback."""
    LogWriter(tmp_path / "empty.mcap", {"recording": {"n": "7"}}, []).finish()
    log = read_log(tmp_path / "empty.mcap")
    summary = summarise(log)
    assert summary.rows == 0
    assert summary.timing is None
    assert all(draw(log) is None for _, draw in FIGURES.values())
    text = write_report(log, tmp_path / "r.html", title="x").read_text()
    assert "0 rows" in text


def test_rows_that_know_nothing_give_no_figures_and_no_numbers(tmp_path: Path) -> None:
    """Blank rows (every float NaN) are no zeros: no tracking, no force, no wrench."""
    layout = row_layout(7)
    writer = LogWriter(tmp_path / "blank.mcap", {}, [])
    for k in range(10):
        writer.row(layout.blank[: layout.split], layout.blank[layout.split :], k)
    writer.finish()
    log = read_log(tmp_path / "blank.mcap")
    summary = summarise(log)
    assert summary.tracking == []
    assert summary.force is summary.wrench is summary.timing is None
    assert [name for name, (_, draw) in FIGURES.items() if draw(log) is not None] == []
