"""The stops of a run on the report's page."""

from __future__ import annotations

from html import escape

from hil.explain import Explanation, explain
from hil.telemetry.log import Log

MOST = 20
"""Stops that are explained; the log holds all."""


def stops_section(log: Log) -> str:
    """Why the arm was stopped, what it did and how to go on, for each stop; empty where nothing tripped and nobody
    asked for a stop before the end."""
    told = explain(log)
    if not told:
        return ""
    more = f"<p class='soft'>{len(told) - MOST} earlier stops stand in the log alone.</p>" if len(told) > MOST else ""
    return f"<section><h2>Stops</h2>{more}{''.join(map(_one, told[-MOST:]))}</section>"


def _one(each: Explanation) -> str:
    rows = [("tripped" if k == 0 else "and then", text) for k, text in enumerate(each.tripped)]
    rows = rows or [("because", each.stop.asked)]
    rows += [("stop", each.category), ("the arm", each.arm)]
    if each.causes:
        rows.append(("likely causes", ""))
    table = "".join(_row(name, escape(text) if text else _causes(each)) for name, text in rows)
    table += "".join(
        _row(n, escape(t)) for n, t in (("what to do", each.remedy), ("go on", each.go_on), ("more", each.anchor)) if t
    )
    return f"<h3>{escape(each.title)}</h3><table>{table}</table>"


def _causes(each: Explanation) -> str:
    lines = []
    for cause, seen in each.causes:
        lines.append(f"<li>{escape(cause)}" + (f" <strong>seen: {escape(seen)}</strong>" if seen else "") + "</li>")
    return f"<ol>{''.join(lines)}</ol>"


def _row(name: str, content: str) -> str:
    return f"<tr><td>{name}</td><td>{content}</td></tr>"
