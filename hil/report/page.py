"""The report: one HTML file with everything in it, readable without a network."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from hil.report.drawing import COLOURS
from hil.report.figures import FIGURES
from hil.report.stops import stops_section
from hil.report.style import CSS
from hil.report.summary import Summary, phase_spans, summarise
from hil.report.timing import NOT_JUDGED
from hil.report.verdict import VerdictRow, verdict_rows
from hil.telemetry.log import Log

_DPI = 130
_MOST_EVENTS = 300

CAPTIONS = {
    "tracking": "Measured minus reference. Where a force is commanded, the TCP's error is taken across the force: "
    "along it the surface decides; the line is broken where that begins or ends. Shading tells the phases apart.",
    "torque": "Total motor torque is what our model predicts the motors to give: the command, gravity and the "
    "robot's own spring; the dashed lines are the limits in force.",
    "force": "Along the commanded force, positive where the tool pushes on the surface.",
    "wrench": "Contact wrench of the environment on the robot at the TCP, base axes, by the observer that the verdict "
    "names. Tool weight and inertia are taken "
    "off the sensor's reading; nothing is drawn before the tare. Each panel is scaled to its values and to the band; "
    "a band far wider than the values runs out of the panel, whose corner then states its width.",
    "gains": "Stiffness by joint; feed-forward torque of the joints of which the model was the least sure, with twice "
    "its predicted standard deviation, and the torque that the controller asks for with feedback; estimated mass of "
    "what the arm carries beside its tool.",
    "timing": "Wall-clock durations, logarithmic on both axes; vertical marks belong to read-to-write.",
}


def write_report(
    log: Log, out: Path, *, title: str, verdict: Sequence[VerdictRow] | None = None, summary: Summary | None = None
) -> Path:
    """Write ``out`` (an HTML file, replaced in one step) and return it.

    ``verdict``: rows of the verdict table, by default :func:`verdict_rows` of the summary. Raises OSError.
    """
    summary = summary or summarise(log)
    rows = verdict_rows(summary) if verdict is None else verdict
    body = "\n".join(
        [
            _head(log, summary, title, rows),
            _statement(summary),
            _verdict(rows),
            stops_section(log),
            _phases(log),
            *_figures(log, summary),
            _tracking(summary),
            _events(log),
            _configuration(log),
        ]
    )
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style></head>'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    part = out.with_name(out.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, out)
    return out


def png(figure: Figure) -> bytes:
    """A figure as PNG bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _head(log: Log, summary: Summary, title: str, rows: Sequence[VerdictRow]) -> str:
    passed = all(row.ok is not False for row in rows)
    word = '<span class="badge good">passed</span>' if passed else '<span class="badge bad">not passed</span>'
    cycles = f"{summary.rows} cycles" + (f" (each {summary.every}th)" if summary.every > 1 else "")
    facts = [f"{summary.duration_s:.1f} s", cycles, escape(log.path.name)]
    started = log.meta("run", "started")
    if started:
        facts.insert(0, escape(str(started)))
    return f'<header><h1>{escape(title)} {word}</h1><p class="facts">{" · ".join(facts)}</p></header>'


def _statement(summary: Summary) -> str:
    parts = []
    if summary.truncated:
        parts.append("<strong>The log was cut short;</strong> this report shows what stands before the cut.")
    elif summary.ended:
        parts.append(f"<strong>The run did not end in order:</strong> {escape(summary.ended)}.")
    if summary.damaged:
        parts.append("<strong>The log is damaged;</strong> this report shows what stands around the damage.")
    if summary.mock:
        parts.append(
            "<strong>Made on mocks:</strong> robot, sensor and contact were simulated. Nothing here is a measurement "
            "on a real arm."
        )
    elif summary.mock is None:
        parts.append("<strong>The log does not say whether it was made on mocks.</strong>")
    parts.append(
        "Software on a PC is not a rated safety function: limits and stops shown here do not replace the robot's own "
        "safety functions or a risk assessment."
    )
    return f"<aside>{' '.join(parts)}</aside>"


def _verdict(rows: Sequence[VerdictRow]) -> str:
    classes = {"✓": "mark ok", "✗": "mark no", "!": "mark warn", "·": "mark"}
    lines = [
        f'<tr><td class="{classes[r.mark]}">{r.mark}</td>'
        f"<td>{escape(r.name)}</td><td class='num'>{escape(r.value)}</td>"
        f"<td class='soft'>{escape(r.expectation)}</td></tr>"
        for r in rows
    ]
    heading = "<tr><th></th><th>what</th><th>measured</th><th>expected</th></tr>"
    return f"<section><h2>Verdict</h2><table>{heading}{''.join(lines)}</table></section>"


def _phases(log: Log) -> str:
    spans = phase_spans(log)
    if not spans:
        return ""
    seconds, total = log.seconds, max(float(log.seconds[-1]), 1e-9)
    names = list(dict.fromkeys(name for name, _, _ in spans))
    bars = []
    for name, a, b in spans:
        start, stop = float(seconds[a]), float(seconds[min(b, len(seconds) - 1)])
        colour = COLOURS[names.index(name) % len(COLOURS)]
        tip = f"{name}: {start:.2f} to {stop:.2f} s"
        share = (stop - start) / total
        label = escape(name) if share > 0.012 * len(name) else ""
        bars.append(
            f'<span style="flex:{max(share, 1e-4):.5f};background:{colour}" title="{escape(tip)}">{label}</span>'
        )
    scale = f'<div class="scale"><span>0 s</span><span>{total:.1f} s</span></div>'
    return f'<section><h2>Phases</h2><div class="strip">{"".join(bars)}</div>{scale}</section>'


def _figures(log: Log, summary: Summary) -> Iterable[str]:
    for name, (title, draw) in FIGURES.items():
        figure = draw(log)
        if figure is None:
            continue
        data = base64.b64encode(png(figure)).decode()
        extra = ""
        if name == "timing" and summary.timing is not None:
            timing = summary.timing
            kind = {"poor": "bad", NOT_JUDGED: "none"}.get(timing.verdict, "good")
            advice = f" {escape(timing.advice)}" if timing.advice else ""
            extra = f'<p><span class="badge {kind}">{timing.verdict}</span> {escape(timing.sentence)}{advice}</p>'
        yield (
            f"<section><h2>{escape(title)}</h2>{extra}<figure>"
            f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(CAPTIONS[name])}</figcaption></figure></section>"
        )


def _tracking(summary: Summary) -> str:
    if not summary.tracking:
        return ""
    scale = {"m": ("mm", 1e3), "rad": ("mrad", 1e3)}
    lines = []
    for t in summary.tracking:
        unit, factor = scale[t.unit]
        lines.append(
            f"<tr><td>{escape(t.phase)}</td><td class='num'>{t.start_s:.2f} s</td>"
            f"<td class='num'>{t.duration_s:.2f} s</td>"
            f"<td>{'TCP' if t.unit == 'm' else 'worst joint'}</td>"
            f"<td class='num'>{t.rms * factor:.3f} {unit}{_joint(t.rms_joint)}</td>"
            f"<td class='num'>{t.peak * factor:.3f} {unit}{_joint(t.peak_joint)}</td></tr>"
        )
    heading = "<tr><th>phase</th><th>from</th><th>for</th><th>of</th><th>rms</th><th>largest</th></tr>"
    return f"<section><h2>Tracking by phase</h2><table>{heading}{''.join(lines)}</table></section>"


def _joint(number: int | None) -> str:
    return "" if number is None else f" (A{number})"


def _events(log: Log) -> str:
    events = [e for e in log.events if e.kind != "phase"]
    if not events:
        return ""
    start = int(log.cycle["t_ns"][0]) if len(log.cycle) else events[0].t_ns
    # How a run ended says more than how it began, and faults are never left out.
    cut = max(0, len(events) - _MOST_EVENTS)
    earlier_faults = [e for e in events[:cut] if e.kind == "fault"]
    lines = [
        f"<tr class='{'fault' if e.kind == 'fault' else ''}'><td class='num'>{(e.t_ns - start) * 1e-9:.3f} s</td>"
        f"<td class='num'>{e.tick}</td><td>{escape(e.kind)}</td><td>{escape(e.text)}</td></tr>"
        for e in (*earlier_faults, *events[cut:])
    ]
    left_out = cut - len(earlier_faults)
    more = f"<p class='soft'>{left_out} earlier events stand in the log alone.</p>" if left_out else ""
    heading = "<tr><th>time</th><th>tick</th><th>kind</th><th>what</th></tr>"
    return f"<section><h2>Events</h2><table>{heading}{''.join(lines)}</table>{more}</section>"


def _configuration(log: Log) -> str:
    parts = []
    for name, table in log.metadata.items():
        lines = "".join(f"<tr><td>{escape(k)}</td><td class='num'>{escape(v)}</td></tr>" for k, v in table.items())
        parts.append(f"<details><summary>{escape(name)}</summary><table>{lines}</table></details>")
    for name, data in log.attachments.items():
        text = escape(data.decode("utf-8", errors="replace"))
        parts.append(f"<details><summary>{escape(name)}</summary><pre>{text}</pre></details>")
    return f"<section><h2>Configuration and versions</h2>{''.join(parts)}</section>" if parts else ""
