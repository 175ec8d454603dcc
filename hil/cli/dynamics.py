"""``hil train dynamics`` and ``hil evaluate dynamics``: learned inverse dynamics from recorded motion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from estimators.dynamics.base import Step
from estimators.dynamics.scores import Scores
from estimators.errors import EstimatorError
from estimators.rigid_body import RigidBodyModel
from hil.build import build_model
from hil.cell import Cell, CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.store import StoreError, store_of
from hil.telemetry.log import LogError

if TYPE_CHECKING:
    from hil.learning.dynamics_data import Recording

Data = Annotated[list[Path], typer.Argument(help="logs (.mcap), .npz, .csv, SARCOS .mat, 28-column .txt or .dat")]
CellOption = Annotated[str, typer.Option("--cell", help="the arm: a shipped cell or a path; only physics needs it")]
LayoutOption = Annotated[str, typer.Option(help="torques of a 28-column text: kuka-sim, kuka-real or si")]


def train(
    data: Data,
    cell: CellOption = "",
    out: Annotated[
        Path | None, typer.Option(help="where the model goes; default: the cell's store, without a cell dynamics.npz")
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="accept it at once: the cell runs it from its next start")] = False,
    by: Annotated[str | None, typer.Option(help="who accepts it (default: who is logged in)")] = None,
    torque: Annotated[
        str,
        typer.Option(
            help="commanded (what a controller needs) or measured; default: commanded for logs of a cell, else measured"
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="svdkl, svgp, sgpr, dkl (KISS-GP on a subset) or lstm")] = "svdkl",
    size: Annotated[str, typer.Option(help="small (128 inducing points) or large (192, wider network)")] = "small",
    physics: Annotated[
        str, typer.Option(help="none, nominal, regressed or maxwell-slip; default: nominal with a cell, none without")
    ] = "",
    validate: Annotated[str, typer.Option(help="trajectories that stop training, e.g. 7,8")] = "",
    test: Annotated[str, typer.Option(help="trajectories that only judge, e.g. 9,10")] = "",
    random_split: Annotated[
        bool, typer.Option("--random-split", help="split samples, not trajectories: leaks, and is marked so")
    ] = False,
    layout: LayoutOption = "",
    epochs: Annotated[int, typer.Option(min=0, help="0: as the size has it")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of split and training")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    checkpoint: Annotated[Path | None, typer.Option(help="kept up to date; an interrupted training goes on")] = None,
) -> None:
    """Learn the torque that a motion needs, with its uncertainty (docs/dynamics.md)."""
    try:
        from hil.learning import dynamics
        from hil.learning.dynamics_data import DataError
        from hil.learning.dynamics_keep import about, keep
        from hil.learning.dynamics_split import by_trajectory, leaking
    except ImportError as error:
        _fail(f"{error}. Training needs PyTorch and GPyTorch: pip install 'hil-lab[learn]'")
    physics = physics or ("nominal" if cell else "none")
    own = bool(cell) and all(path.suffix.lower() == ".mcap" for path in data)
    torque = torque or ("commanded" if own else "measured")
    for name, value, allowed in (
        ("--model", model, get_args(dynamics.Family)),
        ("--size", size, get_args(dynamics.Size)),
        ("--physics", physics, get_args(dynamics.Physics)),
        ("--torque", torque, ("commanded", "measured")),
        ("--device", device, ("auto", "cpu", "cuda")),
    ):
        if value not in allowed:
            _fail(f"{name} is {value!r}; expected one of {', '.join(allowed)}")
    if random_split and (validate or test):
        _fail("--random-split draws samples; --validate and --test name trajectories: take one or the other")
    loaded, body = _arm(cell)
    if torque == "commanded" and loaded is None:
        _fail("--torque commanded needs the cell: what the robot adds to a command stands in its file (--cell)")
    if out is None and (loaded is None or model in ("dkl", "lstm")):
        out = Path("dynamics.npz")
    if use and (loaded is None or out is not None):
        _fail("--use accepts a version in the store of a cell: name it with --cell, without --out")
    store = None if loaded is None or out is not None else store_of(loaded)
    if store is not None:
        try:
            store.require_writable()
        except StoreError as error:
            _fail(str(error))
    request = dynamics.Request(
        cast(Any, model), cast(Any, size), cast(Any, physics), seed, epochs or None, device
    )
    out_console = console()
    bars = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=out_console)
    try:
        recording = _read(data, layout, loaded, torque)
        split = (
            leaking(recording.samples, seed)
            if random_split
            else by_trajectory(recording.samples, _numbers(validate), _numbers(test), seed)
        )
        provenance: dict[str, object] = {"data": [path.name for path in data], "trajectories": recording.names}
        provenance["torque"] = torque
        if loaded is not None:
            provenance |= {"cell": loaded.name, "digest": loaded.digest()}
        with bars:
            task = bars.add_task("training", total=1.0)

            def tell(step: Step) -> None:
                what = f"{step.epoch} of {step.epochs}, validation NLL {step.validation:.3f}"
                bars.update(task, description=what, completed=step.epoch / step.epochs)

            trained = dynamics.train_dynamics(split, request, body, provenance, tell, checkpoint)
    except (DataError, LogError, EstimatorError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{checkpoint} cannot be written: {error.strerror}; name another place with --checkpoint")
    if out is not None:
        try:
            trained.save(out)
        except OSError as error:
            _fail(f"{out} cannot be written: {error.strerror}; name another place with --out")
    many = len(split.test.trajectories)
    where = "samples drawn at random" if split.leaking else f"{many} trajectories that nothing has seen"
    out_console.print(_table(trained.scores, f"on {where}", trained.physics))
    if split.leaking:
        out_console.print(
            "The split is random: neighbours of the test samples were trained on. These scores flatter.", style="yellow"
        )
    for note in trained.history.notes:
        out_console.print(note, markup=False, highlight=False)
    out_console.print(f"trained in {trained.history.cpu_seconds:.0f} s of processor time", highlight=False)
    if store is None or loaded is None:
        out_console.print(f"model: {out}", markup=False, highlight=False)
        return
    try:
        stored = keep(store, trained, about(trained, loaded, data))
        if use:
            stored = store.use(stored.page.kind, stored.page.version, by)
    except (StoreError, OSError) as error:
        _fail(str(error))
    said = f"stored as {stored.page.kind} version {stored.page.version} in {stored.folder}"
    take = f"`hil models use {store.cell.argument} {stored.page.kind} {stored.page.version}` takes it"
    then = "in use from the next start on" if use else take
    out_console.print(f"{said}; {then}", markup=False, highlight=False, soft_wrap=True)


def evaluate(
    model: Annotated[Path, typer.Argument(help="what hil train dynamics wrote")],
    data: Data,
    cell: CellOption = "",
    trajectories: Annotated[
        str, typer.Option(help="held-out (those kept for the test in training), all, or numbers: 9,10")
    ] = "held-out",
    layout: LayoutOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="the scores as JSON")] = False,
) -> None:
    """Errors, likelihood and calibration of a model on recorded motion."""
    from hil.learning import dynamics_evaluate as judging
    from hil.learning.dynamics_data import DataError

    loaded_cell, body = _arm(cell)
    try:
        loaded = judging.load_model(model, body)
        recording = _read(data, layout, loaded_cell, str(loaded.provenance.get("torque", "measured")))
        samples = recording.samples
        if trajectories == "held-out":
            if not loaded.held_out:
                _fail(f"{model} was not split by trajectory: say --trajectories all, or name some")
            known = loaded.provenance.get("trajectories", {})
            if any(known.get(str(k)) != recording.names.get(k) for k in loaded.held_out):
                _fail(f"{model} was trained on other data: say --trajectories all, or which of these")
            chosen = loaded.held_out
        else:
            chosen = [int(k) for k in samples.trajectories] if trajectories == "all" else (_numbers(trajectories) or [])
        if missing := sorted(set(chosen) - {int(k) for k in samples.trajectories}):
            _fail(f"there is no trajectory {missing[0]} in these data; name others with --trajectories")
        scores = judging.evaluate(loaded, samples.of(chosen))
    except ImportError as error:
        _fail(f"{error}. This model needs PyTorch and GPyTorch: pip install 'hil-lab[learn]'")
    except (DataError, LogError, EstimatorError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{model} cannot be read: {error.strerror}")
    if as_json:
        fields = ("rmse", "nmse", "nll", "msll", "constant_nll", "coverage68", "coverage95", "sigma")
        typer.echo(json.dumps({name: getattr(scores, name).tolist() for name in fields} | {"trajectories": chosen}))
        return
    console().print(_table(scores, f"{model.name} on {len(chosen)} trajectories"))


def _arm(name: str) -> tuple[Cell | None, RigidBodyModel | None]:
    if not name:
        return None, None
    try:
        cell = load_cell(name)
        return cell, build_model(cell)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except EstimatorError as error:
        _fail(str(error))


def _read(data: list[Path], layout: str, cell: Cell | None, torque: str = "measured") -> Recording:
    from hil.learning.dynamics_data import Layout, Torque, read

    if layout and layout not in get_args(Layout):
        _fail(f"--layout is {layout!r}; expected one of {', '.join(get_args(Layout))}")
    lag = 0 if cell is None else cell.observer.delay_ticks
    kind: Torque = "measured"
    if torque == "commanded":
        if cell is None:
            _fail("the model has learnt commanded torques, and what the robot adds stands in its cell: say --cell")
        kind = "commanded+gravity" if "gravity" in cell.robot.terms else "commanded"
    return read(data, cast(Layout, layout) if layout else None, lag, kind)


def _numbers(text: str) -> list[int] | None:
    if not text:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        _fail(f"read {text!r}; expected numbers of trajectories separated by commas, e.g. 9,10")


def _table(scores: Scores, title: str, physics: Scores | None = None) -> Table:
    table = Table(title=f"joint torque {title}")
    heads = ["joint", "RMSE N·m", "nMSE", "NLL", "in 68 % band", "in 95 % band"]
    for head in heads if physics is None else [*heads, "physics alone, RMSE N·m"]:
        table.add_column(head, justify="right")
    rows = zip(scores.rmse, scores.nmse, scores.nll, scores.coverage68, scores.coverage95, strict=True)
    for j, (rmse, nmse, nll, c68, c95) in enumerate(rows):
        cells = [f"A{j + 1}", f"{rmse:.4f}", f"{nmse:.4f}", f"{nll:.3f}", f"{c68:.3f}", f"{c95:.3f}"]
        table.add_row(*cells, *([] if physics is None else [f"{physics.rmse[j]:.4f}"]))
    means = [scores.nmse, scores.nll, scores.coverage68, scores.coverage95]
    last = ["mean", f"{scores.mean_rmse:.4f}", *(f"{part.mean():.3f}" for part in means)]
    table.add_row(*last, *([] if physics is None else [f"{physics.mean_rmse:.4f}"]), style="bold")
    return table


def _fail(sentence: str) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(2)
