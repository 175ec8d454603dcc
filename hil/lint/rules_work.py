"""What the cell is to do, against what its limits allow; keys that have no effect."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hil.cell.devices import Robot
from hil.cell.motions import Polish
from hil.cell.parts import Array, array
from hil.cell.source import Loc
from hil.lint.base import Hit, Rule, Said, Severity, above
from hil.lint.facts import Facts

_OF_MODE = {"wrench": ("force_max",), "pose": ("reach_max", "pose_speed_max", "pose_turn_max")}
"""Limits that nothing can be commanded without, by command mode."""


def _press_beyond_arm(f: Facts) -> Iterator[Hit]:
    _, J = f.home
    for name, motion in f.cell.motions.items():
        if not isinstance(motion, Polish):
            continue
        normal = array(motion.normal) / np.linalg.norm(motion.normal)
        torque = np.abs(J[:3].T @ normal * motion.force)
        if f.own_weight:
            torque = torque + np.abs(f.weight)
        remedy = "lower the motion's force, or raise tau_cmd_max as far as the data sheet allows"
        what = "to press from home, weight included" if f.own_weight else "to press from home"
        said = Said(("motions", name, "force"), "N·m", what, "at most tau_cmd_max,", remedy)
        yield from above(said, torque.tolist(), f.limit("tau_cmd_max"))


def _mode_without_limit(f: Facts) -> Iterator[Hit]:
    robot = f.cell.robot
    mode = robot.fri.command_mode if isinstance(robot, Robot) else "torque"
    for name in _OF_MODE.get(mode, ()):
        if getattr(robot.limits, name) == 0.0:
            remedy = f"state robot.limits.{name}: with 0 the gate refuses every command of this mode"
            yield Hit(("robot", "limits", name), "0", f"more than 0 with command_mode: {mode}", remedy)


def _limit_without_mode(f: Facts) -> Iterator[Hit]:
    robot = f.cell.robot
    mode = robot.fri.command_mode if isinstance(robot, Robot) else "torque"
    for of, names in (*_OF_MODE.items(), ("wrench", ("moment_max",))):
        for name in names if of != mode else ():
            value = getattr(robot.limits, name)
            if value > 0.0:
                remedy = "take the key out, or choose the command mode that it was meant for"
                yield Hit(("robot", "limits", name), f"{value:g}", f"command_mode: {of}, here it is {mode}", remedy)


def _outside_box(f: Facts) -> Iterator[Hit]:
    box = f.cell.workspace.tcp_box
    if box is None:
        return
    points: list[tuple[Loc, Array]] = [(("robot", "home"), f.home[0])]
    points += [
        (("motions", name, "centre"), array(motion.centre))
        for name, motion in f.cell.motions.items()
        if isinstance(motion, Polish)
    ]
    for loc, x in points:
        if not (np.all(array(box.min) <= x) and np.all(x <= array(box.max))):
            remedy = "widen workspace.tcp_box, or move this"
            yield Hit(loc, f"TCP at {_point(x)}", f"within workspace.tcp_box, {_point(box.min)} … {_point(box.max)}",
                      remedy)  # fmt: skip


def _below_floor(f: Facts) -> Iterator[Hit]:
    floor, box = f.cell.workspace.floor, f.cell.workspace.tcp_box
    if floor is None:
        return
    height = float(f.home[0][2])
    if not height > floor:
        yield Hit(("workspace", "floor"), f"{floor:g} m", f"below the TCP at home, {height:.4g} m",
                  "correct the height of the floor, or home")  # fmt: skip
    if box is not None and not box.max[2] > floor:
        yield Hit(("workspace", "tcp_box", "max"), f"{box.max[2]:g} m", f"above the floor, {floor:g} m",
                  "correct the box, or the height of the floor")  # fmt: skip


def _home_in_obstacle(f: Facts) -> Iterator[Hit]:
    x, _ = f.home
    for i, box in enumerate(f.cell.workspace.obstacles):
        inside = np.abs(box.rotation.T @ (x - box.position)) <= 0.5 * array(box.size)
        if inside.all():
            yield Hit(("workspace", "obstacles", i), f"{box.name}, with the TCP at home {_point(x)} in it",
                      "a box that the tool does not stand in", "correct the box, or home")  # fmt: skip


def _integral_beyond_command(f: Facts) -> Iterator[Hit]:
    integral = list(f.cell.controller.joint.integral_limit)
    remedy = "lower controller.joint.integral_limit: it would wind up against the limit"
    said = Said(("controller", "joint", "integral_limit"), "N·m", "", "at most tau_cmd_max,", remedy)
    yield from above(said, integral, f.limit("tau_cmd_max"))


def _shared_cpu(f: Facts) -> Iterator[Hit]:
    cpus = f.cell.realtime.cpus
    for name, others in (("recorder", cpus.recorder), ("mock", cpus.mock)):
        if shared := sorted(set(cpus.supervisor) & set(others)):
            remedy = "give each process CPUs of its own: what shares the cycle's CPU holds it up"
            yield Hit(("realtime", "cpus", name), ", ".join(map(str, shared)), "none of the supervisor's", remedy)


def _same_folder(f: Facts) -> Iterator[Hit]:
    runs, artefacts = f.cell.recording.dir, f.cell.artefacts.dir
    if runs.rstrip("/") == artefacts.rstrip("/"):
        yield Hit(("recording", "dir"), runs, "another folder than artefacts.dir",
                  "name a folder of its own: runs are deleted by hand, models must not be")  # fmt: skip


def _point(x: object) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in np.asarray(x).tolist()) + "] m"


_E, _W = Severity.ERROR, Severity.WARNING

RULES = (
    Rule("press-beyond-arm", _E, "The torque limits allow the force with which a motion presses.", _press_beyond_arm),
    Rule("mode-without-limit", _E, "The command mode has the limits without which the gate refuses everything.",
         _mode_without_limit),
    Rule("limit-without-mode", _W, "Every limit belongs to the command mode.", _limit_without_mode),
    Rule("outside-box", _E, "Home and the surfaces to polish lie in the box for the TCP.", _outside_box),
    Rule("below-floor", _E, "Home and the box for the TCP lie above the floor.", _below_floor),
    Rule("home-in-obstacle", _E, "No obstacle is where the tool stands at home.", _home_in_obstacle),
    Rule("integral-beyond-command", _W, "The controller's integral stays within the largest command.",
         _integral_beyond_command),
    Rule("shared-cpu", _W, "The cycle has a CPU of its own.", _shared_cpu),
    Rule("same-folder", _W, "Runs and models are kept in different folders.", _same_folder),
)  # fmt: skip
