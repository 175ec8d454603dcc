"""``hil reproduce``: a paper's tables and figures beside ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hil.cli.console import console

if TYPE_CHECKING:
    from hil.reproduce.command import Reproduction

app = typer.Typer(help="Compute a paper's tables and figures anew.", no_args_is_help=True)

Jobs = Annotated[int, typer.Option(help="workers; -1: one for each core")]
Backend = Annotated[
    Path | None, typer.Option(help="YAML of arguments for joblib.parallel_config, e.g. `backend: dask`")
]
Data = Annotated[Path | None, typer.Option(help="folder of frozen simulations and real recordings")]
Out = Annotated[Path, typer.Option(help="where folders of runs are")]


@app.command()
def kvark(
    quick: Annotated[bool, typer.Option("--quick", help="one robot of two families, short runs, few methods")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="robots of each friction family")] = 5,
    family: Annotated[list[str] | None, typer.Option(help="a friction family; again for more; all by default")] = None,
    method: Annotated[list[str] | None, typer.Option(help="a method; again for more; all by default")] = None,
    data: Data = None,
    jobs: Jobs = 1,
    backend: Backend = None,
    mocked: Annotated[bool, typer.Option("--mocked/--no-mocked", help="drive the mocked cobot through its bus")] = True,
    out: Out = Path("runs"),
) -> None:
    """The K-VARK paper: runs/<time>/report.html. Interrupted, the same command goes on where it was."""

    def chosen() -> Reproduction:
        from hil.reproduce.kvark.command import Kvark, settings_of

        return Kvark(settings_of(quick, seeds, family, method, data, mocked))

    _carry_out(chosen, out, jobs, backend, "kvark,learn,mocks")


@app.command()
def svdkl(
    quick: Annotated[bool, typer.Option("--quick", help="few motions, short trainings; nothing driven")] = False,
    trials: Annotated[int, typer.Option(min=1, help="trainings of each model, each from another seed")] = 5,
    method: Annotated[list[str] | None, typer.Option(help="a model; again for more; all by default")] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="fit, fractions, recordings, loop or pick; again for more; all by default")
    ] = None,
    data: Data = None,
    jobs: Jobs = 1,
    backend: Backend = None,
    out: Out = Path("runs"),
) -> None:
    """The SVDKL paper: runs/<time>/report.html. Interrupted, the same command goes on where it was."""

    def chosen() -> Reproduction:
        from hil.reproduce.svdkl.command import Svdkl, settings_of

        return Svdkl(settings_of(quick, trials, method, part, data))

    _carry_out(chosen, out, jobs, backend, "kvark,learn,mocks")


def _carry_out(chosen: Callable[[], Reproduction], out: Path, jobs: int, backend: Path | None, extras: str) -> None:
    try:
        from hil.reproduce.campaign import BackendError
        from hil.reproduce.command import Wrong, reproduce
        from hil.reproduce.group import DataError

        screen = console()
        try:
            of = chosen()
            bars = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), console=screen,
            )  # fmt: skip
            with bars:
                task = bars.add_task("beginning", total=None)

                def tell(done: int, total: int, what: str) -> None:
                    bars.update(task, completed=done, total=total, description=what)

                page, resumed, failed = reproduce(of, out, jobs, backend, tell)
        except KeyboardInterrupt:
            screen.print("interrupted; the same command goes on where it was", highlight=False)
            raise
        except (Wrong, DataError, BackendError) as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
    except ImportError as error:
        _fail(f"{error}. Reproducing needs the learning packages: pip install 'hil-lab[{extras}]'")
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
