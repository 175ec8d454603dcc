"""The verbs of a running cell start at once: who types ``hil stop`` does not wait for what it does not need."""

from __future__ import annotations

import subprocess
import sys

import typer

from hil.cli import QUICK, app, quick_app


def names(of: typer.Typer) -> set[str]:
    return {command.name or command.callback.__name__ for command in of.registered_commands if command.callback}


def test_the_quick_commands_are_what_talks_to_a_running_cell_and_part_of_the_whole() -> None:
    assert names(quick_app()) == QUICK
    assert names(app) > QUICK


def test_they_import_neither_cells_nor_models_nor_figures() -> None:
    heavy = ["hil.cell", "pinocchio", "scipy", "matplotlib", "textual", "can", "canopen", "google.protobuf"]
    code = "import sys; from hil.cli import quick_app; quick_app(); print([m for m in sys.argv if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout


def test_a_quick_verb_without_a_cell_ends_in_a_sentence() -> None:
    code = "from hil.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "stop", "--cell", "no_such_cell"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no cell" in done.stderr
