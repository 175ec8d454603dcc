"""How a cell lets itself be guided by hand."""

from __future__ import annotations

from pydantic import Field

from hil.cell.parts import NotNegative, NotNegativeJoints, Positive, Section, Share
from hil.control.free_drive import FreeDriveParams, SpeedCap

_DRIVE, _CAP = FreeDriveParams(), SpeedCap()


def _joints(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


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
    coulomb: NotNegativeJoints = Field(
        default=_joints(_DRIVE.coulomb), description="Coulomb friction of which `share` is given back, N·m"
    )
    viscous: NotNegativeJoints = Field(default=_joints(_DRIVE.viscous), description="viscous friction, N·m·s/rad")
    share: float = Field(default=_DRIVE.share, ge=0.0, le=0.95, description="part of the friction given back")
    damping: NotNegative = Field(default=_DRIVE.damping, le=60.0, description="while a hand moves the arm, 1/s")
    damping_alone: NotNegative = Field(default=_DRIVE.damping_alone, le=60.0, description="while none is felt, 1/s")
    hold: NotNegativeJoints = Field(
        default=_joints(_DRIVE.hold), description="most torque with which the arm is held where it was left, N·m"
    )
    hand: Positive = Field(default=_DRIVE.hand, le=50.0, description="force at the tip from which a hand is felt, N")

    def params(self) -> FreeDriveParams:
        """For :class:`hil.control.FreeDrive`."""
        names = ("coulomb", "viscous", "share", "damping", "damping_alone", "hold", "hand")
        return FreeDriveParams(**{name: getattr(self, name) for name in names})

    def cap(self) -> SpeedCap:
        """For :func:`hil.guiding.free_drive`."""
        return SpeedCap(tcp=self.tcp_speed, joint=self.joint_speed)
