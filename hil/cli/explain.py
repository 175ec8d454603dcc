"""``hil explain``: why the arm was stopped, what it did then, and how to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hil.cli.console import console
from hil.explain import explain as explain_log
from hil.flight import STOPS
from hil.operation.messages import plain
from hil.telemetry.log import LogError, read_log

RUNS = Path("runs")


def explain(
    file: Annotated[
        Path | None, typer.Argument(help="a log, a flight recorder's file or a run's folder (default: the newest run)")
    ] = None,
    runs: Annotated[Path, typer.Option(help="folder of the runs, where no file is given")] = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for scripts")] = False,
) -> None:
    """Say of every stop what tripped, what the arm did, the likely causes by what the log shows, and how to go on.

    Ends with 1 where something tripped, 0 where nothing did, 2 where there is no such log.
    """
    try:
        paths = _paths(file, runs)
        told = [(path, each) for path in paths for each in explain_log(read_log(path))]
    except (LogError, OSError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if as_json:
        values = [{"file": str(path), **plain(each.to_mapping())} for path, each in told]
        typer.echo(json.dumps(values, ensure_ascii=False, indent=1))
    else:
        out = console()
        for path in paths:
            out.print(f"{path}", markup=False, highlight=False, soft_wrap=True)
            lines = [line for of, each in told if of == path for line in ("", *each.lines())]
            for line in lines or ["nothing tripped, and nobody asked for a stop before the end"]:
                out.print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(each.tripped for _, each in told) else 0)


def _paths(file: Path | None, runs: Path) -> list[Path]:
    """The logs to explain. Raises FileNotFoundError."""
    if file is not None and not file.is_dir():
        return [file]
    folder = newest_run(runs) if file is None else file
    found = logs_of(folder) if folder is not None else []
    if not found:
        where = f"below {runs}/" if file is None else f"in {file}"
        raise FileNotFoundError(f"there is no log {where}: name a file, or the folder of a run")
    return found


def logs_of(folder: Path) -> list[Path]:
    """The flight recorder's files of a run; without any, its logs."""
    return sorted((folder / STOPS).glob("*.mcap")) or sorted(folder.glob("*.mcap"))


def newest_run(runs: Path) -> Path | None:
    """The newest folder below ``runs`` that holds logs; None where there is none."""
    folders = [each for each in runs.glob("*") if each.is_dir() and logs_of(each)] if runs.is_dir() else []
    return max(folders, key=lambda each: each.stat().st_mtime, default=None)
