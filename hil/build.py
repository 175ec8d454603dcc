"""From a cell file to the objects of a running cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from drivers.contract import Differentiator, RobotArm, Ticks, WrenchSensor
from drivers.errors import ConnectError, RefusedError
from drivers.fri.arm import FriArm
from drivers.ft.sensor import BotaSensor
from drivers.gripper import IoGripper
from estimators.differentiator import FadingMemoryDifferentiator
from estimators.errors import ModelError
from estimators.momentum import MomentumObserver
from estimators.observer import Observer
from estimators.rigid_body import BodyInertia, RigidBodyModel
from estimators.spatial import WristWrench
from estimators.wrench import contact_wrench, point_contact_wrench
from hil import cobot, piper, plugins
from hil.build_safety import build_checks, build_traits
from hil.cell import Cell, CellError, CellFault
from hil.cell.devices import MOCK_PORT, CobotRobot, PiperRobot, Robot
from hil.cell.parts import array
from hil.cell.plugin import OwnMotion
from hil.cell.source import read_source
from hil.control.base import Controller
from hil.control.computed_torque import ComputedTorque
from hil.control.impedance import CartesianImpedance
from hil.gripping import Grip
from hil.motion import Motion, check_joint_motion
from hil.parts import Parts
from hil.timing import TimedTicks

VELOCITY_BANDWIDTH = 150.0
"""Of the velocity estimate, 1/s. At 200 the velocity noise, times the damping of a 45 rad/s loop, ran into the torque
rate limit in 0.9 % of the demo's cycles; at 150 in 0.01 %, with the same tracking error."""
Q_SIGMA = 1.5e-5
"""Noise of the iiwa's joint positions, rad, taken for the observer's covariance."""


def build_model(cell: Cell) -> RigidBodyModel:
    """The nominal rigid-body model of robot and tool. Raises ModelError."""
    tool = cell.tool
    robot = cell.robot
    armature = None if isinstance(robot, Robot) else array(robot.armature)
    return RigidBodyModel(cell.urdf_xml, tool_inertia(cell), tool.tcp.position, tool.tcp.rotation, armature=armature)


def tool_inertia(cell: Cell) -> BodyInertia | None:
    """What hangs on the flange, flange frame; None without a tool."""
    tool = cell.tool
    return BodyInertia(tool.mass, array(tool.com), tool.inertia_matrix) if tool.mass > 0.0 else None


def build_parts(
    cell: Cell,
    ticks: Ticks,
    start_motion: Callable[[], None],
    ft_path: str | None = None,
    can: cobot.Where | None = None,
    log: Path | None = None,
    *,
    stamps: bool = False,
) -> Parts:
    """All that the supervisor of ``cell`` is made of; no device is opened yet.

    ``ticks``: where time and waiting come from. ``start_motion``: see :class:`hil.parts.Parts`. ``ft_path``:
    serial port of a mock sensor, for cells that name it ``mock``; ``can``: the same of CAN channels. ``log``: folder
    for a log of the arm's own wire. ``stamps``: by the wall clock, and measure how long
    packets wait for us (:class:`hil.timing.TimedTicks`). Raises ConnectError; RefusedError for another command
    mode than torque.
    """
    robot = cell.robot
    if isinstance(robot, Robot) and robot.fri.command_mode != "torque":
        raise RefusedError(
            f"a supervised run moves and brakes the arm by torques, and robot.fri.command_mode is "
            f"{robot.fri.command_mode!r}: set it to torque, or command the arm through build_arm and build_gate"
        )
    timed = TimedTicks(ticks, stamps)
    model = build_model(cell)
    differentiator = FadingMemoryDifferentiator(VELOCITY_BANDWIDTH)
    arm: RobotArm
    if isinstance(robot, CobotRobot):
        arm = cobot.build(cell, robot, timed, model, differentiator, can, log)
    elif isinstance(robot, PiperRobot):
        arm = piper.build(cell, robot, timed, model, differentiator, can, log)
    else:
        arm = build_arm(cell, timed, model, differentiator)
    traits = arm.traits
    observer = build_observer(cell, differentiator.noise(Q_SIGMA, robot.period)[0])
    checks = build_checks(cell, traits)
    sensor, wrist = _build_sensor(cell, timed, ft_path)
    return Parts(
        arm=arm,
        ticks=timed,
        model=model,
        observer=observer,
        controllers=build_controllers(cell, traits.adds),
        saturation=checks.saturation,
        gate=checks.gate,
        monitor=checks.monitor,
        stops=checks.stops,
        start_motion=start_motion,
        sensor=sensor,
        wrist=wrist,
        frames_per_tick=robot.fri.receive_multiplier if isinstance(robot, Robot) else 1,
        consistency=checks.consistency,
        rest=checks.rest,
        energy=checks.energy,
        variance=checks.variance,
        contact_limits=checks.contact_limits,
        grip=build_grip(cell, arm, timed, model, wrist, getattr(observer, "model", None)),
        contact=contact_wrench if cell.observer.contact == "wrench" else point_contact_wrench,
        observed_by=observer_words(cell, observer),
        lockstep=not stamps,
    )


def observer_words(cell: Cell, observer: Observer) -> str:
    """What estimates the external torque, for log and report."""
    described = cell.observer
    words = described.kind
    if words == "momentum":
        words = f"momentum observer, {described.bandwidth:g} 1/s"
    elif words == "kvark":
        words = f"K-VARK, method {getattr(observer, 'method', '?')}"
    return words + (", point contact" if described.contact == "point" else "")


def build_arm(
    cell: Cell, ticks: Ticks, model: RigidBodyModel | None = None, differentiator: Differentiator | None = None
) -> FriArm:
    """The FRI driver in the command mode of ``cell``, not open yet; ``model``: that of :func:`build_model`. Raises
    TypeError for a cell with another arm."""
    fri = cell.iiwa.fri
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


def build_grip(
    cell: Cell,
    arm: RobotArm,
    ticks: Ticks,
    model: RigidBodyModel,
    wrist: WristWrench | None,
    observer_model: RigidBodyModel | None = None,
) -> Grip | None:
    """The gripper of ``cell`` on the inputs and outputs of ``arm``; None where there is none.

    ``observer_model``: another model that has to carry what the gripper holds.
    """
    described = cell.gripper
    if described is None or not isinstance(arm, FriArm):
        return None
    gripper = IoGripper(
        "the gripper",
        arm,
        ticks,
        close=described.close,
        opened=described.opened,
        holding=described.holding,
        travel_time=described.travel_time,
    )
    held = described.payload
    payload = None if held is None else BodyInertia(held.mass, array(held.com), held.inertia_matrix)
    return Grip(gripper, model, wrist, payload, observer_model)


def build_controllers(cell: Cell, adds: frozenset[str]) -> dict[str, Controller]:
    """One controller for each kind of motion, with the gains of the cell file; the user's own where it names one.

    Raises PluginError; ModelError for a learnt model that is missing or made for another robot.
    """
    n = cell.robot.joint_limits.n
    controllers: dict[str, Controller] = {
        "joint": _build_joint(cell, adds),
        "cartesian": CartesianImpedance(n, adds, cell.controller.cartesian.params()),
    }
    if cell.controller.kind is not None:
        own = plugins.build_controller(cell.controller.kind, n, adds, cell.controller.params)
        controllers[own.kind] = own
    return controllers


def _build_joint(cell: Cell, adds: frozenset[str]) -> Controller:
    """Computed torque, or the learnt feed-forward with variable gains. Raises ModelError."""
    if cell.controller.joint.learned is None:
        return ComputedTorque(cell.robot.joint_limits.n, adds, cell.controller.joint.params())
    from hil.learning.feed_forward import controller

    return controller(cell, adds)


def build_observer(cell: Cell, qd_sigma: float) -> Observer:
    """The observer of external torque; ``qd_sigma``: noise of the joint velocities, rad/s.

    Raises PluginError; ModelError for a model file that is missing or made for another robot.
    """
    described, n = cell.observer, cell.robot.joint_limits.n
    if described.kind == "kvark":
        return _build_kvark(cell)
    if described.kind != "momentum":
        return plugins.build_observer(described.kind, n, described.params)
    return build_momentum(cell, qd_sigma)


def build_momentum(cell: Cell, qd_sigma: float = 0.0) -> MomentumObserver:
    """The momentum observer with the keys of ``cell``, whatever observer the cell runs; ``qd_sigma`` as above."""
    described, n = cell.observer, cell.robot.joint_limits.n
    return MomentumObserver(
        n,
        described.bandwidth,
        array(described.tau_sigma),
        model_sigma=array(described.model_sigma),
        tared_sigma=0.5 * array(described.model_sigma),
        qd_sigma=np.full(n, qd_sigma),
        delay_ticks=described.delay_ticks,
    )


def require_models(cell: Cell) -> None:
    """Raises CellError where a trained model, of observer or controller, is missing or made for another robot.

    Not a part of reading a cell: a cell whose model is yet to be trained must be readable by who trains it.
    """
    faults: list[CellFault] = []

    def attempt(loc: tuple[str, ...], named: str | None, build: Callable[[], object]) -> None:
        try:
            build()
        except ModelError as error:
            source = read_source(cell.path)
            key = ".".join(loc)
            read = "no file: the stored version in use is asked for" if named is None else repr(named)
            faults.append(CellFault(source.file, source.line(loc), key, read, str(error).removeprefix(f"{key}: ")))

    learned = cell.controller.joint.learned
    if cell.observer.kind == "kvark":
        attempt(("observer", "model"), cell.observer.model, lambda: _build_kvark(cell))
    if learned is not None:
        where = ("controller", "joint", "learned", "model")
        attempt(where, learned.model, lambda: _build_joint(cell, cell.robot.terms))
    if faults:
        raise CellError(faults)


def _build_kvark(cell: Cell) -> Observer:
    """K-VARK with the model file that the cell names, or with the stored model in use. Raises ModelError."""
    # Numba takes a second to import: only the cells that use it wait for it.
    from hil.learning.chosen import chosen, observer_of

    model = chosen(cell)
    observer = observer_of(cell, model.trained)
    observer.artefact = model.words
    return observer


def build_motion(name: str, cell: Cell) -> Motion:
    """The reference motion that ``cell`` gives this name. Raises KeyError, MotionError, PluginError."""
    motion = cell.motions[name].build(name, cell)
    if isinstance(cell.motions[name], OwnMotion) and motion.kind == "joint":
        motion.start(array(cell.robot.home), np.zeros(3), np.eye(3))
        check_motion(motion, cell)
    return motion


def check_motion(motion: Motion, cell: Cell) -> None:
    """Raises MotionError where a started joint motion would leave the limits of ``cell``."""
    limits, margin = cell.robot.joint_limits, cell.safety.position_margin
    qd_max = limits.qd_max * cell.safety.speed_fraction
    check_joint_motion(motion, limits.q_min + margin, limits.q_max - margin, qd_max)


def check_plugins(cell: Cell, motions: Sequence[str]) -> None:
    """Build what ``cell`` takes from its user's packages and files, and drop it again: mistakes show before the start.

    Raises PluginError, MotionError, ModelError.
    """
    build_controllers(cell, cell.robot.terms)
    if cell.observer.kind != "momentum":
        build_observer(cell, 0.0)
    for name in motions:
        if isinstance(cell.motions[name], OwnMotion):
            build_motion(name, cell)


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
