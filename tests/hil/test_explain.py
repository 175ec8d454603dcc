"""Every stop is explained: what tripped, what the arm did, causes by what the log shows, how to go on."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.cli.every import app
from hil.explain import PHRASES, View, explain, find_stops, order_causes
from hil.explain.evidence import Evidence, gather
from hil.explain.kept import keep
from hil.explain.stops import STANDSTILL_S
from hil.explain.text import Explanation, explain_last, explain_stop
from hil.motion import JointSinusoids
from hil.operation.explained import newest, words
from hil.report.stops import stops_section
from hil.telemetry.log import Log, read_log
from hil.telemetry.row import row_layout
from hil.telemetry.schema import Event
from safety.faults import SPECS, FaultCode
from tests.hil.flying import ENABLED, STOPPING, Flying, N
from tests.hil.running import Running, peak_travel

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
MS = 1_000_000
TRIP = 800
"""Row of the stop in the made-up views."""


# --- the registry --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", FaultCode)
def test_every_fault_has_causes_a_remedy_and_a_place_in_the_documentation(code: FaultCode) -> None:
    told = explain_last(view(code))
    assert told is not None
    assert len(told.causes) == len(SPECS[code].causes) >= 2
    assert told.remedy
    assert told.go_on
    page, anchor = told.anchor.split("#")
    assert (PAGE.parents[1] / page) == PAGE
    assert f'<a id="{anchor}"></a>' in PAGE.read_text(encoding="utf-8")
    assert told.category.endswith(")")


@pytest.mark.parametrize(("phrase", "kinds"), PHRASES)
def test_every_phrase_stands_in_a_declared_cause(phrase: str, kinds: tuple[str, ...]) -> None:
    """A cause that is worded anew must not lose its evidence unnoticed."""
    assert any(phrase in cause for spec in SPECS.values() for cause in spec.causes)
    assert kinds


# --- causes by evidence ----------------------------------------------------------------------------------------------


def view(code: FaultCode, joint: int | None = 1, *, operated: bool | None = True, **columns: Any) -> View:
    """An arm that is moved for 0.8 s, trips and stops within 0.1 s. ``columns``: values, or (rows, value)."""
    layout = row_layout(N)
    rows = np.frombuffer(bytearray(layout.blank * (TRIP + 200)), dtype=layout.dtype)
    k = np.arange(len(rows))
    rows["tick"], rows["t_ns"], rows["safety_state"] = k, k * MS, ENABLED
    rows["arm_seq"], rows["arm_valid"], rows["arm_fresh"], rows["arm_state"], rows["arm_age_ns"] = k, 1, 1, 4, 0
    rows["ft_age_ns"], rows["payload"] = 0, 0.0
    rows["q"], rows["qd"] = 0.001 * np.minimum(k, TRIP + 100)[:, None], np.where(k < TRIP + 100, 0.5, 0.0)[:, None]
    rows["tau"] = rows["tau_ext"] = rows["wrench_ft"] = 0.0
    rows["stop_category"][TRIP : TRIP + 130], rows["safety_state"][TRIP:] = 1, STOPPING
    rows["fault"][TRIP:] = 1
    for name, value in columns.items():
        where, what = value if isinstance(value, tuple) else (slice(None), value)
        rows[name][where] = what
    fault = {"code": code.value, "joint": joint, "value": 181.0, "limit": 176.0}
    events = [Event(TRIP, TRIP * MS, "fault", f"{SPECS[code].title}: 181, limit 176", fault)]
    tables = {"run": {"operated": operated, "cell": "bench", "motions": ["swing"]}, "limits": {"qd_max": [1.0] * N}}
    return View(rows, rows, events, lambda table, key: tables.get(table, {}).get(key))


def first_cause(code: FaultCode, **columns: Any) -> tuple[str, str]:
    told = explain_last(view(code, **columns))
    assert told is not None
    return told.causes[0]


LAST = slice(TRIP - 50, None)
SMALL = {"wrench_ft": (LAST, [0.0, 3.0, 0.0, 0.0, 0.0, 0.0])}


@pytest.mark.parametrize(
    ("code", "columns", "cause", "seen"),
    [
        (FaultCode.TORQUE_MEASURED, {"wrench_ft": (LAST, [30.0, 40.0, 0, 0, 0, 0])}, "collided", "felt 50 N"),
        (FaultCode.TORQUE_MEASURED, {"tau_ext": (LAST, [0.0, -25.0, 0.0]), "contact": 0}, "collided", "25 N·m"),
        (FaultCode.TORQUE_MEASURED, {"payload": 2.0}, "load is beyond", "carried 2 kg"),
        (FaultCode.TORQUE_MODEL, {"payload": 2.0, **SMALL}, "something was picked up", "2 kg"),
        (FaultCode.SAMPLE_STALE, {"gaps": (LAST, 4), "arm_fresh": (LAST, 0)}, "packets are late or lost", "4 frame"),
        (FaultCode.SAMPLE_STALE, {"skipped": (LAST, 5)}, "cycle was held up", "5 tick"),
        (FaultCode.SAMPLE_STALE, {"arm_state": (slice(TRIP - 2, None), 0)}, "closed the session", "link was closed"),
        (FaultCode.SAMPLE_INVALID, {"arm_seq": -1}, "no packet has arrived", "no packet"),
        (FaultCode.VELOCITY, {"wrench_ft": (slice(0, TRIP - 40), [0, 0, 30.0, 0, 0, 0])}, "contact was lost", "30 N"),
        (FaultCode.VELOCITY, {"qd": (slice(TRIP - 9, TRIP), 0.97)}, "the motion is too fast", "A1 moved at 97 %"),
        (FaultCode.LINK_LOST, {"arm_state": (slice(TRIP - 2, None), 2)}, "ended or aborted", "stopped taking"),
        (FaultCode.REFERENCE_DISTANCE, {"limited": (LAST, 4)}, "the arm does not follow", "cut the command"),
        (FaultCode.SENSOR_INVALID, {"ft_rejected": (LAST, 3)}, "the cable is loose", "3 refused"),
    ],
)  # fmt: skip
def test_what_the_log_shows_comes_first(code: FaultCode, columns: dict[str, Any], cause: str, seen: str) -> None:
    text, why = first_cause(code, **columns)
    assert cause in text
    assert seen in why


@pytest.mark.parametrize("code", [FaultCode.TORQUE_MEASURED, FaultCode.SAMPLE_STALE, FaultCode.VELOCITY])
def test_without_a_trace_the_declared_order_stays(code: FaultCode) -> None:
    told = explain_last(view(code))
    assert told is not None
    assert [cause for cause, _ in told.causes] == list(SPECS[code].causes)
    assert not any(seen for _, seen in told.causes)


def test_a_commanded_force_is_no_contact() -> None:
    pressing = {"wrench_ft": [0, 0, 20.0, 0, 0, 0], "force_ref": [0, 0, -20.0]}
    seen = gather(made := view(FaultCode.TORQUE_MEASURED, **pressing), find_stops(made)[0])
    assert "contact" not in seen


def test_an_exception_is_told_with_its_last_line() -> None:
    made = view(FaultCode.INTERNAL_ERROR, joint=None)
    error = Event(
        TRIP, TRIP * MS, "error", "Traceback (most recent call last):\n  …\nZeroDivisionError: division by zero"
    )
    told = explain_last(View(made.rows, None, [error, *made.events], made.meta))
    assert told is not None
    assert told.causes[0][1] == "ZeroDivisionError: division by zero"


def test_the_strongest_evidence_wins_and_equals_keep_their_order() -> None:
    causes = SPECS[FaultCode.SAMPLE_STALE].causes
    seen = {"network": Evidence("network", 0.5, "a"), "closed": Evidence("closed", 0.5, "b")}
    assert order_causes(causes, seen) == [(causes[0], "a"), (causes[1], "b"), (causes[2], "")]
    seen["busy"] = Evidence("busy", 0.6, "c")
    assert order_causes(causes, seen)[0] == (causes[2], "c")


# --- what is said ----------------------------------------------------------------------------------------------------


def test_a_stop_says_everything() -> None:
    told = explain_last(view(FaultCode.TORQUE_MEASURED))
    assert told is not None
    text = "\n".join(told.lines())
    for part in (
        "stop 1 of 1, 0.800 s into the log, tick 800: measured torque on A2",
        "measured torque: 181, limit 176; margin -5 N·m, 3 %",
        "controlled stop, then power away (category 1)",
        "stood after 0.100 s; farthest A1, 5.73° (each joint, mrad: 100.0 100.0 100.0)",
        "1. the arm collided or is clamped",
        "Free the arm with the pendant; check the load.",
        "hil ack --cell bench, then hil enable --cell bench",
        "docs/faults.md#torque-measured",
    ):
        assert part in text, text


@pytest.mark.parametrize(
    ("operated", "words"),
    [(True, "hil ack"), (False, "hil run bench --motion swing"), (None, "session.acknowledge()")],
)
def test_the_command_to_go_on_is_that_of_the_place(operated: bool | None, words: str) -> None:
    told = explain_last(view(FaultCode.VELOCITY, operated=operated))
    assert told is not None
    assert words in told.go_on


def test_a_fault_that_moved_nothing_says_so() -> None:
    told = explain_last(view(FaultCode.STANDSTILL_TORQUE, stop_category=-1))
    assert told is not None
    assert told.arm == "did not move"
    assert "nothing moved" in told.category


def test_an_arm_that_nobody_saw_is_not_said_to_stand() -> None:
    told = explain_last(view(FaultCode.SAMPLE_INVALID, arm_valid=(slice(TRIP, None), 0)))
    assert told is not None
    assert math.isnan(told.stop.time)
    assert "not valid" in told.arm
    creeping = explain_last(view(FaultCode.VELOCITY, qd=(slice(TRIP, None), 0.03)))
    assert creeping is not None
    assert "not seen standing" in creeping.arm


def test_a_fault_of_another_version_is_told_with_its_headline() -> None:
    made = view(FaultCode.VELOCITY)
    unknown = Event(TRIP, TRIP * MS, "fault", "the arm melted: 900 °C", {"code": "melted"})
    told = explain_last(View(made.rows, None, [unknown], made.meta))
    assert told is not None
    assert "the arm melted: 900 °C" in "\n".join(told.lines())
    assert told.causes == ()


def test_rows_without_the_fields_and_no_rows_say_nothing() -> None:
    made = view(FaultCode.VELOCITY)
    assert find_stops(View(made.rows[["tick", "t_ns", "q"]], None, made.events, made.meta)) == []
    assert find_stops(View(made.rows[:0], None, made.events, made.meta)) == []


# --- a real stop -----------------------------------------------------------------------------------------------------


class Stopped:
    """A swinging arm of the mock that lost its sensor's cable: the file of its stop, and what really happened."""

    def __init__(self, folder: Path) -> None:
        running = Running()
        flying = Flying(running, folder)
        running.hold(30)
        amplitude = np.array([0.08, 0.02, 0.08, 0.03, 0.08, 0.05, 0.10])
        running.supervisor.start(JointSinusoids(amplitude, np.full(7, 1.5), 8.0, 0.5))
        flying.steps(700)
        running.inject("nan", "ft", 5, field="wrench")
        flying.steps(1350)
        self.truth = running.truth()
        self.events = read_log(flying.watch.files[0]).events
        (self.path,) = flying.watch.files
        flying.close()
        running.close()
        os.close(flying.ring.fd)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return Stopped(tmp_path_factory.mktemp("stopped"))


@pytest.fixture(scope="module")
def log(stopped: Stopped) -> Log:
    return read_log(stopped.path)


def test_the_file_holds_what_is_promised(log: Log) -> None:
    stop = find_stops(View.of(log))[-1]
    assert log.seconds[stop.begin] >= 0.7
    assert log.seconds[-1] - log.seconds[stop.over - 1] >= 1.0
    assert (np.diff(log.cycle["tick"]) == 1).all()


def test_time_and_distance_are_those_of_the_world(stopped: Stopped, log: Log) -> None:
    (told,) = explain(log)
    stop = told.stop
    assert [t.code for t in stop.tripped] == [FaultCode.SENSOR_INVALID]
    begin = int(log.cycle["t_ns"][stop.begin]) // MS
    q = stopped.truth["q"][begin:]
    assert np.abs(stop.distance - peak_travel(stopped.truth, begin)).max() < 3e-3
    assert 0.01 < stop.distance.max() < 0.2
    moving = np.abs(np.diff(q, axis=0)).max(axis=1) * 1e3 > 0.02
    # The power goes when the arm has stood for 30 ms; the world's velocity tells the same, but for the filter's lag.
    off = round(stop.off * 1e3)
    assert stop.time * 1e3 == pytest.approx(int(np.flatnonzero(moving[:off])[-1]), abs=40)
    assert stop.time == pytest.approx(stop.off - STANDSTILL_S, abs=0.005)
    assert 0.05 < stop.off < 0.5


def test_the_event_of_the_meter_agrees(stopped: Stopped, log: Log) -> None:
    (told,) = explain(log)
    (event,) = [e for e in stopped.events if e.kind == "stopped"]
    assert event.data["category"] == told.stop.category == 1
    assert np.abs(np.array(event.data["distance"]) - told.stop.distance).max() < 5e-3
    assert 0.0 < event.data["time"] <= told.stop.time + 0.1


def test_report_json_and_status_say_the_same(stopped: Stopped, log: Log, tmp_path: Path) -> None:
    (told,) = explain(log)
    section = stops_section(log)
    assert "wrench sensor is not valid" in section
    assert "docs/faults.md#sensor-invalid" in section
    (tmp_path / "stops").mkdir()
    keep(told, tmp_path / "stops" / "0001.json")
    (tmp_path / "stops" / "0002.json").write_text("cut of", encoding="utf-8")
    found = newest(str(tmp_path))
    assert found is not None
    assert found["lines"] == told.lines()
    fault = {"code": "sensor_invalid", "explanation": "declared", "headline": "h"}
    other = {"code": "velocity", "explanation": "other", "headline": "too fast"}
    assert words({"folder": str(tmp_path), "faults": [fault, other]}) == ["\n".join(told.lines()), "too fast"]
    assert words({"folder": str(tmp_path), "faults": [other]}) == ["other"]
    assert words({"folder": "", "faults": [fault]}) == ["declared"]
    assert words({"folder": str(tmp_path), "faults": []}) == []


def test_hil_explain(stopped: Stopped, tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(app, ["explain", str(stopped.path)])
    assert result.exit_code == 1
    assert "wrench sensor is not valid" in result.output
    result = run(app, ["explain", str(stopped.path), "--json"])
    (value,) = json.loads(result.output)
    assert value["tripped"][0]["code"] == "sensor_invalid"
    assert len(value["stopping_distance_rad"]) == 7
    # The newest run below a folder; and what is no run.
    folder = tmp_path / "2026-01-01_00-00-00" / "stops"
    folder.mkdir(parents=True)
    (folder / "0001.mcap").write_bytes(stopped.path.read_bytes())
    result = run(app, ["explain", "--runs", str(tmp_path)])
    assert result.exit_code == 1
    assert "2026-01-01_00-00-00" in result.output
    for arguments in (["explain", str(tmp_path / "none.mcap")], ["explain", "--runs", str(tmp_path / "none")]):
        assert run(app, arguments).exit_code == 2


def test_a_log_without_a_stop_says_so(tmp_path: Path) -> None:
    from tests.hil.synthetic_run import write_run

    result = CliRunner().invoke(app, ["explain", str(write_run(tmp_path / "run.mcap", 200))])
    assert result.exit_code == 0
    assert "nothing tripped" in result.output


def test_an_explanation_of_every_kind_can_be_told_as_json() -> None:
    made = view(FaultCode.SAMPLE_INVALID, arm_valid=(slice(TRIP, None), 0))
    told = explain_stop(made, find_stops(made)[0])
    assert isinstance(told, Explanation)
    assert json.loads(json.dumps(told.to_mapping()))["title"] == told.title
