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
from hil.report.figures import tracking as tracking_figure
from hil.report.figures import wrench as wrench_figure
from hil.report.summary import phase_spans, pressing_force
from hil.report.timing import summarise_timing
from hil.telemetry.log import Log, read_log
from hil.telemetry.mcapfile import LogWriter
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event

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


def _changed(log: Log, **columns: np.ndarray) -> Log:
    cycle = log.cycle.copy()
    for name, values in columns.items():
        cycle[name] = values
    return replace(log, channels={**log.channels, "/cycle": cycle})


def _rows(log: Log) -> dict[str, VerdictRow]:
    return {r.name: r for r in verdict_rows(summarise(log))}


def test_tracking_names_the_worst_joint(log: Log) -> None:
    """One bad joint among seven is the figure, not an average that hides it."""
    q = log.cycle["q"].copy()
    q[100, 4] += 0.05
    q[:, 2] += 0.01
    home = summarise(_changed(log, q=q)).tracking[0]
    assert (home.rms_joint, home.peak_joint) == (3, 5)
    assert home.peak == pytest.approx(0.052, abs=0.005)
    assert home.rms == pytest.approx(np.hypot(0.012, 0.001), rel=0.05)
    value = _rows(_changed(log, q=q))["joint tracking, worst phase"].value
    assert "(A3)" in value
    assert "(A5)" in value


@pytest.mark.parametrize("field", ["gaps", "rejected", "ft_gaps", "ft_rejected"])
def test_whatever_was_lost_takes_the_tick_away(log: Log, field: str) -> None:
    clean = _changed(log, gaps=np.zeros(ROWS, dtype=np.int64))
    assert _rows(clean)["frames"].mark == "✓"
    lost = _rows(_changed(clean, **{field: np.full(ROWS, 3)}))["frames"]
    assert lost.mark == "!"
    assert "3" in lost.value


def test_ticks_without_the_arm_are_losses_from_its_first_frame_on(log: Log) -> None:
    fresh = np.ones(ROWS, dtype=np.int64)
    fresh[:50] = 0
    clean = _changed(log, gaps=np.zeros(ROWS, dtype=np.int64), arm_fresh=fresh)
    assert _rows(clean)["frames"].mark == "✓"
    fresh[1000:1007] = 0
    row = _rows(_changed(clean, arm_fresh=fresh))["frames"]
    assert (row.mark, row.value) == ("!", "ticks without the arm 7")


def test_observer_is_judged_while_pressing(log: Log) -> None:
    assert _rows(log)["observer against F/T"].ok is True
    shifted = log.cycle["wrench_est"] + np.array([0, 0, 6.0, 0, 0, 0])
    assert _rows(_changed(log, wrench_est=shifted))["observer against F/T"].ok is False
    free = _rows(_changed(log, force_ref=np.full((ROWS, 3), np.nan)))["observer against F/T"]
    assert free.ok is None
    assert "not judged" in free.expectation


def test_contacts_that_were_detected_are_counted(log: Log) -> None:
    assert "contact detected" not in _rows(log), "nothing detected anything"
    contact = np.zeros(len(log.cycle), dtype=np.int64)
    assert _rows(_changed(log, contact=contact))["contact detected"].value == "0 times, 0.0 s in all"
    contact[2000:2500], contact[2100:2150], contact[3000:3250] = 1, -1, 1
    found = _rows(_changed(log, contact=contact))["contact detected"]
    # 50 of the rows are not known: they neither count nor cut a contact in two.
    assert found.value == "2 times, 0.7 s in all"
    assert found.ok is None


@pytest.mark.parametrize("last", ["enabled", "stopping", "died"])
def test_a_run_without_its_end_claims_nothing(log: Log, last: str) -> None:
    """A recorder leaves a complete file behind although the supervisor was killed."""
    codes = {"safety_state": '{"ready": 1, "enabled": 2, "stopping": 3}'}
    state = np.ones(ROWS, dtype=np.int64)
    run = replace(_changed(log, safety_state=state), metadata={**log.metadata, "codes": codes})
    assert _rows(run)["faults"].mark == "✓"
    if last == "died":
        why = Event(0, 0, "recorded", "", {"reason": "the publishing process died"})
        run = replace(run, events=[*run.events[:-1], why])
    else:
        state[-1] = {"enabled": 2, "stopping": 3}[last]
        run = replace(_changed(log, safety_state=state), metadata=run.metadata)
    rows = _rows(run)
    assert rows["recorded"].ok is False
    assert last in rows["recorded"].value
    for name in ("faults", "frames"):
        assert rows[name].mark == "!"
        assert "unknown" in rows[name].value


def _named(log: Log, *names: str) -> Log:
    events = [
        replace(e, data={**e.data, "name": names[e.data["index"]]}) if e.kind == "phase" else e for e in log.events
    ]
    return replace(log, events=events)


def test_nothing_before_the_tare_counts_as_contact(log: Log) -> None:
    """Offsets of an untared sensor neither scale the panels nor enter the agreement."""
    bring_up = _named(log, "connect", "check", "touch", "polish", "retreat")
    measured = log.cycle["wrench_ft"].copy()
    before = np.isin(log.cycle["phase"], (0, 1))
    measured[before] += 500.0
    bring_up = _changed(bring_up, wrench_ft=measured)
    agreement = summarise(bring_up).wrench
    assert agreement is not None
    assert max(agreement.rms_force) < 3
    assert agreement.seconds == pytest.approx((~before).sum() * 1e-3)
    figure = wrench_figure(bring_up)
    assert figure is not None
    assert max(axis.get_ylim()[1] for axis in figure.axes) < 60
    stopped = _named(bring_up, "connect", "check", "stop", "stop", "stop")
    assert summarise(stopped).wrench is None


def test_a_band_is_seen_as_a_band_or_stated(log: Log) -> None:
    """The moments' band of ±0.78 N·m lies inside the panel; one of ±50 N·m is clipped and its width written."""
    figure = wrench_figure(log)
    assert figure is not None
    low, high = figure.axes[1].get_ylim()  # left column forces, right column moments
    assert high - low > 2 * 0.78
    wide = np.full((ROWS, 6), 2.0)
    wide[:, 4] = 25.0
    figure = wrench_figure(_changed(log, wrench_est_sd=wide))
    assert figure is not None
    assert figure.axes[3].get_ylim()[1] < 5
    assert any("±49 N·m, clipped" in text.get_text() for text in figure.axes[3].texts)
    assert not any("clipped" in text.get_text() for text in figure.axes[0].texts)


def test_the_line_breaks_where_the_force_mask_changes(log: Log) -> None:
    """Another error is shown there: no line leads across."""
    pressing = np.linalg.norm(log.cycle["force_ref"], axis=1) > 1.0
    assert np.count_nonzero(np.diff(pressing)) == 2
    figure = tracking_figure(log)
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len(lines) == 3 * 3
    edge = log.seconds[np.flatnonzero(np.diff(pressing))[0]]
    assert not any(line.get_xdata()[0] <= edge < line.get_xdata()[-1] for line in lines)
    assert len(figure.axes[0].get_legend_handles_labels()[1]) == 3


def test_change_overs_are_no_phases(log: Log) -> None:
    phase = log.cycle["phase"].copy()
    phase[2000:2005] = 0
    spans = phase_spans(_changed(log, phase=phase))
    assert (2000, 2005) not in [(a, b) for _, a, b in spans]
    phase[2000:2020] = 0
    assert ("home", 2000, 2020) in phase_spans(_changed(log, phase=phase))


def test_a_run_not_tied_to_real_time_keeps_no_deadlines(log: Log) -> None:
    slow = np.full(ROWS, 5000.0)
    run = _with_timing(log, slow, slow)
    assert _rows(run)["cycle time"].mark == "!"
    fast = replace(run, metadata={**run.metadata, "run": {**run.metadata["run"], "paced": "false"}})
    timing = summarise(fast).timing
    assert timing is not None
    assert (timing.verdict, timing.advice, timing.missed) == ("not judged", "", 0)
    row = _rows(fast)["cycle time"]
    assert row.mark == "·"
    assert "not tied to real time" in row.expectation


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
    assert "not judged" in text


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
    assert len(page.loads) == sum(draw(log) is not None for _, draw in FIGURES.values()) == 5
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
    rows = _rows(log)
    assert rows["recorded"].ok is False
    assert (rows["faults"].mark, rows["frames"].mark) == ("!", "!")


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


def test_gains_and_load_are_drawn_where_a_learnt_feed_forward_ran(log: Log) -> None:
    draw, n = FIGURES["gains"][1], log.cycle["q"].shape[1]
    assert draw(log) is None
    rows = len(log.cycle)
    sd = np.tile(np.linspace(0.5, 1.0, n), (rows, 1))
    ran = _changed(log, kp=np.full((rows, n), 100.0), tau_ff=5.0 * sd, tau_ff_sd=sd)
    figure = draw(ran)
    assert figure is not None
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["stiffness / N·m/rad", f"torque A{n - 1} / N·m", f"torque A{n} / N·m"]
    figure = draw(_changed(ran, load_mass=np.full(rows, 3.0), load_mass_sd=np.full(rows, 0.1)))
    assert figure is not None
    assert figure.axes[-1].get_ylabel() == "estimated load / kg"
    low, high = figure.axes[-1].get_ylim()
    assert low < 0.0 < 3.0 < high
