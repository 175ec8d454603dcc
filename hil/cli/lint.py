"""``hil lint``: do the limits of a cell make sense together?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from hil.cell import Cell, CellError, load_cell
from hil.cli.console import console
from hil.lint import Finding
from hil.lint import lint as find

_STYLES = {"error": "bold red", "warning": "yellow"}


def lint(
    cell: Annotated[str, typer.Argument(help="name of a shipped cell (`hil cells`) or path of a cell file")],
    strict: Annotated[bool, typer.Option("--strict", help="fail on warnings too")] = False,
) -> None:
    """Find limits of a cell that are impossible, contradict one another or can never act (docs/lint.md)."""
    from hil.cli.cells import show_faults

    try:
        found = find(load_cell(cell))
    except CellError as error:
        show_faults(error)
        raise typer.Exit(1) from error
    out = console()
    for finding in found:
        _show(finding)
    errors = sum(finding.severity == "error" for finding in found)
    out.print(Text(f"{cell}: {counted(found)}", style="bold red" if errors else "bold"))
    if errors or (strict and found):
        raise typer.Exit(1)


def _show(finding: Finding) -> None:
    out = console()
    out.print(
        Text(f"{finding.file}:{finding.line}", style="bold"),
        Text(finding.key, style="cyan"),
        Text(f"{finding.severity}: {finding.rule}", style=_STYLES[finding.severity]),
    )
    out.print(Text(f"    read     {finding.read}"))
    out.print(Text(f"    expected {finding.expected}"))
    out.print(Text(f"    to do    {finding.remedy}"))


def counted(found: list[Finding]) -> str:
    """``2 errors, 1 warning``."""
    counts = {kind: sum(finding.severity == kind for finding in found) for kind in _STYLES}
    parts = [f"{count} {kind}{'s' * (count != 1)}" for kind, count in counts.items() if count]
    return ", ".join(parts) if parts else "the limits make sense together"


def lint_line(cell: Cell) -> Text | None:
    """One line for ``hil check``; None where the rules find nothing."""
    found = find(cell)
    if not found:
        return None
    rules = ", ".join(dict.fromkeys(finding.rule for finding in found))
    style = _STYLES[found[0].severity]
    return Text(f"hil lint {cell.path}: {counted(found)} ({rules})", style=style)
