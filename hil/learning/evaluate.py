"""A trained residual model scored on recorded runs: on free motion, under virtual contacts, against the F/T sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.build import build_model
from hil.cell import Cell
from hil.learning.chosen import Chosen
from hil.learning.contact import ForceScore, Stretch, contacts, score_force
from hil.learning.free import FreeScore, score_free
from hil.learning.score import Tell
from hil.learning.segments import Segment, segments_of
from hil.store.page import fingerprints, short_name
from hil.telemetry.log import read_log


class EvaluationError(ValueError):
    """Recordings on which nothing can be scored; the message says what to record."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Everything that was scored; None where the recordings have none of it."""

    model: str
    cell: str
    logs: tuple[str, ...]
    free: FreeScore | None
    force: ForceScore | None
    seen: tuple[str, ...]
    """Logs that were part of the model's training data."""
    unknown_training: bool
    """The model does not say what it was trained on."""
    notes: tuple[str, ...]
    """What was wrong with the logs."""


def evaluate_residual(
    cell: Cell, logs: Sequence[Path], chosen: Chosen, progress: Tell | None = None, seed: int = 0
) -> Evaluation:
    """Score ``chosen`` on ``logs`` of ``cell``; ``seed``: of the virtual contacts.

    Raises EvaluationError; LogError for files that are none, OSError; ModelError for a URDF that is none.
    """
    tell = progress or (lambda what, share: None)
    model = build_model(cell)
    pieces: list[Segment] = []
    stretches: list[Stretch] = []
    notes: list[str] = []
    for k, path in enumerate(logs):
        tell("reading", k / len(logs))
        log = read_log(path)
        if log.truncated or log.damaged:
            notes.append(f"{short_name(path)}: {log.note}")
        if len(log.cycle) and log.cycle["q"].shape[1] != model.n:
            raise EvaluationError(f"{path} is of another arm: the cell's robot has {model.n} joints")
        pieces += segments_of(log)
        stretches += contacts(log)
    if not pieces and not stretches:
        raise EvaluationError(
            "there is neither free motion of 2 s at a stretch nor contact that a sensor felt: record motions of the "
            "arm under command, `hil run CELL --motion NAME`"
        )
    free = score_free(cell, model, chosen, pieces, tell, seed) if pieces else None
    force = score_force(cell, model, chosen, stretches, tell) if stretches else None
    trained_on = {each["sha256"] for each in chosen.trained.provenance.get("data", ())}
    seen = tuple(each.name for each in fingerprints(logs) if each.sha256 in trained_on)
    names = tuple(map(short_name, logs))
    return Evaluation(chosen.words, cell.name, names, free, force, seen, not trained_on, tuple(notes))
