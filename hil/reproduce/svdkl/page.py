"""The page of the SVDKL campaign."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hil.reproduce import page
from hil.reproduce.sections import Section
from hil.reproduce.svdkl import paper
from hil.reproduce.svdkl import sections_accuracy as accuracy
from hil.reproduce.svdkl import sections_loop as loop
from hil.reproduce.svdkl import sections_pick as pick
from hil.reproduce.svdkl import sections_real as real
from hil.reproduce.svdkl import sections_sigma as sigma
from hil.reproduce.svdkl.results import Results

TITLE = "SVDKL with variable gains, reproduced"


def write_page(results: Results, out: Path, about: Mapping[str, str]) -> Path:
    """Write ``out``, replaced in one step; the findings stay in ``results``. Raises OSError."""
    made = sections(results)
    results.findings = {each.key: each.finding for each in made}
    return page.write(out, TITLE, _head(results, about), made, paper.CAVEATS, results.failed)


def sections(results: Results) -> list[Section]:
    """All sections, in the order of the page; one that has no data says so."""
    makers = (
        accuracy.accuracy, accuracy.training_time, accuracy.random_split, sigma.fractions, sigma.gains,
        real.recordings, loop.closed_loop, pick.end_effector, pick.masses, pick.trips, pick.gain_reduction,
    )  # fmt: skip
    return [page.made(maker, results) for maker in makers]


def _head(results: Results, about: Mapping[str, str]) -> str:
    s = results.settings
    trials = len(s.trials)
    facts = [
        about.get("made", ""),
        "frozen simulation" if s.source == "frozen" else f"{trials} arm{'s' if trials > 1 else ''} simulated",
        f"{s.counts[0]} motions to train on, {s.counts[1]} and {s.counts[2]} left out",
        f"{trials} trial{'s' if trials > 1 else ''}",
        f"{len(results.methods())} models",
        "recordings scored" if results.real else "no recordings",
        about.get("machine", ""),
    ]
    aside = (
        "Simulated, unless a section says otherwise.",
        "Every number and sentence under “here” was computed in this run; the paper's numbers are of other data.",
    )
    quick = "This is a first look: few motions, short trainings, one trial. Take no figure from it."
    return page.header(TITLE, facts, aside, quick if s.quick else "")
