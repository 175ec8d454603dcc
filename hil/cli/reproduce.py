"""``hil reproduce``: a paper's tables and figures beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hil.cli.console import console

app = typer.Typer(help="Compute a paper's tables and figures anew.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``kvark`` a word of its own while it is the only one."""


@app.command()
def kvark(
    quick: Annotated[bool, typer.Option("--quick", help="one robot of two families, short runs, few methods")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="robots of each friction family")] = 5,
    family: Annotated[list[str] | None, typer.Option(help="a friction family; again for more; all by default")] = None,
    method: Annotated[list[str] | None, typer.Option(help="a method; again for more; all by default")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of frozen simulations and real recordings")] = None,
    jobs: Annotated[int, typer.Option(help="workers; -1: one for each core")] = 1,
    backend: Annotated[
        Path | None, typer.Option(help="YAML of arguments for joblib.parallel_config, e.g. `backend: dask`")
    ] = None,
    mocked: Annotated[bool, typer.Option("--mocked/--no-mocked", help="drive the mocked cobot through its bus")] = True,
    out: Annotated[Path, typer.Option(help="where folders of runs are")] = Path("runs"),
) -> None:
    """The K-VARK paper: runs/<time>/report.html. Interrupted, the same command goes on where it was."""
    try:
        from hil.reproduce.campaign import BackendError
        from hil.reproduce.case import DataError
        from hil.reproduce.command import Wrong, reproduce, settings_of
    except ImportError as error:
        _fail(f"{error}. Reproducing needs the learning packages: pip install 'hil-lab[kvark,learn,mocks]'")
    screen = console()
    try:
        settings = settings_of(quick, seeds, family, method, data, mocked)
        bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=screen,
        )  # fmt: skip
        with bars:
            task = bars.add_task("beginning", total=None)

            def tell(done: int, total: int, what: str) -> None:
                bars.update(task, completed=done, total=total, description=what)

            page, resumed, failed = reproduce(settings, out, jobs, backend, tell)
    except KeyboardInterrupt:
        screen.print("interrupted; the same command goes on where it was", highlight=False)
        raise
    except (Wrong, DataError, BackendError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
    if resumed:
        screen.print("went on where the last one was interrupted", highlight=False)
    if failed:
        screen.print(f"parts that failed, told in the report: {', '.join(failed)}", highlight=False, markup=False)
    screen.print(f"report: {page}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)
