"""A mocked cell in this process for campaigns: devices, drivers and supervisor in lockstep, one cycle at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

import yaml

from hil.build import build_parts
from hil.cell import Cell, load_cell
from hil.mocks import MockHere, mock_config, overlay_starter, point_at
from hil.parts import open_devices
from hil.recording import NoRecording
from hil.supervisor import Supervisor

FORCE = 20.0
"""What the polishing presses with, N."""
_PLATE_Z = 0.255


def campaign_cell(profile: str = "standard") -> Cell:
    """The demonstration's cell with its plate 2.5 cm below the tip and motions of a second or two."""
    content = yaml.safe_load(load_cell("iiwa14_polish").dump())
    content["name"] = "campaign"
    content["mock"]["profile"] = profile
    content["mock"]["plate"]["xyz"] = [0.57, 0.0, _PLATE_Z]
    content["motions"] = {
        "swing": {
            "kind": "sinusoid",
            "amplitude": [0.04, 0.02, 0.04, 0.03, 0.05, 0.04, 0.06],
            "frequency": [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4],
            "duration": 3.0,
            "ramp": 0.5,
        },
        "polish": {
            "kind": "polish",
            "centre": [0.57, 0.0, _PLATE_Z],
            "side": 0.03,
            "force": FORCE,
            "speed": 0.05,
            "approach": 0.012,
            "clearance": 0.002,
            "ramp": 0.35,
            "corner_time": 0.15,
            "travel_speed": 0.2,
            "touch_speed": 0.05,
        },
    }
    with tempfile.TemporaryDirectory(prefix="hil-campaign-") as folder:
        path = Path(folder) / "campaign.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return load_cell(path)


class Rig:
    """One cell, ready to connect; a context manager that closes it."""

    def __init__(self, cell: Cell, seed: int = 0) -> None:
        """Raises ConnectError where PyBullet is missing, or where the devices cannot be opened."""
        self.cell = cell
        self.host = MockHere(mock_config(cell, seed=seed))
        self.mock = self.host.cell
        control = self.host.control
        try:
            starter, can = overlay_starter(control, cell), control.hello().get("can")
            self.parts = build_parts(cell, self.host.ticks, starter, self.host.ft_path, can)
            open_devices(self.parts)
        except BaseException:
            self.host.close()
            raise
        point_at(self.host.control, self.parts.arm)
        self.writer = NoRecording()
        self.supervisor = Supervisor(self.parts, self.writer)

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.parts.arm.close()
        if self.parts.sensor is not None:
            self.parts.sensor.close()
        self.host.close()
