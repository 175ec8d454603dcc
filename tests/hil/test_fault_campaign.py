"""What becomes of the faults: a slice of the campaign here, the whole of it under ``accept``."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from hil.campaigns.catalogue import catalogue, untried
from hil.campaigns.faults import campaign, render_markdown
from hil.campaigns.rig import campaign_cell
from hil.campaigns.trials import Phase, Trial, run_trial, run_trials
from hil.campaigns.verdicts import Outcome, Verdict, judge
from safety.faults import FaultCode

PAGE = Path(__file__).parents[2] / "docs" / "fault-table.md"
CASES = {(case.group, case.name): case for case in catalogue()}

SLICE = [
    ("iiwa", "drop: 1 packet, robot to us", Phase.CONTACT, Outcome.HARMLESS, ()),
    ("iiwa", "stall: 50 ticks, robot to us", Phase.MOVING, Outcome.DETECTED, ("sample_stale",)),
    ("iiwa", "nan: position of A4, 1 tick", Phase.MOVING, Outcome.DETECTED, ("sample_invalid",)),
    ("iiwa", "stuck: position of A4", Phase.MOVING, Outcome.DETECTED, ("joint_stuck",)),
    ("iiwa", "sign_flip: torque of A2", Phase.HOLDING, Outcome.DETECTED, ("wrench_mismatch",)),
    ("iiwa", "safety_stop: level 1", Phase.STOPPING, Outcome.DETECTED, ("robot_safety",)),
    ("iiwa", "bias: position of A4, 5 mrad", Phase.HOLDING, Outcome.MISSED, ()),
    ("ft", "sign_flip: all", Phase.CONTACT, Outcome.DETECTED, ("wrench_mismatch",)),
    ("ft", "drop: everything", Phase.HOLDING, Outcome.DETECTED, ("sensor_stale",)),
    ("two at once", "packets lost both ways, 20 ticks", Phase.MOVING, Outcome.DETECTED, ("sample_stale",)),
]


@pytest.mark.parametrize("phase", Phase)
def test_slice(phase: Phase) -> None:
    rows = [entry for entry in SLICE if entry[2] is phase]
    table = campaign([CASES[group, name] for group, name, *_ in rows], [phase])
    for group, name, _, outcome, codes in rows:
        verdict = table[group, name, phase.name]
        assert verdict.outcome is outcome, verdict
        assert set(codes) <= set(verdict.codes), verdict
        assert verdict.text() in row(group, name), "the page is out of date: python -m hil.campaigns.faults"


def test_a_forked_trial_is_the_trial() -> None:
    """The fork from a phase reached once gives what a whole run of its own gives, to the last bit, twice in a row."""
    cell, faults = campaign_cell(), CASES["iiwa", "drop: 6 packets, robot to us"].faults
    alone = run_trial(cell, Phase.HOLDING, faults)
    for forked in run_trials(cell, Phase.HOLDING, [faults, faults]):
        assert (forked.latched, forked.cycles, forked.counters) == (alone.latched, alone.cycles, alone.counters)
        assert np.array_equal(forked.q, alone.q)
        assert np.array_equal(forked.tau, alone.tau)


def row(group: str, name: str) -> str:
    """The row of the page."""
    title = {"iiwa": "## Robot", "ft": "## Force/torque", "two at once": "## Two faults"}[group]
    part = PAGE.read_text(encoding="utf-8").split(title)[1].split("\n## ")[0]
    return next(line for line in part.splitlines() if line.startswith(f"| {name} |"))


def test_every_kind_is_tried_on_every_device_that_has_it() -> None:
    assert untried() == []
    assert len(CASES) == len(catalogue())


def test_the_page_has_every_case_and_no_wrong_stop() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for group, name in CASES:
        assert row(group, name).count(" | ") == len(Phase)
    assert Outcome.WRONG_STOP.value not in text
    missed = set(re.findall(r"^\| (.*?) \|.*\*\*missed\*\*", text, re.M))
    listed = text.split("## What is missed")[1]
    assert all(name in listed for name in missed)


def trial(dq: float = 0.0, category: int | None = None, codes: tuple[FaultCode, ...] = (), **how: bool) -> Trial:
    q = np.zeros((1200, 7))
    q[600:, 2] = dq
    tau, force, standing = np.zeros((1200, 7)), np.zeros((1200, 3)), how.get("standing", True)
    return Trial(5, codes, 3 if codes else None, category, 9, standing, q, tau, force, {"iiwa.gaps": 2}, 1)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (trial(dq=2e-3), Outcome.HARMLESS),
        (trial(dq=2.1e-3), Outcome.MISSED),
        (trial(standing=False), Outcome.MISSED),
        (trial(category=0, codes=(FaultCode.SAMPLE_STALE,)), Outcome.DETECTED),
        (trial(category=0, codes=(FaultCode.VELOCITY,)), Outcome.DETECTED),
        (trial(category=1, codes=(FaultCode.VELOCITY, FaultCode.SAMPLE_STALE)), Outcome.WRONG_STOP),
        (trial(category=None, codes=(FaultCode.VELOCITY,)), Outcome.WRONG_STOP),
        (trial(category=0, codes=(FaultCode.VELOCITY,), standing=False), Outcome.WRONG_STOP),
    ],
)
def test_verdicts(seen: Trial, outcome: Outcome) -> None:
    assert judge(seen, trial()).outcome is outcome


def test_what_only_the_ordinary_stop_at_the_end_finds_is_missed() -> None:
    late = dataclasses.replace(trial(dq=0.02, category=1, codes=(FaultCode.STANDSTILL_UNSEEN,)), cycles=1001)
    assert judge(late, trial()).outcome is Outcome.MISSED
    assert judge(dataclasses.replace(late, cycles=1000), trial()).outcome is Outcome.WRONG_STOP


def test_the_page_lists_what_is_missed() -> None:
    def verdict(outcome: Outcome) -> Verdict:
        return Verdict(outcome, ("velocity",), 4, 1, 0.01, 0.02, 3.0, 4.0, ())

    missed, found = verdict(Outcome.MISSED), verdict(Outcome.DETECTED)
    page = render_markdown({("iiwa", "x", "HOLDING"): missed, ("ft", "y", "HOLDING"): found})
    assert "| x | **missed**: 20 mrad, 3 N·m, 4 N |" in page
    assert "| y | `velocity` in 4, cat. 1, 10 mrad |" in page
    assert "- Robot (FRI), x: holding" in page
    assert "Nothing." in render_markdown({("ft", "y", "HOLDING"): verdict(Outcome.DETECTED)})


@pytest.mark.accept
@pytest.mark.parametrize("phase", Phase)
def test_the_whole_campaign(phase: Phase) -> None:
    """Every case: nothing ends in a wrong stop, and the page says what comes out."""
    table = campaign(catalogue(), [phase])
    for (group, name, _), verdict in table.items():
        assert verdict.outcome is not Outcome.WRONG_STOP, (name, verdict)
        assert verdict.text() in row(group, name), f"{name}: python -m hil.campaigns.faults"
