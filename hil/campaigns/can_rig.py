"""The mocked cobot cell for campaigns: on a serial adapter or on ``virtual``, with a motion at full speed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hil.campaigns.rig import Rig
from hil.cell import Cell, load_cell, shipped_cells
from sim_mocks.cobot.device import CobotDevice
from sim_mocks.cobot.frames import Frame
from sim_mocks.cobot.ports import SlcanPort

TOP_SPEED = 0.26
"""When A1 of the motion ``sweep`` is about fastest, s after its beginning."""


def can_cell(interface: str = "slcan", change: Callable[[dict[str, Any]], None] = lambda content: None) -> Cell:
    """The shipped cobot cell on ``interface``, with the motion ``sweep``: A1 at 1.4 of its 1.5 rad/s, the others along.

    ``change`` may alter the content of the cell file. Raises CellError.
    """
    content = yaml.safe_load(shipped_cells()["cobot"].read_text(encoding="utf-8"))
    content["name"] = "can-campaign"
    content["robot"]["can"]["channels"][0]["interface"] = interface
    content["motions"] = {
        "sweep": {
            "kind": "sinusoid",
            "amplitude": [0.27, 0.06, 0.06, 0.08, 0.08, 0.10],
            "frequency": [0.75, 0.75, 0.75, 0.75, 0.75, 0.75],
            "duration": 4.0,
            "ramp": 0.4,
        }
    }
    change(content)
    with tempfile.TemporaryDirectory(prefix="hil-campaign-") as folder:
        path = Path(folder) / "campaign.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return load_cell(path)


def cobot(rig: Rig) -> CobotDevice:
    """The mock's drives and buses. Raises TypeError for another arm."""
    if not isinstance(rig.mock.arm, CobotDevice):
        raise TypeError(f"the campaign needs a cobot, the cell has a {rig.mock.arm.name}")
    return rig.mock.arm


def anonymous(text: str, device: CobotDevice) -> str:
    """``text`` without the random names of this mock's channels."""
    for k, port in enumerate(device.ports):
        text = text.replace(str(port.where["channel"]), f"can{k}")
    return text


class SharedWire:
    """What lies on the serial lines between two cycles, where several copies of this process share them.

    :meth:`hold` takes it off once; each copy begins with :meth:`restore`, and leaves a line that :meth:`flush` clears.
    """

    def __init__(self, rig: Rig) -> None:
        port = cobot(rig).ports[0]
        # Frames of ``virtual`` lie in the memory of the process, of which each copy has its own.
        self._port = port if isinstance(port, SlcanPort) else None
        paths = [None if self._port is None else self._port.path, rig.host.ft_path]
        self._paths = [path for path in paths if path is not None]
        self._held: list[Frame] = []

    def hold(self) -> None:
        self._held = [] if self._port is None else self._port.receive()

    def restore(self) -> None:
        if self._port is not None:
            self._port.unread(self._held)

    def flush(self) -> None:
        for path in self._paths:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            with contextlib.suppress(termios.error):
                termios.tcflush(fd, termios.TCIOFLUSH)
            os.close(fd)
        if self._port is not None:
            self._port.receive()
