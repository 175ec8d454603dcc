"""From a path, or the name of a shipped cell, to a checked :class:`Cell`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from drivers.piper.codec import N as PIPER_JOINTS
from hil.cell.check import show, validate
from hil.cell.cobot import MOCK_CHANNEL
from hil.cell.contact import check_contact
from hil.cell.devices import MOCK_PORT
from hil.cell.faults import CellError, CellFault, CellRefused
from hil.cell.gripper import check_gripper
from hil.cell.limits import check_limits
from hil.cell.model import Cell
from hil.cell.motion_check import check_motions
from hil.cell.parts import JOINTS, joint_count
from hil.cell.source import Loc, Source, read_source

_PACKAGE = Path(str(resources.files("hil")))


def shipped_cells() -> dict[str, Path]:
    """Names of the cells that come with the package, and their files."""
    return {path.name.removesuffix(".yaml"): path for path in sorted((_PACKAGE / "cells").glob("*.yaml"))}


def shipped_models() -> dict[str, Path]:
    """File names of the robot models that come with the package, and their files."""
    return {path.name: path for path in sorted((_PACKAGE / "models").glob("*.urdf"))}


def find_cell(path_or_name: str | Path) -> Path:
    """The file of a shipped cell's name or of a path. Raises :class:`CellError` where there is none."""
    path, shipped = Path(path_or_name), shipped_cells()
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    if path.is_file():
        return path
    allowed = f"allowed: the path of a cell file, or one of the shipped cells {', '.join(shipped)}"
    raise CellError([CellFault(str(path), 1, "", "no such file", allowed)])


def load_cell(path_or_name: str | Path) -> Cell:
    """Read and check a cell file.

    Raises :class:`CellError` with every fault of the file at once; nothing is opened or started.
    """
    path = find_cell(path_or_name)
    try:
        source = read_source(path)
    except OSError as error:
        raise CellError([CellFault(str(path), 1, "", "a file that cannot be opened", str(error))]) from error
    if source.faults and source.data is None:
        raise CellError(source.faults)
    if not isinstance(source.data, Mapping):
        source.fault((), show(source.data), "allowed: a section with the keys of a cell (`hil cells` lists examples)")
        raise CellError(source.faults)
    with _joints(source):
        cell: Cell | None = validate(Cell, source)
    _check_mocks(source)
    urdf = _check_model(source, path)
    check_limits(source, urdf)
    _check_names(source)
    check_gripper(source)
    limits, table = check_contact(source, None if cell is None else cell.safety.contact, path.parent)
    if cell is None or urdf is None or source.faults:
        raise CellError(source.faults)
    cell._path, cell._urdf = path, urdf
    cell._contact, cell._contact_text = limits, table
    check_motions(source, cell)  # by limits that are sound
    if source.faults:
        raise CellError(source.faults)
    return cell


def require_permission(cell: Cell, real: bool) -> None:
    """Let a cell with mocks pass; refuse a real one, with ``--real`` too. Raises :class:`CellRefused`."""
    if cell.mocks and real:
        raise CellRefused(
            f"The cell {cell.name} is simulated (mocks: true), and --real was given. Nothing was started: "
            "leave out --real, or name the cell file of the real robot."
        )
    if not cell.mocks and not real:
        raise CellRefused(
            f"The cell {cell.name} names a real robot (mocks: false). A real robot moves only where --real is given, "
            "and for now not even then. Nothing was started; `hil cells` lists the simulated cells."
        )
    if not cell.mocks:
        raise CellRefused(
            f"--real is refused: {cell.name} names a real robot, and the safety supervisor that has to watch one "
            "is not complete yet. Nothing was started. Run a cell with mocks: true; `hil cells` lists them."
        )


@contextmanager
def _joints(source: Source) -> Iterator[None]:
    """Every vector has as many values as the arm has joints: an LBR seven, a cobot one for each drive, a PiPER six."""
    drives = source.get("robot", "can", "drives")
    cobot = source.get("robot", "driver") == "cobot" and isinstance(drives, tuple) and drives
    piper = source.get("robot", "driver") == "piper"
    token = joint_count.set(len(drives) if cobot else PIPER_JOINTS if piper else JOINTS)
    try:
        yield
    finally:
        joint_count.reset(token)


def _check_mocks(source: Source) -> None:
    """No cell lands on a mock by accident, and no simulated one on a device."""
    mocks = source.get("mocks")
    if not isinstance(mocks, bool):
        return
    if mocks and source.get("mock") is None:
        source.fault(("mock",), "nothing", "with mocks: true the section mock is needed (profile, seed, plate …)")
    if not mocks and source.get("mock") is not None:
        source.fault(("mock",), "a section mock", "with mocks: false there is none: take it out, or say mocks: true")
    sensors = source.get("sensors")
    for i in range(len(sensors)) if isinstance(sensors, tuple) else ():
        loc = ("sensors", i, "port")
        port = source.get(*loc)
        if mocks and isinstance(port, str) and port != MOCK_PORT:
            source.fault(loc, show(port), f"allowed in a cell with mocks: true: {MOCK_PORT}")
        if not mocks and port == MOCK_PORT:
            source.fault(loc, show(port), "allowed in a cell with mocks: false: a device below /dev")
    if source.get("robot", "driver") in ("cobot", "piper"):
        _check_channels(source, mocks)
        return
    for key in ("host", "peer"):
        address = source.get("robot", "fri", key)
        if key == "host" and address is None:
            address = "127.0.0.1"
        if not isinstance(address, str):
            continue
        if mocks != _is_loopback(address.rpartition(":")[0] if key == "peer" else address):
            where = "on this machine (127.0.0.1)" if mocks else "of the robot's network: 127.x.x.x reaches mocks only"
            source.fault(("robot", "fri", key), show(address), f"allowed with mocks: {show(mocks)}: an address {where}")
    if not mocks and source.get("robot", "fri", "port") == 0:
        source.fault(("robot", "fri", "port"), "0", "allowed with mocks: false: the port the robot sends to (30200)")


def _check_channels(source: Source, mocks: bool) -> None:
    """CAN channels of a simulated cell are the mock's, and of a real one none is."""
    channels = source.get("robot", "can", "channels")
    many = range(len(channels)) if isinstance(channels, tuple) else ()
    locs: list[Loc] = [("robot", "can", "channels", i) for i in many]
    if source.get("robot", "driver") == "piper":
        locs = [("robot", "can", "channel")]
    for loc in locs:
        interface, channel = source.get(*loc, "interface"), source.get(*loc, "channel")
        if mocks and isinstance(channel, str) and channel != MOCK_CHANNEL:
            source.fault((*loc, "channel"), show(channel), f"allowed in a cell with mocks: true: {MOCK_CHANNEL}")
        if mocks and isinstance(interface, str) and interface not in ("udp_multicast", "slcan", "virtual"):
            allowed = "allowed in a cell with mocks: true: udp_multicast, slcan, virtual"
            source.fault((*loc, "interface"), show(interface), allowed)
        if not mocks and (channel == MOCK_CHANNEL or interface in ("udp_multicast", "virtual")):
            source.fault((*loc, "channel"), show(channel), "allowed in a cell with mocks: false: a real CAN channel")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _check_model(source: Source, path: Path) -> Path | None:
    """The URDF that ``robot.model`` names."""
    model = source.get("robot", "model")
    if not isinstance(model, str):
        return None
    shipped = shipped_models()
    urdf = shipped.get(model, path.parent / model)
    if urdf.is_file():
        return urdf
    source.fault(
        ("robot", "model"),
        repr(model),
        f"allowed: one of {', '.join(shipped)}, or the path of a URDF from {path.parent or '.'} (there is no {urdf})",
    )
    return None


def _check_names(source: Source) -> None:
    """Names of sensors stand once: they are the names of log channels. The enabling switch is an input of the robot."""
    switch, inputs = source.get("free_drive", "enabling_input"), source.get("robot", "fri", "inputs")
    booleans = [name for name, kind in inputs.items() if kind == "boolean"] if isinstance(inputs, Mapping) else []
    if isinstance(switch, str) and switch not in booleans:
        there = ", ".join(booleans) or "none yet"
        source.fault(
            ("free_drive", "enabling_input"), show(switch), f"allowed: a boolean input of robot.fri.inputs ({there})"
        )
    sensors = source.get("sensors")
    names: list[Any] = []
    for i in range(len(sensors)) if isinstance(sensors, tuple) else ():
        name = source.get("sensors", i, "name")
        if name is not None and name in names:
            source.fault(("sensors", i, "name"), show(name), "allowed: a name that no other sensor has")
        names.append(name)
