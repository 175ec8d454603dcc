"""The report of a log file, of any length: a log of hours is thinned out until it fits into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hil.report.page import write_report
from hil.report.summary import summarise
from hil.report.verdict import VerdictRow, verdict_rows
from hil.telemetry.log import Log, read_log

MOST_ROWS = 300_000
"""Rows of a log that a report looks at: five minutes at 1 kHz, in some 500 MB of memory."""
_ROW_BYTES = 600
"""A row of seven joints in the file, compressed; rather too small, so that too few rows are kept than too many."""


def stride(path: Path) -> int:
    """Which rows of a log fit into memory: 1 all, k each k-th. Raises OSError."""
    return max(1, math.ceil(path.stat().st_size / _ROW_BYTES / MOST_ROWS))


def read_bounded(path: Path) -> Log:
    """A log with as many of its rows as fit into memory. Raises LogError, OSError."""
    return read_log(path, every=stride(path))


def report_name(log: Path) -> str:
    """``run.mcap`` → ``report.html``, ``run_2.mcap`` → ``report_2.html``, ``mine.mcap`` → ``mine-report.html``."""
    name, _, number = log.stem.partition("_")
    if name == "run" and (number.isdigit() or not number):
        return "report" + (f"_{number}" if number else "") + ".html"
    return f"{log.stem}-report.html"


def title_of(log: Log) -> str:
    """``CELL on mocks``, as far as the log says so."""
    cell, mock = log.meta("run", "cell"), log.meta("run", "mock")
    name = str(cell) if cell is not None else log.path.stem
    return f"{name} on mocks" if mock is True else name


def report_log(log: Log, out: Path, before: Sequence[VerdictRow] = ()) -> list[VerdictRow]:
    """Write the report of ``log`` to ``out``; its verdict, with the rows ``before`` in front. Raises OSError."""
    summary = summarise(log)
    rows = [*before, *verdict_rows(summary)]
    write_report(log, out, title=title_of(log), verdict=rows, summary=summary)
    return rows
