"""A section of the page: title, one sentence that the data say, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from matplotlib.figure import Figure

from hil.reproduce.charts import png


@dataclass(frozen=True, slots=True)
class Section:
    """``key`` for report.json; ``of_paper``: which of its figures or tables this is beside."""

    key: str
    title: str
    finding: str
    body: tuple[str, ...] = ()
    of_paper: str = ""

    def html(self) -> str:
        """As HTML; the finding stands above everything else."""
        badge = f' <span class="badge none">{escape(self.of_paper)}</span>' if self.of_paper else ""
        return (
            f'<section id="{escape(self.key)}"><h2>{escape(self.title)}{badge}</h2>'
            f'<p class="finding">{escape(self.finding)}</p>{"".join(self.body)}</section>'
        )


class HasFailed(Protocol):
    """Results of a campaign, as far as :func:`missing` needs them."""

    @property
    def failed(self) -> Mapping[str, str]:
        """Reason by part."""
        ...


def missing(key: str, title: str, results: HasFailed, part: str, of_paper: str = "") -> Section:
    """In place of a section that this run has no data for; says why."""
    reason = next((why for name, why in results.failed.items() if name.startswith(part)), "")
    text = f"Not computed in this run: {reason}." if reason else "Not part of this run."
    return Section(key, title, text, (), of_paper)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[int] = ()) -> str:
    """Texts, the first column to the left; rows of ``bold`` are heavier."""
    top = "".join(f'<th class="{"" if k == 0 else "right"}">{escape(text)}</th>' for k, text in enumerate(head))
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(
            f'<td class="{"" if k == 0 else "num right"}">{escape(text)}</td>' for k, text in enumerate(row)
        )
        lines.append(f"<tr{' class=strong' if number in bold else ''}>{cells}</tr>")
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def picture(figure: Figure, caption: str) -> str:
    """A figure within the page."""
    alt = escape(caption.split(".")[0])
    return (
        f'<figure><img alt="{alt}" src="data:image/png;base64,{png(figure)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def note(text: str) -> str:
    """Smaller text."""
    return f'<p class="soft">{escape(text)}</p>'


def number(value: float | None, digits: int = 2) -> str:
    """Rounded, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean, with the standard deviation over robots where there are several."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "–"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.{digits}f}"
    sd = math.sqrt(sum((value - mean) ** 2 for value in known) / (len(known) - 1))
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"


def joined(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else "none"
