"""From a cell file to the mock cell that it asks for: world, arm, sensor, gripper, faults."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hil.cell import Cell
from hil.cell.devices import CobotRobot, PiperRobot, Robot
from hil.cell.fri import FriLink
from hil.cell.gripper import FriIoGripper, MockObject
from hil.cell.parts import array, inertia_matrix
from sim_mocks.cobot.config import CobotMockConfig
from sim_mocks.config import FtConfig, GripperConfig, IiwaConfig, IoConfig, MockConfig
from sim_mocks.faults import Fault
from sim_mocks.piper.config import PiperMockConfig
from sim_mocks.world import LooseObject, Mat3, Plate, WorldConfig

MOCK_TRAVEL = 0.5
"""Share of a gripper's stated travel time that its mock takes."""


def mock_config(
    cell: Cell,
    *,
    seed: int | None = None,
    paced: bool = False,
    realtime: bool = False,
    control_dir: str = "",
    faults: Sequence[Fault] = (),
) -> MockConfig:
    """What the ``mock`` section of ``cell`` asks for; ``seed`` and further ``faults`` on top of it.

    ``paced``: lockstep that is never faster than real time; ``realtime``: no lockstep, the wall clock moves it on.

    Raises ValueError for a cell without mocks: no real cell lands on a mock by accident.
    """
    if not cell.mocks or cell.mock is None:
        raise ValueError(f"cell {cell.name!r} is a real one (mocks: false); it is not started on mock devices")
    mock, tool, robot = cell.mock, cell.tool, cell.robot
    seed = mock.seed if seed is None else seed
    mount = cell.sensors[0].mount if cell.sensors else None
    plate = None
    if mock.plate is not None:
        plate = Plate(surface=mock.plate.xyz, rpy=mock.plate.rpy, half_extents=_half(mock.plate.size))
    inertia = tool.inertia_matrix
    world = WorldConfig(
        urdf=cell.urdf_xml,
        q0=robot.home,
        tool_mass=tool.mass,
        tool_com=tool.com,
        tool_inertia=tuple(tuple(float(v) for v in row) for row in inertia),  # type: ignore[arg-type]  # 3 rows of 3
        sensor_pos=mount.xyz if mount is not None else (0.0, 0.0, 0.0),
        sensor_rpy=mount.rpy if mount is not None else (0.0, 0.0, 0.0),
        tcp_pos=tool.tcp.xyz,
        tcp_rpy=tool.tcp.rpy,
        plate=plate,
        loose=_loose(mock.object),
        dt=1e-3,  # whatever the send period: the robot's own controller, and stiff contact, need a millisecond
        substeps=mock.substeps,
        device={"fri": "iiwa"}.get(robot.driver, robot.driver),
        profile=mock.profile,
        contact_profile=mock.contact,
        seed=seed,
    )
    planned = [Fault.from_mapping(fault.model_dump()) for fault in mock.faults]
    return MockConfig(
        world=world,
        seed=seed,
        iiwa=_iiwa(robot.fri, cell.gripper) if isinstance(robot, Robot) else None,
        cobot=_cobot(robot) if isinstance(robot, CobotRobot) else None,
        piper=_piper(robot) if isinstance(robot, PiperRobot) else None,
        ft=FtConfig(profile=mock.profile) if cell.sensors else None,
        faults=(*planned, *faults),
        paced=paced,
        realtime=realtime,
        control_dir=control_dir,
        gripper=_gripper(cell),
    )


def _loose(described: MockObject | None) -> LooseObject | None:
    """The object that lies about; in the exact-test form it has no body."""
    if described is None or described.grasp == "mass":
        return None
    own: Mat3 | None = None
    if described.inertia is not None:
        own = tuple(tuple(row) for row in inertia_matrix(described.inertia).tolist())  # type: ignore[assignment]  # 3 rows of 3
    return LooseObject(
        described.mass, described.size, described.xyz, described.rpy, described.com, described.reach, own
    )


def _gripper(cell: Cell) -> GripperConfig | None:
    grip, tcp = cell.gripper, cell.tool.tcp
    if grip is None or cell.mock is None:
        return None
    found, mass, x, y, z = cell.mock.object, 0.0, 0.0, 0.0, 0.0
    if found is not None and found.grasp == "mass":
        mass, (x, y, z) = found.mass, (tcp.position + tcp.rotation @ array(found.com)).tolist()
    return GripperConfig(
        grip.close,
        grip.opened,
        grip.holding,
        MOCK_TRAVEL * grip.travel_time,
        object_mass=mass,
        object_com=(x, y, z),
        grasp="mass" if found is None else found.grasp,
    )


def _iiwa(fri: FriLink, gripper: FriIoGripper | None) -> IiwaConfig:
    """The robot application that the cell file describes; the jaws of a gripper begin open."""
    opened = None if gripper is None else gripper.opened
    inputs = [IoConfig(name, kind, "input", float(name == opened)) for name, kind in fri.inputs.items()]
    outputs = [IoConfig(name, kind, "output") for name, kind in fri.outputs.items()]
    return IiwaConfig(
        wire_version=fri.version,
        send_period_ms=fri.send_period_ms,
        receive_multiplier=fri.receive_multiplier,
        ios=(*inputs, *outputs),
        moment_order=fri.moment_order,
        reopens=True,
    )


def _cobot(robot: CobotRobot) -> CobotMockConfig:
    """Drives that have the figures of the cell file on their nameplates."""
    n = len(robot.can.drives)
    can = robot.can.config((1.0,) * n, (1.0,) * n)
    return CobotMockConfig(
        joints=can.joints,
        transport=can.buses[0].interface,
        channel=f"cobot-{os.getpid()}" if can.buses[0].interface == "virtual" else "",
        bitrate=can.buses[0].bitrate,
        period_ms=robot.can.cycle_ms,
        brakes=robot.can.brakes,
    )


def _piper(robot: PiperRobot) -> PiperMockConfig:
    """An arm with the first firmware of the cell file, held by its own controller as a run finds a real one."""
    interface = robot.can.channel.interface
    return PiperMockConfig(
        transport=interface,
        channel=f"piper-{os.getpid()}" if interface == "virtual" else "",
        bitrate=robot.can.channel.bitrate,
        firmware=next(iter(robot.firmware)),
        held=True,
    )


def _half(size: tuple[float, float, float]) -> tuple[float, float, float]:
    return (size[0] / 2.0, size[1] / 2.0, size[2] / 2.0)
