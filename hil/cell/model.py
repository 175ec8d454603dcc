"""The cell as a whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, PrivateAttr

from hil.cell.control import Controller
from hil.cell.devices import Bota, CobotRobot, Mock, PiperRobot, Robot
from hil.cell.gripper import FriIoGripper
from hil.cell.guiding import FreeDrive
from hil.cell.motions import Motion
from hil.cell.parts import Section, Tool
from hil.cell.realtime import RealTime
from hil.cell.work import Artefacts, Observer, Recording, Safety
from hil.cell.workspace import Workspace
from safety.contact import ContactLimits

MotionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Cell(Section):
    """One robot with its sensors, tool, controllers and motions: everything that one YAML file says."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="letters, digits, _ . -")
    description: str = Field(default="", description="one line for the list of cells")
    mocks: bool = Field(description="true: simulated devices; false: the real ones")
    robot: Annotated[Robot | CobotRobot | PiperRobot, Discriminator("driver")] = Field(description="the arm")
    sensors: tuple[Bota, ...] = Field(default=(), description="force/torque sensors")
    tool: Tool = Field(description="the load at the flange")
    gripper: FriIoGripper | None = Field(default=None, description="jaws on the tool")
    controller: Controller = Field(default_factory=Controller, description="controller gains")
    observer: Observer = Field(description="the observer of external torque")
    safety: Safety = Field(default=Safety(), description="how old data may be, how the arm brakes")
    workspace: Workspace = Field(default=Workspace(), description="what planned motions keep clear of")
    free_drive: FreeDrive = Field(default=FreeDrive(), description="guiding by hand")
    recording: Recording = Field(default=Recording(), description="where runs are written")
    artefacts: Artefacts = Field(default=Artefacts(), description="where models and calibrations are kept")
    realtime: RealTime = Field(default=RealTime(), description="what a run with --realtime asks of the computer")
    motions: dict[MotionName, Motion] = Field(min_length=1, description="reference motions by name")
    mock: Mock | None = Field(default=None, description="the simulated world; only with mocks: true")

    _path: Path = PrivateAttr(Path())
    _urdf: Path = PrivateAttr(Path())
    _contact: ContactLimits | None = PrivateAttr(None)
    _contact_text: str = PrivateAttr("")

    @property
    def iiwa(self) -> Robot:
        """The arm, of a cell whose arm speaks FRI. Raises TypeError for another."""
        if not isinstance(self.robot, Robot):
            raise TypeError(f"the arm of {self.name} speaks {self.robot.driver}, not FRI")
        return self.robot

    @property
    def path(self) -> Path:
        """The file that the cell was read from."""
        return self._path

    @property
    def urdf_path(self) -> Path:
        """The robot's URDF."""
        return self._urdf

    @property
    def contact_limits(self) -> ContactLimits | None:
        """Limits of contact force from the table that `safety.contact` names, as it was when the cell was loaded."""
        return self._contact

    @property
    def variance_on(self) -> bool:
        """Limits move with the variance of learnt models."""
        on = self.safety.moving.on
        learnt = self.observer.kind == "kvark" or self.controller.joint.learned is not None
        return learnt if on is None else on

    @property
    def urdf_xml(self) -> str:
        """Text of the robot's URDF. Raises ``OSError`` if it has gone since the cell was loaded."""
        return self._urdf.read_text(encoding="utf-8")

    def content(self) -> dict[str, Any]:
        """Everything the cell says, defaults filled in, as plain JSON types."""
        content: dict[str, Any] = self.model_dump(mode="json")
        return content

    def dump(self) -> str:
        """The resolved cell as YAML: what a run was made with, loadable again beside the same URDF."""
        text: str = yaml.safe_dump(self.content(), sort_keys=False, allow_unicode=True, width=110)
        return text

    def digest(self) -> str:
        """SHA-256 (hex) over what the cell says, its URDF and its table of contact limits: equal digests, equal
        cells."""
        canonical = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        table = f"\0{self._contact_text}" if self._contact_text else ""
        return hashlib.sha256(f"{canonical}\0{self.urdf_xml}{table}".encode()).hexdigest()
