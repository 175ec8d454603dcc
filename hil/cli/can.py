"""``hil can``: look at a CAN bus and the drives on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from drivers.can.bus import Bus, BusConfig, Frame
from drivers.can.opening import open_bus
from drivers.cobot.plan import plan_load, render
from drivers.errors import DriverError
from drivers.ticks import WallClock
from hil.can.scan import ScanResult, scan, vendor_name
from hil.can.watch import Statistics, line
from hil.cell import CellError, load_cell
from hil.cell.devices import CobotRobot
from hil.cli.cells import show_faults
from hil.cli.console import console

app = typer.Typer(help="Look at a CAN bus: who is there, what is said, how full it will be.", no_args_is_help=True)

Interface = Annotated[str, typer.Option("--interface", "-i", help="slcan, or any interface of python-can")]
Channel = Annotated[str, typer.Option("--channel", "-c", help="its channel: can0, /dev/ttyACM0, 239.74.163.2 …")]
Bitrate = Annotated[int, typer.Option("--bitrate", "-b", help="bit/s")]
Port = Annotated[int, typer.Option("--port", help="UDP port of udp_multicast")]


@app.command("scan")
def scan_bus(
    interface: Interface = "socketcan",
    channel: Channel = "can0",
    bitrate: Bitrate = 1_000_000,
    port: Port = 0,
    listen: Annotated[float, typer.Option(help="s to listen before anything is sent")] = 1.0,
    passive: Annotated[bool, typer.Option("--passive", help="only listen, send nothing at all")] = False,
    eds: Annotated[Path | None, typer.Option(help="compare every drive's identity with this EDS")] = None,
) -> None:
    """List the nodes on a bus: listen first, then ask each id, one at a time."""
    bus = _open(interface, channel, bitrate, port)
    try:
        result = scan(bus, WallClock(), listen=listen, probe=not passive, eds=eds)
    except DriverError as error:
        raise _failed(error) from error
    finally:
        bus.close()
    console().print(_table(result))
    for text in _remarks(result, passive):
        typer.echo(text)
    if not result.nodes:
        typer.echo(
            "nobody was heard: check supply, cable, both terminating resistors (60 Ω between CAN_H and CAN_L with "
            "power off) and the bit rate",
            err=True,
        )
        raise typer.Exit(1)


@app.command("dbc")
def dbc(
    cell: Annotated[str, typer.Argument(help="a cell with a cobot: name of a shipped one, or path of a cell file")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="file to write; nothing: standard output")] = None,
) -> None:
    """Write the cell's process data as a DBC file, for the tools of Vector, Kvaser, SavvyCAN and others."""
    from hil.can.dbc import export

    robot = _cobot(cell)
    limits = robot.joint_limits
    config = robot.can.config(tuple(limits.tau_max.tolist()), tuple(limits.qd_max.tolist()))
    text = export(config.joints, config.period)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise _failed(error) from error


@app.command("load")
def load(
    cell: Annotated[str | None, typer.Argument(help="a cell with a cobot; nothing: by the options")] = None,
    nodes: Annotated[list[int], typer.Option("--nodes", "-n", help="drives on a channel; once for each channel")] = [6],  # noqa: B006
    rate: Annotated[float, typer.Option(help="cycles per second")] = 500.0,
    bitrate: Bitrate = 1_000_000,
) -> None:
    """How full each channel will be, before anything is connected; ends with 1 where the plan would be refused."""
    refused = []
    try:
        plans = (
            _cobot(cell).can.loads()
            if cell is not None
            else [plan_load(f"channel {k}, {n} drives", n, rate, bitrate) for k, n in enumerate(nodes)]
        )
    except ValueError as error:
        raise _failed(error) from error
    for planned in plans:
        typer.echo(render(planned))
        refused += [planned.refused] if planned.refused else []
    for text in refused:
        typer.echo(text, err=True)
    if refused:
        raise typer.Exit(1)


@app.command("watch")
def watch(
    interface: Interface = "socketcan",
    channel: Channel = "can0",
    bitrate: Bitrate = 1_000_000,
    port: Port = 0,
    seconds: Annotated[float, typer.Option(help="end after so many seconds; 0: with Ctrl-C")] = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no frames, only the figures at the end")] = False,
) -> None:
    """Show every frame in words; nothing is sent. At the end: frames, rate and longest gap of each identifier."""
    bus = _open(interface, channel, bitrate, port)
    statistics, begin = Statistics(bitrate), time.monotonic()
    try:
        _follow(bus, statistics, begin, seconds, quiet)
    except KeyboardInterrupt:
        typer.echo("")
    finally:
        bus.close()
    elapsed = time.monotonic() - begin
    table = Table(box=None)
    for title in ("id", "frames", "1/s", "longest gap, ms"):
        table.add_column(title, justify="right")
    for can_id, count in sorted(statistics.frames.items()):
        gap = 1e3 * statistics.gap.get(can_id, 0.0)
        table.add_row(f"{can_id:03X}", str(count), f"{count / elapsed:.1f}", f"{gap:.1f}")
    console().print(table)
    typer.echo(
        f"load {100 * statistics.load(elapsed):.1f} % typical, {statistics.errors} error frames, {elapsed:.1f} s"
    )


def _follow(bus: Bus, statistics: Statistics, begin: float, seconds: float, quiet: bool) -> None:
    clock = WallClock()
    frames: list[Frame] = []
    while not seconds or time.monotonic() - begin < seconds:
        clock.wait(bus.fileno(), min(100_000_000, bus.poll_ns))
        bus.drain(frames)
        now = time.monotonic() - begin
        statistics.take(frames, now)
        if not quiet:
            for frame in frames:
                typer.echo(line(frame, now))
        frames.clear()
        if bus.lost:
            typer.echo(f"{bus.name}: {bus.lost}", err=True)
            raise typer.Exit(1)


def _cobot(cell: str) -> CobotRobot:
    """The arm of a cell file that has a cobot. Ends the program for any other."""
    try:
        loaded = load_cell(cell)
    except CellError as error:
        show_faults(error)
        raise typer.Exit(1) from error
    if not isinstance(loaded.robot, CobotRobot):
        raise _failed(ValueError(f"the arm of {loaded.name} is on no CAN bus (driver: {loaded.robot.driver})"))
    return loaded.robot


def _open(interface: str, channel: str, bitrate: int, port: int) -> Bus:
    options = {"port": port} if interface == "udp_multicast" and port else {}
    try:
        return open_bus(BusConfig(interface, channel, bitrate, options))
    except DriverError as error:
        raise _failed(error) from error


def _failed(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)


def _table(result: ScanResult) -> Table:
    table = Table(box=None)
    for title in ("node", "NMT", "vendor", "product", "revision", "serial", "torque modes", "state", "sends", "EDS"):
        table.add_column(title, overflow="fold")
    for node in result.nodes:
        sends = ", ".join(f"{kind} {count}" for kind, count in sorted(node.heard.items()))
        if not node.answers:
            table.add_row(str(node.node), node.nmt, "no answer", "", "", "", "", "", sends, "")
            continue
        modes = ", ".join(map(str, node.torque_modes)) if node.servo else "no CiA 402 drive"
        table.add_row(
            str(node.node), node.nmt, vendor_name(node.vendor), f"0x{node.product:X}", f"0x{node.revision:X}",
            str(node.serial), modes or "none", node.state, sends, node.eds,
        )  # fmt: skip
    return table


def _remarks(result: ScanResult, passive: bool) -> list[str]:
    texts = [f"node {node.node}, errors so far: " + "; ".join(node.errors) for node in result.nodes if node.errors]
    if not result.probed and not passive:
        texts.append(
            f"another master drives this bus ({result.sync} SYNC, {result.commands} commands heard): nothing was sent"
        )
    if result.errors:
        texts.append(f"{result.errors} error frames: check cable, termination and the bit rate of every node")
    return texts
