"""From a cell file to the objects of a running cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivers.contract import ArmTraits, Differentiator, Ticks, WrenchSensor
from drivers.errors import ConnectError, RefusedError
from drivers.fri.arm import FriArm
from drivers.fri.traits import iiwa_traits
from drivers.ft.sensor import BotaSensor
from estimators.differentiator import FadingMemoryDifferentiator
from estimators.momentum import MomentumObserver
from estimators.rigid_body import BodyInertia, RigidBodyModel
from estimators.spatial import WristWrench
from hil.cell import Cell
from hil.cell.devices import MOCK_PORT
from hil.cell.parts import array
from hil.control.base import Controller
from hil.control.computed_torque import ComputedTorque
from hil.control.impedance import CartesianImpedance
from hil.motion import Motion
from hil.supervisor import Parts
from hil.timing import TimedTicks
from safety.consistency import ConsistencyMonitor
from safety.gate import CommandGate, GateParams
from safety.monitors import StateMonitor
from safety.saturation import Saturation
from safety.stops import StopController

VELOCITY_BANDWIDTH = 150.0
"""Of the velocity estimate, 1/s. At 200 the velocity noise, times the damping of a 45 rad/s loop, ran into the torque
rate limit in 0.9 % of the demo's cycles; at 150 in 0.01 %, with the same tracking error."""
Q_SIGMA = 1.5e-5
"""Noise of the iiwa's joint positions, rad, taken for the observer's covariance."""


def build_model(cell: Cell) -> RigidBodyModel:
    """The nominal rigid-body model of robot and tool. Raises ModelError."""
    tool = cell.tool
    return RigidBodyModel(cell.urdf_xml, tool_inertia(cell), tool.tcp.position, tool.tcp.rotation)


def tool_inertia(cell: Cell) -> BodyInertia | None:
    """What hangs on the flange, flange frame; None without a tool."""
    tool = cell.tool
    return BodyInertia(tool.mass, array(tool.com), tool.inertia_matrix) if tool.mass > 0.0 else None


def build_parts(cell: Cell, ticks: Ticks, start_motion: Callable[[], None], ft_path: str | None = None) -> Parts:
    """All that the supervisor of ``cell`` is made of; no device is opened yet.

    ``ticks``: where time and waiting come from. ``start_motion``: see :class:`hil.supervisor.Parts`. ``ft_path``:
    serial port of a mock sensor, for cells that name it ``mock``. Raises ConnectError; RefusedError for another command
    mode than torque.
    """
    robot, safety = cell.robot, cell.safety
    if robot.fri.command_mode != "torque":
        raise RefusedError(
            f"a supervised run moves and brakes the arm by torques, and robot.fri.command_mode is "
            f"{robot.fri.command_mode!r}: set it to torque, or command the arm through build_arm and build_gate"
        )
    timed = TimedTicks(ticks)
    limits = robot.joint_limits
    stiffness = array(robot.stiffness)
    model = build_model(cell)
    differentiator = FadingMemoryDifferentiator(VELOCITY_BANDWIDTH)
    arm = build_arm(cell, timed, model, differentiator)
    traits, period = arm.traits, robot.fri.period
    observer = MomentumObserver(
        model.n,
        cell.observer.bandwidth,
        array(cell.observer.tau_sigma),
        model_sigma=array(cell.observer.model_sigma),
        tared_sigma=0.5 * array(cell.observer.model_sigma),
        qd_sigma=np.full(model.n, differentiator.noise(Q_SIGMA, period)[0]),
        delay_ticks=cell.observer.delay_ticks,
    )
    quiet = cell.mock is not None and cell.mock.profile == "ideal"
    sensor, wrist = _build_sensor(cell, timed, ft_path)
    return Parts(
        arm=arm,
        ticks=timed,
        model=model,
        observer=observer,
        controllers=build_controllers(cell, traits.adds),
        saturation=Saturation(limits, traits, stiffness),
        gate=build_gate(cell),
        monitor=StateMonitor(limits, traits, safety.monitor_params()),
        stops=StopController(limits, traits, safety.stop_params()),
        start_motion=start_motion,
        sensor=sensor,
        wrist=wrist,
        consistency=ConsistencyMonitor(limits, traits, safety.consistency_params(quiet)),
    )


def build_traits(cell: Cell) -> ArmTraits:
    """What is fixed about the arm of ``cell``, its command mode included."""
    robot = cell.robot
    return iiwa_traits(cell.name, robot.fri.period, robot.terms, robot.fri.command_mode)


def build_arm(
    cell: Cell, ticks: Ticks, model: RigidBodyModel | None = None, differentiator: Differentiator | None = None
) -> FriArm:
    """The driver of the arm in the command mode of ``cell``, not open yet; ``model``: that of :func:`build_model`."""
    fri = cell.robot.fri
    model = model or build_model(cell)
    return FriArm(
        fri.host,
        fri.port,
        fri.peer_address,
        fri.version,
        differentiator or FadingMemoryDifferentiator(VELOCITY_BANDWIDTH),
        ticks,
        build_traits(cell),
        q_max=np.maximum(np.abs(model.q_min), np.abs(model.q_max)),
        qd_max=model.qd_max,
        tau_max=model.tau_max,
        receive_multiplier=fri.receive_multiplier,
        moment_order=fri.moment_order,
        outputs=fri.output_types,
    )


def build_gate(cell: Cell) -> CommandGate:
    """The gate with the limits of ``cell``, for the commands of its command mode."""
    robot = cell.robot
    params = GateParams(
        max_age=cell.safety.max_age_ms * 1e-3,
        force_max=robot.limits.force_max,
        moment_max=robot.limits.moment_max,
        moment_order_verified=robot.fri.moment_order is not None,
    )
    return CommandGate(robot.joint_limits, build_traits(cell), array(robot.stiffness), params)


def build_controllers(cell: Cell, adds: frozenset[str]) -> dict[str, Controller]:
    """One controller for each kind of motion, with the gains of the cell file."""
    n = cell.robot.joint_limits.n
    return {
        "joint": ComputedTorque(n, adds, cell.controller.joint.params()),
        "cartesian": CartesianImpedance(n, adds, cell.controller.cartesian.params()),
    }


def build_motion(name: str, cell: Cell) -> Motion:
    """The reference motion that ``cell`` gives this name. Raises KeyError, MotionError."""
    return cell.motions[name].build(name, cell.robot.joint_limits)


def _build_sensor(cell: Cell, ticks: Ticks, ft_path: str | None) -> tuple[WrenchSensor | None, WristWrench | None]:
    """The first sensor of the cell with its mounting; both None where there is none."""
    if not cell.sensors:
        return None, None
    described = cell.sensors[0]
    port = described.port
    if port == MOCK_PORT:
        if ft_path is None:
            raise ConnectError(f"sensor {described.name!r} is a mock, but the mock cell has no sensor on a serial line")
        port = ft_path
    mount, tcp = described.mount, cell.tool.tcp
    wrist = WristWrench(tool_inertia(cell), mount.position, mount.rotation, tcp.position, tcp.rotation)
    return BotaSensor(port, described.rate, ticks, described.name), wrist
