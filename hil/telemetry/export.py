"""Logs as CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from hil.telemetry.log import Log
from hil.telemetry.row import EVENTS

STDOUT = Path("-")
EVENT_COLUMNS = ["tick", "t_ns [ns]", "kind", "text", "data"]
_BLOCK = 2000  # rows between two reports of progress


def channel_names(log: Log) -> list[str]:
    """Channels of the log that can be exported."""
    return [*log.channels, EVENTS]


def header(log: Log, channel: str) -> list[str]:
    """Column names with units, e.g. ``q_0 [rad]``; components are counted from 0."""
    if channel == EVENTS:
        return EVENT_COLUMNS
    return list(column_units(log.channels[channel].dtype, log.units.get(channel, {})))


def column_units(dtype: np.dtype[Any], units: Mapping[str, str]) -> dict[str, str]:
    """Unit by column name; one column for each scalar field and each component of a vector, in their order."""
    columns = {}
    for name in dtype.names or ():
        shape = dtype[name].shape
        unit = units.get(name, "").split(",")
        for k in range(shape[0] if shape else 1):
            label = f"{name}_{k}" if shape else name
            one = unit[k] if len(unit) > 1 and k < len(unit) else unit[0]
            columns[f"{label} [{one}]" if one else label] = one
    return columns


def export_csv(log: Log, channel: str, out: Path, progress: Callable[[int], None] = lambda rows: None) -> int:
    """Write ``channel`` to ``out``, which appears whole or not at all; returns the number of rows.

    ``-`` is standard output; it and what is no regular file (a device, a pipe) are written to directly.
    Numbers are written so that reading them back gives the same bits; unknown values read ``nan``.
    Raises KeyError for a channel the log does not have, OSError if the file cannot be written.
    """
    if channel not in channel_names(log):
        raise KeyError(channel)
    if out == STDOUT:
        count = _write(log, channel, sys.stdout, progress)
        sys.stdout.flush()
        return count
    if not is_replaceable(out):
        with out.open("w", encoding="utf-8", newline="") as file:
            return _write(log, channel, file, progress)
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        return _write(log, channel, file, progress)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path beside ``out`` to write to: what stands there takes the place of ``out`` when the block ends, and is
    gone when it ends with an exception, Ctrl-C included. A link stays, what it points to is replaced."""
    out = out.resolve()
    part = out.with_name(out.name + ".part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def is_replaceable(out: Path) -> bool:
    """Whether a new file may take the place of ``out``: nothing stands there, or a regular file.

    Never below ``/dev`` and ``/proc``: ``/dev/stdout`` may lead to a regular file that somebody holds open.
    """
    if out == STDOUT or out.absolute().is_relative_to("/dev") or out.absolute().is_relative_to("/proc"):
        return False
    return out.is_file() or not out.exists()


def _write(log: Log, channel: str, file: IO[str], progress: Callable[[int], None]) -> int:
    count = 0
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header(log, channel))
    for block in _blocks(log, channel):
        writer.writerows(block)
        count += len(block)
        progress(len(block))
    return count


def _blocks(log: Log, channel: str) -> Iterator[list[list[Any]]]:
    if channel == EVENTS:
        yield [[e.tick, e.t_ns, e.kind, e.text, json.dumps(e.data, ensure_ascii=False)] for e in log.events]
        return
    table = log.channels[channel]
    names = table.dtype.names or ()
    for start in range(0, len(table), _BLOCK):
        block = table[start : start + _BLOCK]
        # tolist() gives Python floats, whose text is the shortest that reads back as the same number.
        columns: list[list[Any]] = []
        for name in names:
            values = block[name]
            columns += [values.tolist()] if values.ndim == 1 else [c.tolist() for c in values.T]
        yield [list(row) for row in zip(*columns, strict=True)]
