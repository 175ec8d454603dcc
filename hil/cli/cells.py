"""``hil cells`` and ``hil check``: which cells there are, and what a cell file says."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hil.build import require_models
from hil.cell import Cell, CellError, load_cell, shipped_cells
from hil.cell.devices import CobotRobot, PiperRobot, Robot
from hil.cell.limits import PRESETS
from hil.cli.console import console, pipe_width
from hil.cli.lint import lint_line
from hil.store import StoreError, store_of


def cells() -> None:
    """List the cells that come with the toolkit."""
    table = Table(box=None, pad_edge=False)
    for title in ("name", "devices", "robot", "motions", "description"):
        table.add_column(title, overflow="fold")
    for name, path in shipped_cells().items():
        cell = load_cell(path)
        devices = "simulated" if cell.mocks else "real (refused for now)"
        motions = ", ".join(cell.motions)
        table.add_row(f"[bold]{name}[/]", devices, cell.robot.model.removesuffix(".urdf"), motions, cell.description)
    out = console()
    out.print(table)
    out.print("\nLook into one with `hil check NAME`; run one with `hil run NAME --motion MOTION`.")


def check(
    cell: Annotated[str, typer.Argument(help="name of a shipped cell (`hil cells`) or path of a cell file")],
    dump: Annotated[bool, typer.Option("--dump", help="print the cell as YAML with every default filled in")] = False,
) -> None:
    """Check a cell file and say what it describes; every mistake is told at once."""
    try:
        checked = load_cell(cell)
        require_models(checked)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(1) from error
    if dump:
        typer.echo(checked.dump(), nl=False)
        return
    console().print(describe(checked))
    if said := lint_line(checked):
        console().print(said)


def show_faults(error: CellError) -> None:
    """Every mistake of a cell file, on standard error, first line as ``file:line`` so that editors can jump there."""
    err = Console(stderr=True)
    if not err.is_terminal:
        err = Console(stderr=True, width=pipe_width(), soft_wrap=True)
    for fault in error.faults:
        err.print(Text(f"{fault.file}:{fault.line}", style="bold"), Text(fault.key, style="cyan"))
        err.print(Text(f"    read     {fault.read}", style="red"))
        err.print(Text(f"    {fault.allowed}"))
    count = len(error.faults)
    err.print(Text(f"\n{count} mistake{'s' * (count != 1)}; nothing was started.", style="bold red"))


def describe(cell: Cell) -> Panel:
    """What a checked cell says, on one screen."""
    robot, tool = cell.robot, cell.tool
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("file", str(cell.path))
    facts.add_row("devices", "simulated" if cell.mocks else "real: refused for now, with --real too")
    facts.add_row("robot", _link(robot))
    for sensor in cell.sensors:
        facts.add_row("sensor", f"{sensor.name}: {sensor.driver} on {sensor.port}, {sensor.rate:g} Hz")
    facts.add_row("tool", f"{tool.mass:g} kg, centre of mass {_list(tool.com)} m, TCP {_list(tool.tcp.xyz)} m")
    facts.add_row("observer", _observer(cell))
    for name, motion in cell.motions.items():
        facts.add_row("motion", f"{name}: {motion.kind}")
    if cell.mock is not None:
        facts.add_row("physics", f"{cell.mock.profile}, seed {cell.mock.seed}")
    if planned := on_purpose(cell):
        facts.add_row("on purpose", planned)
    facts.add_row("limits", f"{robot.limits.preset} ({robot.limits.source}); * is tightened by this cell")
    facts.add_row("digest", cell.digest())
    return Panel(Group(facts, "", limits_table(cell)), title=f"{cell.name}: no mistakes", expand=False)


def on_purpose(cell: Cell) -> str:
    """The faults that the cell's mock commits, in words; empty where there are none."""
    return "" if cell.mock is None else "; ".join(fault.sentence for fault in cell.mock.faults)


def _observer(cell: Cell) -> str:
    """The observer, and which trained model it runs."""
    described = cell.observer
    if described.kind != "kvark":
        return f"{described.kind}, {described.bandwidth:g} 1/s"
    if described.model is not None:
        return f"kvark, {described.model}"
    try:
        return f"kvark, {store_of(cell).load('residual')}"
    except StoreError as error:
        return f"kvark, but it cannot run: {error}"


def _link(robot: Robot | CobotRobot | PiperRobot) -> str:
    """The arm and the wire it speaks, in one line."""
    if isinstance(robot, CobotRobot):
        can = robot.can
        channels = ", ".join(f"{channel.interface} {channel.channel}" for channel in can.channels)
        nodes = ", ".join(str(drive.node) for drive in can.drives)
        brakes = "" if can.brakes else ", no brakes"
        return f"{robot.model}, CiA 402 drives (nodes {nodes}) on {channels}, every {can.cycle_ms} ms{brakes}"
    if isinstance(robot, PiperRobot):
        bus, versions = robot.can.channel, ", ".join(robot.firmware)
        wire = f"PiPER protocol V2 on {bus.interface} {bus.channel}, every {robot.period * 1e3:g} ms"
        return f"{robot.model}, {wire}, firmware {versions}, no brakes; EXPERIMENTAL: never tried on a real arm"
    fri = robot.fri
    link = f"FRI {fri.version}, {fri.host}:{fri.port or 'any port'}, every {fri.send_period_ms} ms"
    if fri.receive_multiplier > 1:
        link += f", every {fri.receive_multiplier}. answered"
    link += f", {fri.command_mode} commands"
    return f"{robot.model}, {link}, adds {', '.join(sorted(robot.terms))} by itself"


def limits_table(cell: Cell) -> Table:
    """The limits that bind the arm; those that the cell tightens are marked."""
    section = cell.robot.limits
    limits, preset = section.joint_limits(), PRESETS[section.preset]
    table = Table(box=None)
    table.add_column("")
    for joint in range(limits.n):
        table.add_column(f"A{joint + 1}", justify="right")
    for name, unit in (
        ("q_min", "rad"), ("q_max", "rad"), ("qd_max", "rad/s"),
        ("tau_max", "N·m"), ("tau_cmd_max", "N·m"), ("tau_rate_max", "N·m/s"),
    ):  # fmt: skip
        mine, sheet = getattr(limits, name), getattr(preset, name)
        values = [f"{x:.4g}{'*' if x != y else ''}" for x, y in zip(mine, sheet, strict=True)]
        table.add_row(f"{name}, {unit}", *values)
    return table


def _list(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{x:g}" for x in values) + "]"
