"""``hil log``: look into a recorded run. Works on logs that are cut or damaged, and says that they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hil.telemetry.export import channel_names, export_csv, header, is_replaceable
from hil.telemetry.log import Log, LogError, read_log
from hil.telemetry.parquet import MissingPackageError, export_parquet
from hil.telemetry.schema import Event

app = typer.Typer(help="Look into recorded runs (also into cut and damaged ones).", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

FileArgument = Annotated[Path, typer.Argument(help="MCAP file of a run.", show_default=False)]
_MOST_EVENTS = 20
_MOST_FAULTS = 20


@app.command()
def info(
    file: FileArgument,
    events: Annotated[int, typer.Option(min=0, help="How many of the last events to show.")] = _MOST_EVENTS,
    codes: Annotated[bool, typer.Option("--codes", help="Show the numbers of states and faults in rows.")] = False,
) -> None:
    """Say what is in a log: length, channels, verdict, faults, last events, versions."""
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
        _show_events(log, events)
        _show_metadata(log, codes)


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
def report(
    file: FileArgument,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: beside the log).")] = None,
) -> None:
    """Write the report of a log, a session's too: one HTML file, as `hil run` leaves it."""
    from hil.report import verdict_table
    from hil.report.files import report_log, report_name, stride

    with _plain_errors():
        # A missing file is told by the reader, in its own words.
        log = _open(file, stride(file) if file.is_file() else 1)
        target = out if out is not None else file.with_name(report_name(file))
        rows = report_log(log, target)
        console.print(verdict_table(rows))
        console.print(f"{target}", soft_wrap=True, markup=False)


class Format(StrEnum):
    """What ``hil log export`` writes."""

    csv = "csv"
    parquet = "parquet"


@app.command()
def export(
    file: FileArgument,
    out: Annotated[
        Path | None, typer.Option(help="File to write; - for CSV on standard output (default: beside the log).")
    ] = None,
    channel: Annotated[str, typer.Option(help="/cycle, /timing or /events.")] = "/cycle",
    every: Annotated[int, typer.Option(min=1, help="Keep each N-th row only.")] = 1,
    form: Annotated[
        Format | None, typer.Option("--format", help="csv or parquet (default: by the ending of --out, else csv).")
    ] = None,
) -> None:
    """Write one channel as CSV or Parquet, with units in the column names."""
    if form is None:
        form = Format.parquet if out is not None and out.suffix == ".parquet" else Format.csv
    channel = channel if channel.startswith("/") else f"/{channel}"
    target = out if out is not None else file.with_name(f"{file.stem}-{channel.strip('/')}.{form}")
    with _plain_errors():
        rows, width = (_csv if form is Format.csv else _parquet)(file, channel, target, every)
        count = f"{rows} {'event' if channel == '/events' else 'row'}{'s' * (rows != 1)} of {width} columns"
        if is_replaceable(target):
            size = target.stat().st_size
            said = f"{count}, {size / 1e6:.1f} MB" if size >= 1e5 else f"{count}, {size / 1e3:.1f} kB"
            if channel != "/events":
                said += ", every number exact to its last bit; --every N thins it out"
            console.print(f"{target}: {said}", soft_wrap=True, markup=False)
        else:
            errors.print(count, markup=False)  # standard output may be where the rows went


def _csv(file: Path, channel: str, target: Path, every: int) -> tuple[int, int]:
    """Rows and columns written."""
    log = _open(file, every)
    if channel not in channel_names(log):
        _fail(f"{file} has no channel {channel}; it has {', '.join(channel_names(log))}")
    total = len(log.events) if channel == "/events" else len(log.channels[channel])
    with _bar("writing CSV", total) as advance:
        return export_csv(log, channel, target, advance), len(header(log, channel))


def _parquet(file: Path, channel: str, target: Path, every: int) -> tuple[int, int]:
    """Rows and columns written."""
    if not is_replaceable(target):
        _fail(f"{target} is no regular file, and Parquet is no format for a pipe: name a file, or take --format csv")
    reached = 0.0
    with _bar("writing Parquet", 1.0) as advance:

        def tell(share: float) -> None:
            nonlocal reached
            advance(share - reached)
            reached = share

        try:
            rows, width, log = export_parquet(file, channel, target, every=every, progress=tell)
        except MissingPackageError as error:
            _fail(str(error))
        except KeyError:
            _fail(f"{file} has no channel {channel}; it has {', '.join(channel_names(read_log(file, every=1000)))}")
    _warn(log)
    return rows, width


@contextmanager
def _bar(what: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar of progress on standard error; what is given is called with each advance."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _open(file: Path, every: int = 1) -> Log:
    log = read_log(file, every=every)
    _warn(log)
    return log


def _warn(log: Log) -> None:
    if log.truncated:
        errors.print(f"[yellow]This log is cut:[/] {escape(log.note)}. What stands before the cut is shown.")
    if log.damaged:
        spots = "1 spot was" if log.damaged == 1 else f"{log.damaged} spots were"
        errors.print(f"[yellow]This log is damaged:[/] {spots} skipped; what stands around is shown.")


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except LogError as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not stumble over what is still buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as error:
        _fail(f"{error.filename or 'file'}: {error.strerror or error}")


def _fail(message: str) -> None:
    errors.print(f"[red]error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(2)


def _show_events(log: Log, most: int) -> None:
    if not log.events:
        return
    faults = [event for event in log.events if event.kind == "fault"]
    if faults:
        console.print(_event_table(log, "faults", faults[:_MOST_FAULTS]))
        if len(faults) > _MOST_FAULTS:
            console.print(f"  … {len(faults) - _MOST_FAULTS} more faults: hil log export --channel /events")
    shown = log.events[max(0, len(log.events) - most) :]
    earlier = len(log.events) - len(shown)
    if shown:
        console.print(_event_table(log, "last events" if earlier else "events", shown))
    if earlier:
        console.print(f"  … {earlier} earlier: --events N, or hil log export --channel /events")


def _event_table(log: Log, title: str, events: list[Event]) -> Table:
    start = int(log.cycle["t_ns"][0]) if len(log.cycle) else log.events[0].t_ns
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("time", "kind", "what"):
        table.add_column(heading)
    for event in events:
        name = event.data.get("name") if event.kind == "phase" else None
        text = f"{name} begins" if isinstance(name, str) else event.text
        table.add_row(f"{(event.t_ns - start) * 1e-9:.3f} s", escape(event.kind), escape(text))
    return table


def _show_metadata(log: Log, codes: bool) -> None:
    for name, entries in log.metadata.items():
        if name == "codes":
            continue
        values = ", ".join(f"{k} {v}" for k, v in entries.items())
        console.print(f"[bold]{escape(name)}[/]: {escape(values)}", highlight=False)
    for name, data in log.attachments.items():
        console.print(f"[bold]{escape(name)}[/]: attached, {len(data)} bytes", highlight=False)
    if codes:
        _show_codes(log)


def _show_codes(log: Log) -> None:
    for name in log.metadata.get("codes", {}):
        numbers = log.meta("codes", name)
        if not isinstance(numbers, dict):
            continue
        table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("number", justify="right")
        table.add_column("meaning")
        for meaning, number in numbers.items():
            table.add_row(str(number), escape(str(meaning)))
        console.print(table)
