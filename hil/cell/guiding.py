"""How a cell lets itself be guided by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from drivers.contract import Array
from hil.cell.parts import NotNegative, NotNegativeJoints, Positive, Section, Share
from hil.control.free_drive import FreeDriveParams, SpeedCap

_DRIVE, _CAP = FreeDriveParams(), SpeedCap()
_PARTS = {"coulomb": 0.006, "viscous": 0.004, "hold": 0.02}
"""Parts of the data-sheet torque."""


class FreeDrive(Section):
    """Guiding by hand (`hil guide`): the arm carries itself and gives way while the enabling key is held."""

    tcp_speed: Positive = Field(
        default=_CAP.tcp, le=0.25, description="faster stops the arm (category 2), m/s; ISO 10218-1: reduced speed"
    )
    joint_speed: Share = Field(default=_CAP.joint, description="the same as a share of the joint speed limits")
    key_timeout: Positive = Field(
        default=0.3, le=1.0, description="the key counts as let go when nothing was heard of it for this long, s"
    )
    enabling_input: str | None = Field(
        default=None,
        min_length=1,
        description="input of the robot (an enabling switch) that must be true as well; nothing: the key alone",
    )
    coulomb: NotNegativeJoints | None = Field(
        default=None, description="Coulomb friction of which `share` is given back, N·m; nothing: a cautious guess"
    )
    viscous: NotNegativeJoints | None = Field(default=None, description="viscous friction, N·m·s/rad; nothing: a guess")
    share: float = Field(default=_DRIVE.share, ge=0.0, le=0.95, description="part of the friction given back")
    damping: NotNegative = Field(default=_DRIVE.damping, le=60.0, description="while a hand moves the arm, 1/s")
    damping_alone: NotNegative = Field(default=_DRIVE.damping_alone, le=60.0, description="while none is felt, 1/s")
    hold: NotNegativeJoints | None = Field(
        default=None, description="most torque with which the arm is held where it was left, N·m; nothing: a guess"
    )
    hand: Positive = Field(default=_DRIVE.hand, le=50.0, description="force at the tip from which a hand is felt, N")

    def params(self, tau_max: Array) -> FreeDriveParams:
        """For :class:`hil.control.FreeDrive` on joints of the data-sheet torques ``tau_max`` (n,) N·m.

        What is not given is the guess for an LBR iiwa, and on arms of other size its usual part of ``tau_max``.
        """
        names = ("share", "damping", "damping_alone", "hand")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name, part in _PARTS.items():
            given, iiwa = getattr(self, name), np.asarray(getattr(_DRIVE, name))
            guess = iiwa if iiwa.size == tau_max.size else part * tau_max
            values[name] = tuple(guess.tolist()) if given is None else given
        return FreeDriveParams(**values)

    def cap(self) -> SpeedCap:
        """For :func:`hil.guiding.free_drive`."""
        return SpeedCap(tcp=self.tcp_speed, joint=self.joint_speed)
