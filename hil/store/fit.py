"""Does an artefact belong to this cell, and still today?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hil.cell import Cell
from hil.store.page import About, Page, stamp


@dataclass(frozen=True, slots=True)
class Identity:
    """What of a cell decides whether an artefact is for it."""

    name: str
    urdf: str
    """SHA-256 (hex) of the URDF's text."""
    joints: int
    argument: str
    """How commands name the cell: shipped name or path."""
    digest: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    """Everything that the cell file says."""

    def value(self, key: str) -> Any:
        """What the cell says at ``observer.delay_ticks`` and the like; None where it says nothing."""
        at: Any = self.content
        for part in key.split("."):
            at = at.get(part) if isinstance(at, Mapping) else None
        return at

    def about(self, **fields: Any) -> About:
        """A page about an artefact of this cell; ``fields`` as in :class:`About`."""
        return About(cell=self.name, cell_digest=self.digest, urdf=self.urdf, joints=self.joints, **fields)


def identity(cell: Cell, argument: str) -> Identity:
    """Of a loaded cell. Raises OSError if its URDF has gone."""
    urdf = hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    joints = cell.robot.joint_limits.n
    return Identity(cell.name, urdf, joints, argument, cell.digest(), cell.content())


def why_not(page: Page, cell: Identity, now: datetime) -> str:
    """Why the artefact of ``page`` cannot be used in ``cell`` at ``now``; empty where it can."""
    if page.cell != cell.name:
        return f"it was made for the cell {page.cell!r}, this one is {cell.name!r}"
    if page.joints != cell.joints:
        return f"it is for {page.joints} joints, the cell's robot has {cell.joints}"
    if page.urdf != cell.urdf:
        return f"it was made with another robot model (URDF {page.urdf[:12]}…, the cell has {cell.urdf[:12]}…)"
    for key, value in page.needs.items():
        if cell.value(key) != value:
            return f"it was made with {key}: {value}, the cell file says {cell.value(key)}"
    if page.expires is not None and page.expires <= stamp(now):
        return f"it expired on {page.expires}"
    return ""
