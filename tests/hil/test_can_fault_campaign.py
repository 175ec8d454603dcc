"""The fault table of the arm on CAN: the page is that of a whole campaign, every row holds, and a slice is run anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hil.campaigns.can_bringup import try_bring_up, wrongs
from hil.campaigns.can_catalogue import Case, catalogue
from hil.campaigns.can_faults import FREE, campaign, render_markdown
from hil.campaigns.can_rig import can_cell
from hil.campaigns.can_trials import Trial, run_trial
from hil.campaigns.can_verdicts import judge
from sim_mocks.faults import MENU, Family

PAGE = Path(__file__).parents[2] / "docs" / "can-fault-table.md"
CASES = {case.name: case for case in catalogue() if case.interface == "slcan"}
SLICE = [
    "killed: no SYNC, no command, no heartbeat",
    "its SYNC is missing",
    "node 2: EMCY 0x2310, and Fault",
    "a foreign node with the id of node 3",
    "all feedback doubled",
]


def rows() -> dict[tuple[str, str], str]:
    """The rows of the page, by heading and name."""
    found, heading = {}, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and not line.startswith(("| ---", "| fault |", "| what is wrong |")):
            found[heading, line[2:].split(" | ")[0]] = line
    return found


def test_the_page_is_that_of_a_whole_campaign_and_every_row_holds() -> None:
    expected = {(case.group, case.name) for case in catalogue()} | {("While connecting", w.name) for w in wrongs()}
    assert set(rows()) == expected
    text = PAGE.read_text(encoding="utf-8")
    assert "DOES NOT HOLD" not in text
    assert "/tmp" not in text


def test_every_kind_of_a_bus_is_tried() -> None:
    tried = {fault.kind for case in catalogue() for fault in case.faults}
    ours = {name for name, kind in MENU.items() if {"cobot", "cobot.node"} & set(kind.devices)}
    buses = {name for name in ours if MENU[name].family in (Family.WIRE, Family.DEVICE)}
    assert buses - tried == {"stall", "burst"}  # these are delays and losses of another pattern


def test_a_slice_of_the_campaign_holds_and_is_what_the_page_says() -> None:
    table = campaign([CASES[name] for name in SLICE], [])
    assert table.broken == []
    page = rows()
    for line in render_markdown(table).splitlines():
        name = line[2:].split(" | ")[0]
        if name in SLICE:
            assert page[CASES[name].group, name] == line, "the page is out of date: python -m hil.campaigns.can_faults"


@pytest.mark.parametrize("name", ["a drive of an unknown vendor", "node 3 aborts an SDO (no deadline of its commands)"])
def test_bring_up_is_refused_in_words(name: str, tmp_path: Path) -> None:
    wrong = next(entry for entry in wrongs() if entry.name == name)
    refusal = try_bring_up(wrong, tmp_path)
    assert refusal.broken == ()
    assert refusal.message in rows()["While connecting", name]


def trial(**changes: object) -> Trial:
    q = np.zeros((800, 6))
    made = Trial(
        codes=(), headline="", cycles=None, category=1, gone=300, braked=330, standing=True, returned=False, crash="",
        ticks_per_cycle=2, speed=1.3, reach=0.1, counters={}, activations=1, reconnected="",
        q=q, tau=q.copy(), force=np.zeros((800, 3)),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]  # by name


FOUND = {"codes": ("node_lost",), "headline": "node 3 is gone", "cycles": 3, "category": 0}
MUST = Case("g", "n", (), ("node 3",), 4)


@pytest.mark.parametrize(
    ("case", "changes", "why"),
    [
        (MUST, {}, "missed"),
        (MUST, FOUND | {"cycles": 5}, "late: 5 cycles, allowed are 4"),
        (MUST, FOUND | {"headline": "node 4 is gone"}, "does not say 'node 3'"),
        (MUST, FOUND | {"category": 1}, "stop of category 1, wanted is 0"),
        (MUST, FOUND | {"returned": True}, "enabled itself"),
        (MUST, FOUND | {"standing": False}, "does not stand"),
        (MUST, FOUND | {"crash": "KeyError: 3"}, "KeyError"),
        (MUST, FOUND | {"activations": 0}, "never active"),
        (MUST, FOUND | {"q": np.full((800, 6), 2.1e-3)}, "off by 2.1 mrad"),
        (dataclasses.replace(MUST, reconnects=True), FOUND | {"reconnected": "stopping"}, "connecting again"),
        (Case("g", "n", (), harmless=True), {"q": np.full((800, 6), 2.1e-3)}, "not harmless"),
        (Case("g", "n", (), harmless=True), FOUND, "found, and should not be"),
        (dataclasses.replace(MUST, killed=True, says=()), {"gone": 5}, "late"),
    ],
)
def test_what_does_not_hold_is_said(case: Case, changes: dict[str, object], why: str) -> None:
    verdict = judge(case, trial(**changes), trial())
    assert any(why in reason for reason in verdict.broken), verdict.broken


def test_what_holds() -> None:
    assert judge(MUST, trial(**FOUND), trial()).broken == ()
    assert judge(Case("g", "n", (), harmless=True), trial(), trial()).broken == ()
    assert judge(dataclasses.replace(MUST, killed=True), trial(headline="node 3", gone=4), trial()).broken == ()


@pytest.mark.accept
def test_the_whole_campaign() -> None:
    """Every row holds, and the page says what comes out."""
    table = campaign()
    assert table.broken == []
    assert render_markdown(table) == PAGE.read_text(encoding="utf-8"), "python -m hil.campaigns.can_faults"


@pytest.mark.accept
def test_a_forked_trial_is_the_trial() -> None:
    """The fork from a motion reached once gives what a cell of its own gives, to the last bit."""
    name = "node 6 says nothing"
    alone = judge(CASES[name], run_trial(can_cell(), CASES[name]), run_trial(can_cell(), FREE))
    assert campaign([CASES["all feedback doubled"], CASES[name]], []).moving[CASES[name].group, name] == alone
