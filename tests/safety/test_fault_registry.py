"""The fault registry is complete, and its page is up to date."""

import io
import math
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from drivers.contract import StopCategory
from safety.faults import (
    ACTIONS,
    SPECS,
    Clears,
    FaultCode,
    FaultReport,
    Findings,
    final,
    render_markdown,
    severest,
)

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
    page = PAGE.read_text(encoding="utf-8")
    (section,) = [part for part in page.split("<a id=") if part.startswith(f'"{spec.anchor}"')]
    for word in (spec.title, spec.action, spec.clears.value, *spec.causes, spec.remedy):
        assert word in section


def test_actions_stand_in_order_of_severity():
    assert list(ACTIONS) == sorted(StopCategory)
    assert all(f"{i}. {action}" in render_markdown() for i, action in enumerate(ACTIONS.values(), 1))


@pytest.mark.parametrize("code", FaultCode)
def test_whatever_happens_beside_it_an_action_is_never_less_severe(code):
    one = [report(code)]
    for other in FaultCode:
        both = [report(other), *one]
        assert severest(both) == min(severest([report(other)]), severest(one)) == severest(both[::-1])
        assert final(both) == (Clears.NEVER in (SPECS[code].clears, SPECS[other].clears)) == final(both[::-1])


def test_what_ends_a_run():
    """A joint's position that cannot be trusted: no acknowledgement makes it so."""
    ends = {code for code in FaultCode if SPECS[code].clears is Clears.NEVER}
    assert ends == {FaultCode.JOINT_STUCK, FaultCode.POSITION_STEP}
    assert not final([])


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
    assert "controlled stop, then power away" in text
    assert "by an operator's acknowledgement" in text
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
