"""The page of a campaign: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

from hil.report.style import CSS
from hil.reproduce.sections import Section

R = TypeVar("R")

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


def write(
    out: Path, title: str, head: str, made: Sequence[Section], caveats: Iterable[str], failed: Mapping[str, str]
) -> Path:
    """Write ``out``, replaced in one step; ``caveats`` stand before all sections. Raises OSError."""
    body = "\n".join([head, _contents(made), _caveats(caveats), *(each.html() for each in made), _failed(failed)])
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}{_CSS}</style></head>'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    part = out.with_name(out.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, out)
    return out


def made(maker: Callable[[R], Section], results: R) -> Section:
    """A section that cannot be drawn from what a part left says so; hours of computing are not lost to it."""
    try:
        return maker(results)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        name = getattr(maker, "__name__", "section")
        return Section(name, name.replace("_", " "), f"{UNDRAWN}: {type(error).__name__}: {error}.")


def header(title: str, facts: Iterable[str], aside: tuple[str, str], quick: str = "") -> str:
    """The page's head: ``facts`` in one line, ``aside`` a bold beginning and its text, ``quick`` if it is a first look.
    """
    look = '<span class="badge none">quick look</span>' if quick else ""
    text = " · ".join(escape(fact) for fact in facts if fact)
    return (
        f'<header><h1>{escape(title)} {look}</h1><p class="facts">{text}</p></header>'
        f"<aside><strong>{escape(aside[0])}</strong> {escape(aside[1])}</aside>"
        f"{f'<p>{escape(quick)}</p>' if quick else ''}"
    )


def _contents(made: Sequence[Section]) -> str:
    links = "".join(
        f'<a href="#{escape(each.key)}">{escape(each.title)}'
        f"{f' <span class=soft>({escape(each.of_paper)})</span>' if each.of_paper else ''}</a>"
        for each in made
    )
    return f"<section><h2>Contents</h2><nav>{links}</nav></section>"


def _caveats(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<section id="caveats"><h2>Before comparing</h2><ul class="plain">{items}</ul></section>'


def _failed(failed: Mapping[str, str]) -> str:
    if not failed:
        return ""
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(why)}</td></tr>" for name, why in failed.items())
    head = "<tr><th>part</th><th>why</th></tr>"
    return f'<section id="failed"><h2>Parts that failed</h2><table>{head}{lines}</table></section>'
