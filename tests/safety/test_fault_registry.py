"""The fault registry is complete, and its page is up to date."""

import io
import math
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from drivers.contract import StopCategory
from safety.faults import SPECS, FaultCode, FaultReport, Findings, render_markdown, severest

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize("code", FaultCode)
def test_every_code_is_explained(code):
    spec = SPECS[code]
    assert spec.code is code
    assert spec.title
    assert len(spec.causes) >= 2
    assert all(spec.causes)
    assert spec.remedy.endswith(".")
    assert spec.anchor == code.value.replace("_", "-")
    assert f'<a id="{spec.anchor}"></a>' in PAGE.read_text(encoding="utf-8")


def test_titles_tell_faults_apart():
    assert len({spec.title for spec in SPECS.values()}) == len(FaultCode)


def test_no_fault_asks_for_a_hold():
    """After a fault the state machine permits no command, so nothing could hold the arm under power."""
    assert {spec.category for spec in SPECS.values()} == {StopCategory.OFF_NOW, StopCategory.STOP_THEN_OFF}


def test_the_page_is_up_to_date():
    """Run ``python -m safety.faults > docs/faults.md`` when this fails."""
    assert PAGE.read_text(encoding="utf-8") == render_markdown()


@pytest.mark.filterwarnings("ignore:.*found in sys.modules.*:RuntimeWarning")
def test_the_module_prints_the_page():
    out = io.StringIO()
    with redirect_stdout(out):
        runpy.run_module("safety.faults", run_name="__main__")
    assert out.getvalue() == render_markdown()


def report(code=FaultCode.TORQUE_RATE, value=412.0, limit=300.0, unit="N·m/s", joint=5, detail=""):
    return FaultReport(code, value, limit, unit, joint, 7, 8, detail)


def test_headline_says_what_was_read_and_what_is_allowed():
    assert report().headline() == "torque rate on A6: 412 N·m/s, limit 300"
    assert report(detail="twice").headline() == "torque rate on A6: 412 N·m/s, limit 300, twice"
    nothing = report(FaultCode.DRIVES_OFF, math.nan, math.nan, "", None)
    assert nothing.headline() == "drives are off"


def test_explanation_leads_on():
    text = report().explain()
    assert text.startswith("torque rate on A6: 412")
    assert "  1. the controller bypasses" in text
    assert "what to do: " in text
    assert "docs/faults.md#torque-rate" in text


def test_findings_take_unit_tick_and_time():
    found = Findings(7, 8)
    found.add(FaultCode.TORQUE_RATE, 412.0, 300.0, 5)
    assert found.reports == [report()]
    found.add_not_finite(FaultCode.SAMPLE_INVALID, [0.0, math.nan, -math.inf], "speed")
    assert [(r.joint, r.detail) for r in found.reports[1:]] == [(1, "speed is nan"), (2, "speed is -inf")]


def test_the_severest_stop_wins():
    stop, off = report(), report(FaultCode.SAMPLE_STALE)
    assert severest([stop]) is StopCategory.STOP_THEN_OFF
    assert severest([stop, off, stop]) is StopCategory.OFF_NOW
