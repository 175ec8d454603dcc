"""The verbs of a running cell: ``hil status``, ``hil enable``, ``hil start`` … as thin clients of its control socket.

Exit codes: 0 accepted (and, where waited for, done), 1 refused or failed, 2 no cell to talk to.
"""

from __future__ import annotations

import json
import re
import time
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hil.cli.console import console
from hil.operation import explained
from hil.operation.client import NoAnswerError, OperationClient
from hil.operation.messages import Reply
from hil.operation.place import PlaceError

CellOption = Annotated[str | None, typer.Option("--cell", help="which running cell; the only one by default")]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="return when it is done, or at once")]

_ASK_AGAIN = 0.1
_EVENTS_SHOWN = 8
_STYLE = {
    "ready": "green", "holding": "cyan", "moving": "cyan", "starting": "cyan", "checking": "yellow",
    "stopping": "yellow", "held by a stop": "yellow", "offline": "yellow", "ending": "yellow",
}  # fmt: skip


def status(
    cell: CellOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for scripts")] = False,
) -> None:
    """Say where the running cell is: state, devices, faults, last events."""
    with open_client(cell) as client:
        reply = _call(client, "status")
    if as_json:
        typer.echo(json.dumps(reply.data, ensure_ascii=False, indent=1))
        return
    console().print(_panel(reply.data))


def enable(cell: CellOption = None, wait: WaitOption = True) -> None:
    """Hold the arm under command where it stands."""
    _say(cell, "enable", wait)


def start(
    motion: Annotated[str, typer.Argument(help="a motion of the cell file")],
    cell: CellOption = None,
    wait: WaitOption = False,
) -> None:
    """Begin a motion of the cell."""
    _say(cell, "start", wait, motion=motion)


def stop(
    category: Annotated[
        int, typer.Option(min=0, max=2, help="0 power away at once, 1 brake then power away, 2 brake and hold")
    ] = 1,
    cell: CellOption = None,
) -> None:
    """Stop the arm; accepted in every state."""
    _say(cell, "stop", False, category=category)


def ack(cell: CellOption = None) -> None:
    """Acknowledge the fault that is latched; nothing is enabled by it."""
    _say(cell, "ack", False)


def home(cell: CellOption = None, wait: WaitOption = False) -> None:
    """Move slowly to the cell's home."""
    _say(cell, "home", wait)


def jog(
    joint: Annotated[str, typer.Argument(help="A1 … A7, or 1 … 7")],
    degrees: Annotated[float, typer.Argument(help="by how much, up to 10 either way")],
    cell: CellOption = None,
    wait: WaitOption = False,
) -> None:
    """Move one joint by a few degrees, slowly."""
    match = re.fullmatch(r"[Aa]?(\d{1,2})", joint)
    if match is None:
        fail(f"joint: read {joint!r}, expected A1 … A7", 2)
    _say(cell, "jog", wait, joint=int(match[1]), degrees=degrees)


def grip(
    jaws: Annotated[str, typer.Argument(help="close or open")],
    cell: CellOption = None,
    wait: WaitOption = True,
) -> None:
    """Close the jaws of the gripper, or open them; no stop ever opens them."""
    if jaws not in ("close", "open"):
        fail(f"grip: read {jaws!r}, expected close or open", 2)
    with open_client(cell) as client:
        reply = _call(client, "grip", close=jaws == "close")
        if not reply.ok:
            fail(f"grip: refused: {reply.sentence}", 1)
        console().print(reply.sentence, markup=False, highlight=False)
        while wait:
            # The jaws move once the robot has taken the command; until then their state is that of before.
            time.sleep(_ASK_AGAIN)
            told = _call(client, "status").data["gripper"]
            if told["state"] == "moving":
                continue
            console().print(f"the jaws are {_jaws(told)}", markup=False, highlight=False)
            if told["state"] in ("stuck", "unknown"):
                raise typer.Exit(1)
            return


def _jaws(told: dict[str, Any]) -> str:
    """The gripper's state and the load that the model carries, in words."""
    load = "" if told["payload"] is None else f"; the model carries {told['payload']:g} kg"
    return f"{told['sentence']}{load}"


def tare(cell: CellOption = None, wait: WaitOption = True) -> None:
    """Check at standstill, then take the sensors' present readings as those of the tool alone."""
    _say(cell, "tare", wait)


def mark(
    text: Annotated[list[str], typer.Argument(help="a note for the log")],
    cell: CellOption = None,
) -> None:
    """Write a note into the log."""
    _say(cell, "mark", False, text=" ".join(text))


def record(
    switch: Annotated[str, typer.Argument(help="on or off")],
    cell: CellOption = None,
) -> None:
    """Begin a new log, or complete the present one."""
    if switch not in ("on", "off"):
        fail(f"record: read {switch!r}, expected on or off", 2)
    _say(cell, "record", False, on=switch == "on")


def down(cell: CellOption = None) -> None:
    """Stop the arm and end the cell."""
    _say(cell, "down", False)


def add_to(app: typer.Typer) -> None:
    """Make every verb a command of ``app``."""
    for verb in (status, enable, start, stop, ack, home, grip, tare, mark, record, down):
        app.command(verb.__name__)(verb)
    # -2 is an angle, not an option.
    app.command("jog", context_settings={"ignore_unknown_options": True})(jog)


def fail(sentence: str, code: int) -> NoReturn:
    """Say it in red and end with this exit code."""
    Console(stderr=True, soft_wrap=True).print(sentence, style="red", markup=False, highlight=False)
    raise typer.Exit(code)


def open_client(cell: str | None) -> OperationClient:
    """The running cell of this name, or the only one; ends the program where there is none."""
    try:
        return OperationClient(cell)
    except PlaceError as error:
        fail(str(error), 2)


def _call(client: OperationClient, verb: str, **arguments: Any) -> Reply:
    try:
        return client.call(verb, **arguments)
    except NoAnswerError as error:
        fail(str(error), 2)


def _say(cell: str | None, verb: str, wait: bool, **arguments: Any) -> None:
    with open_client(cell) as client:
        reply = _call(client, verb, **arguments)
        if not reply.ok:
            fail(f"{verb}: refused: {reply.sentence}", 1)
        console().print(reply.sentence, markup=False, highlight=False)
        if wait and "task" in reply.data:
            _wait(client, int(reply.data["task"]))


def _wait(client: OperationClient, number: int) -> None:
    """Ask until task ``number`` has ended; say how."""
    while True:
        task = _call(client, "status").data["task"]
        if task is None or task["number"] != number:
            fail("something else began meanwhile; `hil status` says what", 1)
        if task["progress"] == "done":
            console().print(task["sentence"], markup=False, highlight=False)
            return
        if task["progress"] == "failed":
            fail(f"{task['verb']}: failed: {task['sentence']}", 1)
        time.sleep(_ASK_AGAIN)


def _panel(told: dict[str, Any]) -> Panel:
    """The status on one screen."""
    style = _STYLE.get(told["situation"], "red")
    parts: list[Any] = [Text(told["sentence"], style=f"bold {style}")]
    for text in explained.words(told):
        parts += [Text(""), Text(text)]
    table = Table(box=None, pad_edge=False)
    for title in ("device", "kind", "state", "age", "notes"):
        table.add_column(title, overflow="fold")
    for device in told["devices"]:
        age = "" if device["age_ms"] is None else f"{device['age_ms']:.0f} ms"
        state = device["state"] if device["valid"] else f"{device['state']}, not valid"
        table.add_row(device["name"], device["kind"], state, age, ", ".join(device["flags"]))
    log = told["log"] or "off"
    parts += [Text(""), table, Text(""), Text(f"recording: {log}    motions: {', '.join(told['motions'])}")]
    if told["realtime"] is not None:
        granted = [grant["what"] for grant in told["realtime"] if grant["granted"]]
        refused = [grant["what"] for grant in told["realtime"] if not grant["granted"]]
        words = ", ".join(granted) or "no privileges"
        words += f"; refused: {', '.join(refused)}" if refused else ""
        skipped = f"{told['skipped']} ticks skipped, at most {told['skipped_in_a_row']} in a row"
        parts.append(Text(f"real time: {words}; {skipped}"))
    events = [e for e in told["events"] if e["kind"] != "phase"][-_EVENTS_SHOWN:]
    if events:
        parts.append(Text(""))
    parts += [Text(f"{event['time'][11:19]}  {event['text']}", style="dim") for event in events]
    devices = "simulated" if told["mocks"] else "real"
    return Panel(Group(*parts), title=f"{told['cell']} ({devices} devices)", title_align="left")
