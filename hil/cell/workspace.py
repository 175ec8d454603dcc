"""What stands around an arm and where its tool may be: for motions that are planned, not for a stop at run time."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from hil.cell.parts import NotNegative, Pose, Section, Vec3


class Obstacle(Pose):
    """A box that the arm must not touch; `xyz` is its middle, base frame."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_ -]{0,31}$", description="as messages call it")
    size: Vec3 = Field(description="edge lengths, m")

    @field_validator("size")
    @classmethod
    def _solid(cls, size: Vec3) -> Vec3:
        if min(size) <= 0.0:
            raise ValueError("allowed: three lengths above 0")
        return size


class TcpBox(Section):
    """Two corners, base frame."""

    min: Vec3 = Field(description="lowest x, y and z of the TCP, m")
    max: Vec3 = Field(description="highest x, y and z, m")

    @model_validator(mode="after")
    def _ordered(self) -> TcpBox:
        if not all(low < high for low, high in zip(self.min, self.max, strict=True)):
            raise ValueError("allowed: min below max in x, y and z")
        return self


class Workspace(Section):
    """What motions planned by the toolkit (`hil excite`) keep clear of. The plate of a simulated world counts as an
    obstacle by itself."""

    floor: float | None = Field(default=0.0, ge=-10.0, le=10.0, description="height of the ground, base frame, m")
    margin: NotNegative = Field(
        default=0.03, le=0.5, description="least distance of the arm to itself, m; to all else 0.03 m more"
    )
    obstacles: tuple[Obstacle, ...] = Field(default=(), description="boxes")
    tcp_box: TcpBox | None = Field(default=None, description="where the TCP may be")

    @field_validator("obstacles")
    @classmethod
    def _told_apart(cls, obstacles: tuple[Obstacle, ...]) -> tuple[Obstacle, ...]:
        names = [each.name for each in obstacles]
        if len(set(names)) < len(names) or {"floor", "tool", "plate"} & set(names):
            raise ValueError("allowed: names that differ, and none of floor, tool, plate")
        return obstacles
