"""``hil log``: look into a recorded run. Works on logs that a crash cut short, and says that they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hil.telemetry.export import channel_names, export_csv
from hil.telemetry.log import Log, LogError, read_log

app = typer.Typer(help="Look into recorded runs (also into cut ones).", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

FileArgument = Annotated[Path, typer.Argument(help="MCAP file of a run.", show_default=False)]
_MOST_EVENTS = 20


@app.command()
def info(file: FileArgument) -> None:
    """Say what is in a log: length, channels, verdict, events, versions."""
    from hil.report import summarise, verdict_rows, verdict_table  # matplotlib is slow to import

    with _plain_errors():
        log = _open(file)
        summary = summarise(log)
        mocks = {True: "mocks", False: "a real arm", None: "unknown whether mocks"}[summary.mock]
        rate = f" at {1 / summary.period_s:.0f} Hz" if summary.period_s > 0 else ""
        console.print(f"[bold]{escape(str(file))}[/]  {summary.rows} rows{rate}, {summary.duration_s:.2f} s, {mocks}")
        for name, table in log.channels.items():
            console.print(f"  {name}: {len(table)} rows, {len(table.dtype.names or ())} fields")
        console.print(f"  /events: {len(log.events)}")
        console.print(verdict_table(verdict_rows(summary)))
        _show_events(log)
        _show_metadata(log)


@app.command()
def plot(
    file: FileArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures (default: beside the log).")] = None,
) -> None:
    """Draw the main quantities as PNG pictures."""
    from hil.report.figures import FIGURES
    from hil.report.page import png

    with _plain_errors():
        log = _open(file)
        folder = out if out is not None else file.parent
        folder.mkdir(parents=True, exist_ok=True)
        drawn = 0
        for name, (_, draw) in FIGURES.items():
            figure = draw(log)
            if figure is None:
                continue
            target = folder / f"{file.stem}-{name}.png"
            target.write_bytes(png(figure))
            console.print(f"{target}", soft_wrap=True, markup=False)
            drawn += 1
        if not drawn:
            _fail(f"{file} holds no rows to draw: the run ended before the first cycle was recorded")


@app.command()
def export(
    file: FileArgument,
    out: Annotated[Path | None, typer.Option(help="CSV file to write (default: beside the log).")] = None,
    channel: Annotated[str, typer.Option(help="/cycle, /timing or /events.")] = "/cycle",
    every: Annotated[int, typer.Option(min=1, help="Keep each N-th row only.")] = 1,
) -> None:
    """Write one channel as CSV, with units in the header."""
    with _plain_errors():
        log = _open(file, every)
        channel = channel if channel.startswith("/") else f"/{channel}"
        if channel not in channel_names(log):
            _fail(f"{file} has no channel {channel}; it has {', '.join(channel_names(log))}")
        target = out if out is not None else file.with_name(f"{file.stem}-{channel.strip('/')}.csv")
        total = len(log.events) if channel == "/events" else len(log.channels[channel])
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as progress:
            task = progress.add_task("writing CSV", total=total)
            rows = export_csv(log, channel, target, lambda done: progress.advance(task, done))
        console.print(f"{target}: {rows} rows", soft_wrap=True, markup=False)


def _open(file: Path, every: int = 1) -> Log:
    log = read_log(file, every=every)
    if log.truncated:
        errors.print(f"[yellow]This log is cut:[/] {escape(log.note)}. What stands before the cut is shown.")
    return log


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except LogError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")


def _fail(message: str) -> None:
    errors.print(f"[red]error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(2)


def _show_events(log: Log) -> None:
    if not log.events:
        return
    start = int(log.cycle["t_ns"][0]) if len(log.cycle) else log.events[0].t_ns
    table = Table(title="events", title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("time", "kind", "what"):
        table.add_column(heading)
    for event in log.events[:_MOST_EVENTS]:
        table.add_row(f"{(event.t_ns - start) * 1e-9:.3f} s", escape(event.kind), escape(event.text))
    console.print(table)
    if len(log.events) > _MOST_EVENTS:
        console.print(f"  … {len(log.events) - _MOST_EVENTS} more: hil log export --channel /events")


def _show_metadata(log: Log) -> None:
    for name, entries in log.metadata.items():
        values = ", ".join(f"{k} {v}" for k, v in entries.items())
        console.print(f"[bold]{escape(name)}[/]: {escape(values)}", highlight=False)
    for name, data in log.attachments.items():
        console.print(f"[bold]{escape(name)}[/]: attached, {len(data)} bytes", highlight=False)
