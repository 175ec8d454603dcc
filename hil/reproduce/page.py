"""The page of a campaign: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

from hil.report.style import CSS
from hil.reproduce import paper
from hil.reproduce import sections_contact as contact
from hil.reproduce import sections_models as models
from hil.reproduce import sections_real as real
from hil.reproduce import sections_scores as scores
from hil.reproduce.results import Results
from hil.reproduce.sections import Maker, Section

UNDRAWN = "Computed, but what came out could not be drawn"

_CSS = """
main { max-width: 1080px }
.finding { font-weight: 600; border-left: 4px solid #0072B2; padding: 2px 0 2px 12px; margin: 0 0 14px }
.wide { overflow-x: auto } .wide table { font-size: 12.5px }
.wide td, .wide th { padding: 4px 10px 4px 0; white-space: nowrap }
.right { text-align: right } tr.strong td { font-weight: 650 } figure { margin: 6px 0 14px }
nav { columns: 2; font-size: 14px } nav a { color: inherit; display: block; padding: 1px 0 }
ul.plain { padding-left: 18px; margin: 0 } ul.plain li { margin: 4px 0 }
"""


def write_page(results: Results, out: Path, about: Mapping[str, str]) -> Path:
    """Write ``out``, replaced in one step; the findings stay in ``results``. Raises OSError."""
    made = sections(results)
    results.findings = {each.key: each.finding for each in made}
    body = "\n".join(
        [_head(results, about), _contents(made), _caveats(), *(each.html() for each in made), _failed(results)]
    )
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>K-VARK, reproduced</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}{_CSS}</style></head>'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    part = out.with_name(out.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, out)
    return out


def sections(results: Results) -> list[Section]:
    """All sections, in the order of the page; one that has no data says so."""
    made = [scores.scores(results, source) for source in ("simulated", "frozen") if results.trials.get(source)]
    makers = (
        models.process_models, models.components, models.predictions, models.residual_table, contact.free_loaded,
        contact.polishing, scores.timing, models.wide_mixture, models.velocity, models.relevance, scores.ablation,
        scores.uncertainty, scores.detection, contact.mocked, real.ur10e, real.panda,
    )  # fmt: skip
    return made + [_made(maker, results) for maker in makers]


def _made(maker: Maker, results: Results) -> Section:
    """A section that cannot be drawn from what a part left says so; hours of computing are not lost to it."""
    try:
        return maker(results)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        name = getattr(maker, "__name__", "section")
        return Section(name, name.replace("_", " "), f"{UNDRAWN}: {type(error).__name__}: {error}.")


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
    look = '<span class="badge none">quick look</span>' if s.quick else ""
    text = " · ".join(escape(fact) for fact in facts if fact)
    quick = (
        "<p>This is a first look: one robot a family, short runs, few methods. Take no figure from it.</p>"
        if s.quick
        else ""
    )
    return (
        f'<header><h1>K-VARK, reproduced {look}</h1><p class="facts">{text}</p></header>'
        "<aside><strong>Simulated, unless a section says otherwise.</strong> Every number and sentence under "
        "“here” was computed in this run; the paper's numbers are of another arm and other motions.</aside>"
        f"{quick}"
    )


def _contents(made: list[Section]) -> str:
    links = "".join(
        f'<a href="#{escape(each.key)}">{escape(each.title)}'
        f"{f' <span class=soft>({escape(each.of_paper)})</span>' if each.of_paper else ''}</a>"
        for each in made
    )
    return f"<section><h2>Contents</h2><nav>{links}</nav></section>"


def _caveats() -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in paper.CAVEATS)
    return f'<section id="caveats"><h2>Before comparing</h2><ul class="plain">{items}</ul></section>'


def _failed(results: Results) -> str:
    if not results.failed:
        return ""
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(why)}</td></tr>" for name, why in results.failed.items())
    head = "<tr><th>part</th><th>why</th></tr>"
    return f'<section id="failed"><h2>Parts that failed</h2><table>{head}{lines}</table></section>'
