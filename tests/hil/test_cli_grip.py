"""``hil grip``: what is asked, what is said, and with which exit code."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from hil.cli import app, operate
from hil.operation.messages import Reply

runner = CliRunner()


class Cell:
    """Answers ``grip`` and then tells one state of the jaws after the other."""

    def __init__(self, states: list[str], ok: bool = True, payload: float | None = None) -> None:
        self.states, self.ok, self.payload = states, ok, payload
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Cell:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, verb: str, **arguments: Any) -> Reply:
        self.asked.append((verb, arguments))
        if verb == "grip":
            return Reply(self.ok, "the jaws close" if self.ok else "this cell has no gripper")
        state = self.states.pop(0)
        told = {"state": state, "sentence": f"({state})", "holding": state == "holding", "payload": self.payload}
        return Reply(True, "", {"gripper": told})


@pytest.mark.parametrize(
    ("cell", "arguments", "code", "words", "asked"),
    [
        (Cell(["moving", "holding"], payload=0.8), ["close"], 0, "the jaws are (holding); the model carries 0.8 kg", 3),
        (Cell(["moving", "moving", "open"]), ["open"], 0, "the jaws are (open)", 4),
        (Cell(["stuck"]), ["open"], 1, "the jaws are (stuck)", 2),
        (Cell(["unknown"]), ["close"], 1, "the jaws are (unknown)", 2),
        (Cell([]), ["close", "--no-wait"], 0, "the jaws close", 1),
        (Cell([], ok=False), ["close"], 1, "grip: refused: this cell has no gripper", 1),
        (Cell([]), ["shut"], 2, "read 'shut', expected close or open", 0),
    ],
)
def test_grip(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, arguments: list[str], code: int, words: str, asked: int
) -> None:
    monkeypatch.setattr(operate, "open_client", lambda name: cell)
    monkeypatch.setattr(operate.time, "sleep", lambda seconds: None)
    result = runner.invoke(app, ["grip", *arguments])
    assert result.exit_code == code, result.output
    assert words in result.output
    assert len(cell.asked) == asked
    if asked:
        assert cell.asked[0] == ("grip", {"close": arguments[0] == "close"})
