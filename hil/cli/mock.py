"""``hil mock``: the simulated devices of a cell alone, for clients that are not ours."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from drivers.errors import ConnectError
from hil.cell import CellError, load_cell
from hil.cli.cells import show_faults
from hil.cli.console import console
from hil.mocks import MockProcess, mock_config


def mock(
    cell: Annotated[str, typer.Argument(help="name of a shipped cell (`hil cells`) or path of a cell file")],
    seed: Annotated[int | None, typer.Option(help="seed of the simulated world; the cell file's by default")] = None,
    client: Annotated[
        str, typer.Option(help="address:port of the FRI client that an iiwa's packets go to")
    ] = "127.0.0.1:30200",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="the wall clock moves the world on, for clients without the time token")
    ] = False,
) -> None:
    """Serve the mock devices of a cell until Ctrl-C: FRI on UDP or drives on CAN, the F/T sensor on a pseudo-terminal.

    Virtual time is moved on by whoever holds the token of the control plane, and this command tells where it is; with
    --realtime it follows the wall clock, as a real robot's.
    """
    out = console()
    host, _, port = client.rpartition(":")
    if not port.isdigit() or not host:
        out.print(f"--client: read {client!r}, expected address:port as in 127.0.0.1:30200", markup=False)
        raise typer.Exit(2)
    try:
        loaded = load_cell(cell)
        served = MockProcess(mock_config(loaded, seed=seed, realtime=realtime))
    except CellError as error:
        show_faults(error)
        raise typer.Exit(2) from error
    except (ValueError, ConnectError) as error:
        out.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    try:
        hello = served.control.hello()
        out.print(f"[bold]{loaded.name}[/]: mock devices, profile {hello['profile']}, seed {hello['seed']}")
        if "fri" in hello:
            served.control.fri_peer(host, int(port))
            out.print(f"  FRI      robot at {hello['fri'][0]}:{hello['fri'][1]}, client at {client}", markup=False)
        for where in hello.get("can", ()):
            out.print(f"  CAN      {_channel(where)}", markup=False)
        if hello["ft_path"]:
            out.print(f"  F/T      {hello['ft_path']}", markup=False)
        out.print(f"  control  {served.control_dir} (control.sock{'' if realtime else ', token.sock'})", markup=False)
        out.print("Ctrl-C ends it.")
        signal.pause()
    except KeyboardInterrupt:
        out.print("ended")
    finally:
        served.close()


def _channel(where: Mapping[str, Any]) -> str:
    """What a client of a CAN channel needs, in the words of python-can."""
    return ", ".join(f"{key} {value}" for key, value in where.items())
