"""A recorded fault as a regression test: a short log, and a pytest file beside it that replays it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hil.cell import Cell
from hil.flight.file import Excerpt, write_excerpt
from hil.replay.inputs import Inputs, ReplayError
from hil.replay.player import WARM_UP, replay
from hil.telemetry.log import Log, read_log
from hil.telemetry.mcapfile import AttachedFile
from hil.telemetry.recorder import Meta
from hil.telemetry.row import row_layout
from hil.telemetry.schema import encode_event

BEFORE, AFTER = 0.3, 0.1
"""s of the log around the fault; before it at least what the checks remember."""
_TEST = '''"""Today's supervisor trips where it tripped in {source}.

Written by `hil replay --to-test`; {log} holds {rows} rows around the fault.
"""

from pathlib import Path

from hil.replay import replay_file

LOG = Path(__file__).with_name({log!r})
CELL = {cell!r}
"""Cell file whose limits are tried; None: those that travel in the log."""
EXPECTED = {expected!r}
"""Tick, fault, joint counted from 0."""


def test_{name}():
    replayed = replay_file(LOG, CELL)
    assert replayed.judged > 0
    now = [key for key in replayed.tripped_now if key[0] == EXPECTED[0][0]]
    assert now == EXPECTED, f"the supervisor of today trips {{replayed.tripped_now}}, then it tripped {{EXPECTED}}"
    early = [key for key in replayed.tripped_now if key[0] < EXPECTED[0][0]]
    assert early == [], f"the supervisor of today trips earlier: {{early}}"
'''


@dataclass(frozen=True, slots=True)
class Written:
    """What :func:`write_test` left."""

    test: Path
    log: Path
    rows: int


def write_test(log: Log, folder: Path, cell: Cell | None = None, number: int = 1) -> Written:
    """A test of the ``number``-th fault of ``log`` that replays, in ``folder`` (made where it is missing).

    ``cell``: the cell file that the test is to try; None for the one that travels in the log. Raises ReplayError where
    there is no such fault, or where today's supervisor does not trip there; CellError; OSError.
    """
    inputs = Inputs(log)
    faults = sorted({int(tick) for tick, k in zip(inputs.tick, range(inputs.count), strict=True) if _trips(inputs, k)})
    if not 1 <= number <= len(faults):
        raise ReplayError(
            f"{log.path} holds {len(faults)} fault(s) that can be made a test of; asked for number {number}"
        )
    at = int(np.flatnonzero(inputs.tick == faults[number - 1])[0])
    period = max(1e-4, float(np.median(np.diff(inputs.t_ns))) * 1e-9) if inputs.count > 1 else 1e-3
    first = max(0, at - round(BEFORE / period))
    last = min(inputs.count, at + round(AFTER / period) + 1)
    if (at - first) * period < WARM_UP and int(inputs.tick[0]) != 0:
        raise ReplayError(
            f"{log.path} begins {(at - first) * period:.2f} s before the fault; the checks remember {WARM_UP:g} s"
        )
    expected = [(int(f.tick), f.code.value, f.joint) for f in inputs.faults(faults[number - 1])]
    code = expected[0][1]
    name = re.sub(r"\W", "_", f"{code}_at_tick_{faults[number - 1]}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.mcap"
    _write_rows(log, path, first, last)
    replayed = replay(read_log(path), cell)
    if [key for key in replayed.tripped_now if key[0] == expected[0][0]] != expected:
        path.unlink()
        raise ReplayError(
            f"today's supervisor trips {replayed.tripped_now or 'nothing'} where {expected} was recorded: a test made "
            "of it would fail from the start; `hil replay` shows every difference"
        )
    test = folder / f"test_{name}.py"
    text = _TEST.format(
        source=log.path.name,
        log=path.name,
        rows=last - first,
        cell=None if cell is None else str(cell.path.resolve()),
        expected=expected,
        name=name,
    )
    test.write_text(text, encoding="utf-8")
    return Written(test, path, last - first)


def _trips(inputs: Inputs, k: int) -> bool:
    """A fault was latched in this cycle, or between it and the next, and none was before."""
    return bool(inputs.faults(int(inputs.tick[k]))) and (k == 0 or int(inputs["fault"][k - 1]) == 0)


def _write_rows(log: Log, path: Path, first: int, last: int) -> None:
    """Rows ``first`` … ``last`` of ``log`` with their events, as a log of its own. Raises OSError."""
    n = log.cycle["q"].shape[1]
    layout = row_layout(n)
    rows = np.frombuffer(bytearray(layout.blank * (last - first)), dtype=layout.dtype)
    for table in (log.timing, log.cycle):
        if len(table) != len(log.cycle):
            continue
        for name in table.dtype.names or ():
            if name in (layout.dtype.names or ()):
                rows[name] = table[name][first:last]
    begin, end = int(log.cycle["tick"][first]), int(log.cycle["tick"][last - 1])
    # What was asked for before the first row has had its effect on it.
    events = [e for e in log.events if begin - (first == 0) <= e.tick <= end and e.kind not in ("phase", "recorded")]
    earlier = [e for e in log.events if e.tick < begin and e.kind in ("phase", "problems")]
    attached = [AttachedFile(name, "application/octet-stream", data) for name, data in log.attachments.items()]
    meta = Meta(n, True, {name: dict(table) for name, table in log.metadata.items()}, attached)
    told = {"excerpt_of": log.path.name, "first_tick": str(begin)}
    phases, kept = [encode_event(e) for e in earlier], [encode_event(e) for e in events]
    write_excerpt(path, meta, layout, Excerpt(rows.tobytes(), phases, kept, 0), told)
