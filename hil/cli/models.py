"""``hil models``: models and calibrations of a cell, in versions; which one is in use, and back to an earlier one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.store import Store, StoreError, store_of


class _ListByDefault(TyperGroup):
    """``hil models CELL`` is short for ``hil models list CELL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListByDefault,
    help="Models and calibrations of a cell, in versions: `hil models CELL` lists them.",
    no_args_is_help=True,
)

CellArgument = Annotated[str, typer.Argument(help="the cell: a shipped name or a path", show_default=False)]
KindArgument = Annotated[str, typer.Argument(help="residual, tare, …", show_default=False)]
ByOption = Annotated[str | None, typer.Option(help="who accepts it (default: who is logged in)")]
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON")]


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    version: int
    active: bool
    made: str
    headline: str
    why_not: str
    """Empty where it could be used."""


@app.command("list")
def list_(cell: CellArgument, as_json: JsonOption = False) -> None:
    """Every version: in use or not, from when, how good, whether it fits the cell (exit 1: one in use does not)."""
    store = _store(cell)
    try:
        rows, troubles = _rows(store)
    except StoreError as error:
        _fail(error)
    if as_json:
        found = [
            {"kind": r.kind, "version": r.version, "in_use": r.active, "made": r.made, "headline": r.headline,
             "why_not": r.why_not} for r in rows
        ]  # fmt: skip
        typer.echo(json.dumps({"folder": str(store.folder), "versions": found, "troubles": troubles}, indent=1))
    elif not rows:
        console().print(f"{store.cell.name} has no models yet in {store.folder}", markup=False, highlight=False)
    else:
        out = console()
        out.print(_table(store, rows))
        for row in rows:
            if row.why_not:
                out.print(f"{row.kind} {row.version}: {row.why_not}", markup=False, highlight=False)
    for trouble in troubles:
        _error(trouble)
    if troubles:
        raise typer.Exit(1)


@app.command()
def show(
    cell: CellArgument,
    kind: KindArgument,
    version: Annotated[int | None, typer.Argument(min=1, help="the one in use by default", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """The page of a version (where it comes from, how good it is, files) and who accepted what, when."""
    store = _store(cell)
    try:
        accepted = store.history(kind)
        if version is None:
            version = accepted[-1].version if accepted else store.load(kind).page.version
        page = store.page(kind, version)
        why_not = _why_not(store, kind, version)
    except StoreError as error:
        _fail(error)
    said = [f"{each.at} {each.by}: {each.action} version {each.version}" for each in accepted]
    if as_json:
        content = {**page.model_dump(mode="json"), "history": [each.model_dump() for each in accepted]}
        typer.echo(json.dumps({**content, "why_not": why_not}, ensure_ascii=False, indent=1))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in page.model_dump(mode="json").items():
        if value not in (None, "", {}, [], ()):
            table.add_row(name, escape(_text(value)))
    table.add_row("usable", "yes" if not why_not else escape(f"no: {why_not}"))
    table.add_row("accepted", escape("\n".join(said) or "never"))
    console().print(table)


@app.command()
def use(
    cell: CellArgument,
    kind: KindArgument,
    version: Annotated[int, typer.Argument(min=1, show_default=False)],
    by: ByOption = None,
) -> None:
    """Accept a version: the cell runs it from its next start on."""
    store = _store(cell)
    try:
        stored = store.use(kind, version, by)
    except StoreError as error:
        _fail(error)
    console().print(f"in use: {stored}", markup=False, highlight=False)


@app.command()
def rollback(cell: CellArgument, kind: KindArgument, by: ByOption = None) -> None:
    """Return to the version that was in use before the present one."""
    store = _store(cell)
    try:
        stored = store.rollback(kind, by)
    except StoreError as error:
        _fail(error)
    console().print(f"in use again: {stored}", markup=False, highlight=False)


def _rows(store: Store) -> tuple[list[_Row], list[str]]:
    """Every version, and in words what is wrong with those in use. Raises StoreError."""
    rows, troubles = [], []
    for kind in store.kinds():
        active = None
        try:
            active = store.active(kind)
            if active is not None:
                store.load(kind)
        except StoreError as error:
            troubles.append(str(error))
        for version in store.versions(kind):
            made = headline = ""
            try:
                page = store.page(kind, version)
                made, headline = page.made, page.headline
            except StoreError:
                pass  # the reason stands in the last column
            rows.append(_Row(kind, version, version == active, made, headline, _why_not(store, kind, version)))
    return rows, troubles


def _why_not(store: Store, kind: str, version: int) -> str:
    try:
        store.check(kind, version)
    except StoreError as error:
        return error.reason or str(error)
    return ""


def _table(store: Store, rows: list[_Row]) -> Table:
    table = Table(title=escape(f"{store.cell.name}: {store.folder}"), title_justify="left", box=box.SIMPLE_HEAD)
    for title in ("kind", "version", "in use", "made"):
        table.add_column(title, no_wrap=True)
    table.add_column("how good", overflow="fold")
    table.add_column("usable", no_wrap=True)
    for row in rows:
        usable = "[green]yes[/]" if not row.why_not else "[red]no[/]"
        made, mark = row.made[:10], "[bold]●[/]" if row.active else ""
        table.add_row(escape(row.kind), str(row.version), mark, made, escape(row.headline), usable)
    return table


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        separator = "\n" if value and isinstance(value[0], dict) else ", "
        return separator.join(" ".join(map(_text, x.values())) if isinstance(x, dict) else _text(x) for x in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _store(cell: str) -> Store:
    try:
        return store_of(load_cell(cell))
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error


def _error(sentence: str) -> None:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)


def _fail(error: StoreError) -> NoReturn:
    _error(str(error))
    raise typer.Exit(2)
