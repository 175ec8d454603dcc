"""The bars of a run: what they say was made."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hil.cli.run import RunBars


def _said(phase: str, motion: str = "", elapsed: float = 0.0) -> dict[str, object]:
    return {"motion": motion, "phase": phase, "duration": 10.0, "elapsed": elapsed, "force": float("nan"), "state": "x"}


@pytest.mark.parametrize("finished", [True, False])
def test_only_motions_that_were_made_are_ticked_off(finished: bool) -> None:
    out = Console(file=io.StringIO(), width=100)
    with RunBars(out, ["first", "second", "third"]) as bars:
        bars.update(_said("excite", "first", 5.0))
        bars.update(_said("excite", "second", 5.0))
        bars.update(_said("stop"))
        bars.finish(finished)
        tasks = {task.description: task for task in bars._progress.tasks}
    ticked = [name for name, task in tasks.items() if task.finished]
    assert ticked == (["bring-up", "first", "second", "third", "stop"] if finished else ["bring-up", "first"])
    assert ("stopped" in tasks["second"].fields["note"]) is not finished
