"""``hil evaluate``: how good a model is, on recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from estimators.errors import EstimatorError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.telemetry.log import LogError

if TYPE_CHECKING:
    from hil.learning.contact import ForceScore
    from hil.learning.evaluate import Evaluation
    from hil.learning.free import FreeScore
    from hil.learning.score import Score

app = typer.Typer(help="Score models on recorded runs.", no_args_is_help=True)


@app.command()
def residual(
    logs: Annotated[list[Path], typer.Argument(help="logs of the cell that the model was not trained on")],
    cell: Annotated[str, typer.Option("--cell", help="the cell that they are of: a shipped name or a path")],
    model: Annotated[
        str | None, typer.Option(help="a file, or the number of a stored version (default: what the cell runs)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    html: Annotated[Path | None, typer.Option(help="also write a page with pictures")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the virtual contacts")] = 0,
) -> None:
    """Score a residual model: what it leaves of the residual torque, its uncertainty, its force against the sensor.

    Exit code 1: it is not fit for use.
    """
    # Slow to import.
    from hil.learning.chosen import chosen
    from hil.learning.evaluate import EvaluationError, evaluate_residual
    from hil.learning.judge import to_json, verdict

    try:
        loaded = load_cell(cell)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    messages = Console(stderr=True, soft_wrap=True)
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=messages, transient=True
    )
    with bars:
        task = bars.add_task("", total=1.0)
        try:
            found = evaluate_residual(
                loaded,
                logs,
                chosen(loaded, model),
                lambda what, share: bars.update(task, description=what, completed=share),
                seed,
            )
        except (EvaluationError, LogError, EstimatorError, OSError) as error:
            bars.stop()
            _fail(str(error))
    fit, sentence = verdict(found)
    for text in warnings(found):
        messages.print(text, style="yellow", markup=False, highlight=False)
    if as_json:
        typer.echo(json.dumps(to_json(found), ensure_ascii=False, indent=1))
    else:
        out = console()
        out.print(f"model: {found.model}", markup=False, highlight=False)
        for table in tables(found):
            out.print(table)
        out.print(sentence, style="green" if fit else "red", markup=False, highlight=False)
    if html is not None:
        from hil.learning.page import write_page

        try:
            write_page(found, html)
        except OSError as error:
            _fail(f"{html} cannot be written: {error.strerror}; name another place with --html")
        messages.print(f"page: {html}", markup=False, highlight=False)
    if not fit:
        raise typer.Exit(1)


def warnings(found: Evaluation) -> list[str]:
    """What flatters the figures, or lessens what they are worth."""
    said = list(found.notes)
    if found.seen:
        names = ", ".join(dict.fromkeys(found.seen))
        said.append(f"the model was trained on {names}: figures of these runs flatter; score it on others")
    if found.unknown_training:
        said.append("the model does not say what it was trained on: were these runs part of it, the figures flatter")
    return said


def tables(found: Evaluation) -> list[Table]:
    """The figures, 80 columns wide at most."""
    made = []
    if found.free is not None:
        made += [_residual_table(found.free), _free_table(found.free), _contact_table(found.free)]
    if found.force is not None:
        made.append(_force_table(found.force))
    return made


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _residual_table(free: FreeScore) -> Table:
    title = f"residual torque in {free.seconds:.0f} s of free motion ({len(free.pieces)} pieces), N·m"
    table = _table(title, ("joint", "rigid body alone, RMS", "with learnt mean, RMS", "bias"))
    for j in range(len(free.before)):
        table.add_row(f"A{j + 1}", f"{free.before[j]:.2f}", f"{free.after[j]:.2f}", f"{free.bias[j]:+.2f}")
    return table


def _free_table(free: FreeScore) -> Table:
    n, alone = len(free.before), free.estimate
    title = f"estimate in free motion (truth: 0), N·m; NIS {free.nis:.2f}, {n} expected"
    table = _table(title, ("joint", "RMS", "in 95 % band", "mean σ", "NLL", "NLL if constant"))
    for j in range(n):
        table.add_row(f"A{j + 1}", f"{alone.rms[j]:.2f}", *_uncertainty(alone, j))
    return table


def _contact_table(free: FreeScore) -> Table:
    title = "estimate under virtual contacts, N·m"
    table = _table(title, ("joint", "RMS", "momentum", "in 95 % band", "mean σ", "NLL", "NLL if constant"))
    for j in range(len(free.before)):
        rms = (f"{free.contacts.rms[j]:.2f}", f"{free.momentum[j]:.2f}")
        table.add_row(f"A{j + 1}", *rms, *_uncertainty(free.contacts, j))
    return table


def _uncertainty(score: Score, j: int) -> tuple[str, ...]:
    return (f"{score.coverage[j]:.0%}", f"{score.sd[j]:.2f}", f"{score.nll[j]:.2f}", f"{score.nll_constant[j]:.2f}")


def _force_table(force: ForceScore) -> Table:
    title = f"against the force sensor over {force.seconds:.1f} s of contact: RMS, share in 95 % band"
    table = _table(title, ("", "K-VARK", "in band", "as point contact", "in band", "momentum", "in band"))
    for k, axis in enumerate(("Fx, N", "Fy, N", "Fz, N", "Mx, N·m", "My, N·m", "Mz, N·m")):
        point = (f"{force.point.rms[k]:.2f}", f"{force.point.coverage[k]:.0%}") if k < 3 else ("", "")
        ours = (f"{force.wrench.rms[k]:.2f}", f"{force.wrench.coverage[k]:.0%}")
        table.add_row(axis, *ours, *point, f"{force.momentum.rms[k]:.2f}", f"{force.momentum.coverage[k]:.0%}")
    return table


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)
