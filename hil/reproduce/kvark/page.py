"""The page of the K-VARK campaign."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hil.reproduce import page
from hil.reproduce.kvark import paper
from hil.reproduce.kvark import sections_contact as contact
from hil.reproduce.kvark import sections_models as models
from hil.reproduce.kvark import sections_real as real
from hil.reproduce.kvark import sections_scores as scores
from hil.reproduce.kvark.results import Results
from hil.reproduce.sections import Section

TITLE = "K-VARK, reproduced"


def write_page(results: Results, out: Path, about: Mapping[str, str]) -> Path:
    """Write ``out``, replaced in one step; the findings stay in ``results``. Raises OSError."""
    made = sections(results)
    results.findings = {each.key: each.finding for each in made}
    return page.write(out, TITLE, _head(results, about), made, paper.CAVEATS, results.failed)


def sections(results: Results) -> list[Section]:
    """All sections, in the order of the page; one that has no data says so."""
    made = [scores.scores(results, source) for source in ("simulated", "frozen") if results.trials.get(source)]
    makers = (
        models.process_models, models.components, models.predictions, models.residual_table, contact.free_loaded,
        contact.polishing, scores.timing, models.wide_mixture, models.velocity, models.relevance, scores.ablation,
        scores.uncertainty, scores.detection, contact.mocked, real.ur10e, real.panda,
    )  # fmt: skip
    return made + [page.made(maker, results) for maker in makers]


def _head(results: Results, about: Mapping[str, str]) -> str:
    s = results.settings
    robots = len(s.families) * len(s.seeds)
    facts = [
        about.get("made", ""),
        f"{robots} simulated robot{'s' if robots > 1 else ''} ({', '.join(s.families)}; seeds "
        f"{', '.join(map(str, s.seeds))})",
        f"{len(s.methods)} methods",
        f"runs at {100 * s.shorten:.0f} % of their length" if s.shorten != 1.0 else "runs of 20 and 32 s",
        "recordings scored" if s.data else "no recordings",
        about.get("machine", ""),
    ]
    aside = (
        "Simulated, unless a section says otherwise.",
        "Every number and sentence under “here” was computed in this run; the paper's numbers are of another arm and "
        "other motions.",
    )
    quick = "This is a first look: one robot a family, short runs, few methods. Take no figure from it."
    return page.header(TITLE, facts, aside, quick if s.quick else "")
