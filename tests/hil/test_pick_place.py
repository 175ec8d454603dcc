"""Pick and place: inverse kinematics, the motion, its mirror image, the jaws in a running cell, the campaign."""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.spatial import ConvexHull

import hil
from drivers.gripper import GripState
from hil.build import build_model, build_motion
from hil.campaigns.svdkl_cell import EDGE, task_cell, warmup_cell
from hil.campaigns.svdkl_pick import PickCase, cases, figures, rigid_body, trial
from hil.campaigns.svdkl_pick import thing as thing_of
from hil.campaigns.svdkl_shapes import DENSITY, described, draw
from hil.campaigns.svdkl_tools import PARALLEL, TONG, inertia, section
from hil.campaigns.svdkl_warmup import motion
from hil.cell import Cell, CellError, load_cell
from hil.cell.parts import inertia_matrix
from hil.motion import JointHold, MotionError, PickPlace, Place, Sequence, waypoints
from hil.motion.inverse import mirrored_posture
from safety.saturation import LimitedBy

SIGNS = np.array([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
"""Of the iiwa's joints in a mirror in the x-z plane."""


@pytest.fixture(scope="module")
def cell() -> Cell:
    return load_cell("iiwa14_pick")


def changed(folder: Path, **keys: Any) -> Cell:
    """The shipped cell with a quick task; ``keys`` replace some of its motion's."""
    content = yaml.safe_load(load_cell("iiwa14_pick").dump())
    content["gripper"]["travel_time"] = 0.1
    content["mock"]["object"]["mass"] = 1.0
    pick = content["motions"]["pick"] | {"speed": 0.6, "qdd_max": 8.0, "dwell": 0.12, "vertical": 1.0, "height": 0.05}
    content["motions"]["pick"] = pick | keys
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_cell(path)


def task(cell: Cell, name: str = "pick") -> PickPlace:
    made = build_motion(name, cell)
    assert isinstance(made, PickPlace)
    return made


# --- the motion ------------------------------------------------------------------------------------------------------


def test_the_tool_stands_straight_down_where_it_was_asked_to(cell: Cell) -> None:
    way, model = task(cell).way, build_model(cell)
    section = cell.motions["pick"]
    for q, station, up in (
        (way.above_pick, section.pick, section.height), (way.pick, section.pick, 0.0),
        (way.above_place, section.place, section.height), (way.place, section.place, 0.0),
    ):  # fmt: skip
        x, R = model.fk(q)
        np.testing.assert_allclose(x, np.array(station.xyz) + [0.0, 0.0, up], atol=2e-6)
        np.testing.assert_allclose(R[:, 2], [0.0, 0.0, -1.0], atol=2e-6)
        assert np.arctan2(R[1, 0], R[0, 0]) == pytest.approx(station.yaw, abs=1e-5)


def test_the_mirrored_task_turns_the_load_of_the_third_joint_round(cell: Cell) -> None:
    """Joint 1 carries no weight: were it the only one to change, nothing would have to be generalised."""
    here, there, model = task(cell).way, task(cell, "mirrored").way, build_model(cell)
    for name in ("above_pick", "pick", "above_place", "place"):
        q, mirrored = getattr(here, name), getattr(there, name)
        np.testing.assert_allclose(mirrored, SIGNS * q, atol=1e-5)
        assert model.gravity(q)[2] > 2.0
        assert model.gravity(mirrored)[2] < -2.0
    np.testing.assert_array_equal(mirrored_posture(model, np.arange(1.0, 8.0)), SIGNS * np.arange(1.0, 8.0))


def test_it_goes_from_rest_to_rest_without_a_jump_and_within_its_limits(cell: Cell) -> None:
    made, home = task(cell), np.array(cell.robot.home)
    with pytest.raises(MotionError, match="has not been started"):
        made.at(0.0)
    made.start(home, np.zeros(3), np.eye(3))
    t = np.arange(0.0, made.duration + 0.01, 1e-3)
    rows = [made.at(each) for each in t]
    q, qd, qdd = (np.array([getattr(row, name) for row in rows]) for name in ("q", "qd", "qdd"))
    np.testing.assert_array_equal(q[0], home)
    np.testing.assert_array_equal(q[-1], made.way.above_place)
    assert not qd[[0, -1]].any()
    np.testing.assert_allclose(np.diff(q, axis=0), 1e-3 * 0.5 * (qd[1:] + qd[:-1]), atol=1e-6)
    np.testing.assert_allclose(np.diff(qd, axis=0), 1e-3 * 0.5 * (qdd[1:] + qdd[:-1]), atol=1e-4)
    assert (np.abs(qd).max(axis=0) <= 0.3 * cell.robot.joint_limits.qd_max * (1.0 + 1e-9)).all()
    assert np.abs(qdd).max() <= 3.0 * (1.0 + 1e-9)


def test_the_jaws_move_while_the_arm_stands_and_the_way_back_is_the_same_way(cell: Cell) -> None:
    made = task(cell)
    made.start(np.array(cell.robot.home), np.zeros(3), np.eye(3))
    t = np.arange(0.0, made.duration + 1.0, 2e-3)
    told = [made.jaws(each) for each in t]
    changes = [(float(at), new) for (_, old), (at, new) in pairwise(zip(t, told, strict=True)) if new is not old]
    assert [closed for _, closed in changes] == [True, False]
    for at, _ in changes:
        for later in np.linspace(at, at + 1.4, 8):
            assert not made.at(later).qd.any(), "the arm stands as long as the jaws may travel"
    assert [made.phase(at) for at, _ in changes] == ["close", "open"]
    back = made.back()
    np.testing.assert_array_equal(back.way.pick, made.way.place)
    np.testing.assert_array_equal(back.back().way.place, made.way.place)


def test_what_cannot_be_reached_or_does_not_fit_is_told(cell: Cell, tmp_path: Path) -> None:
    model, home = build_model(cell), np.array(cell.robot.home)
    limits = (model.q_min, model.q_max)
    near, far = Place(np.array([0.5, 0.1, 0.3])), Place(np.array([1.5, 0.0, 0.3]))
    with pytest.raises(MotionError, match=r"the pick position at \[1.5, 0.0, 0.4\] m: no joint positions"):
        waypoints(model, far, near, 0.1, home, limits)
    with pytest.raises(MotionError, match="qd_max is"):
        PickPlace(task(cell).way, np.zeros(7), np.ones(7))
    with pytest.raises(MotionError, match="moves the jaws: run it by itself"):
        Sequence([JointHold(), task(cell)])
    for keys, words in (
        ({"dwell": 0.05}, "dwell is 0.05 s; gripper.travel_time is 0.1 s"),
        ({"place": {"xyz": [1.2, 0.0, 0.2]}}, "above the place position at [1.2, 0.0, 0.25] m"),
    ):
        with pytest.raises(CellError) as caught:
            changed(tmp_path, **keys)
        (fault,) = caught.value.faults
        assert fault.key == "motions.pick"
        assert words in fault.allowed


# --- in a running cell -----------------------------------------------------------------------------------------------


@pytest.mark.accept
def test_a_cube_is_taken_carried_and_put_down(tmp_path: Path) -> None:
    with hil.open(changed(tmp_path)) as session:
        session.bring_up()
        session.enable()
        trace = session.run("pick")
        states = np.array(trace["grip"])
        phases = np.array(trace.phases())
        holding = list(GripState).index(GripState.HOLDING)
        assert (states[np.isin(phases, ["lift", "carry", "lower"])] == holding).all()
        assert not (states[np.isin(phases, ["approach", "descend", "retreat"])] == holding).any()
        place = session.cell.motions["pick"].place
        np.testing.assert_allclose(session.mock.state()["object"], place.xyz, atol=0.01)
        assert session.gripper.payload == 0.0, "nobody told the model"
        assert float(np.abs(trace["tau_cmd"])[phases == "carry"].max()) > 5.0, "it weighs on the arm all the same"


def test_it_begins_with_open_jaws_and_a_stop_leaves_in_them_what_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hil.open(changed(tmp_path)) as session:
        session.bring_up()
        session.enable()
        assert session.gripper.grasp() is GripState.EMPTY
        with pytest.raises(hil.SessionError, match="it begins with open jaws"):
            session.run("pick")
        with monkeypatch.context() as without:
            without.setattr(session.supervisor.parts, "grip", None)
            with pytest.raises(hil.SessionError, match="this cell has no gripper"):
                session.run("pick")
        assert session.gripper.let_go() is GripState.OPEN
        session.start("pick")
        while session.supervisor.phase != "lift":
            session.step()
        session.step(100)
        session.stop()
        assert session.gripper.read().state is GripState.HOLDING
        with pytest.raises(hil.FaultError, match="holds something"):
            session.bring_up()


# --- the campaign ----------------------------------------------------------------------------------------------------


def test_the_shipped_tool_is_the_parallel_gripper_of_the_models(cell: Cell) -> None:
    tool = section(PARALLEL, EDGE)
    assert tool["mass"] == pytest.approx(cell.tool.mass)
    np.testing.assert_allclose(tool["com"], cell.tool.com, atol=1e-6)
    np.testing.assert_allclose(tool["inertia"], cell.tool.inertia, atol=1e-7)
    assert PARALLEL.tcp == cell.tool.tcp.xyz[2]


def test_a_tong_that_opens_comes_closer_and_wider() -> None:
    closed, wide = inertia(TONG, 0.0), inertia(TONG, TONG.opening)
    assert closed.mass == pytest.approx(wide.mass)
    assert wide.com[2] < closed.com[2]
    assert wide.inertia[2, 2] > closed.inertia[2, 2]
    with pytest.raises(ValueError, match=r"opens 0 to 0\.13 m"):
        inertia(TONG, 0.2)


def test_an_object_of_random_shape_weighs_what_its_pieces_weigh() -> None:
    """Against the convex hulls of the mesh's pieces, each summed up from tetrahedra."""
    (number, mass), *rest = draw(PARALLEL, 3, 0)
    assert draw(PARALLEL, 2, 0) == [(number, mass), rest[0]]
    text = files("pybullet_data").joinpath(f"random_urdfs/{number:03d}/{number:03d}.obj").read_text()
    pieces = [
        0.015 * np.array([line.split()[1:4] for line in piece.splitlines() if line.startswith("v ")], dtype=np.float64)
        for piece in text.split("\no ")
    ]
    hulls = [ConvexHull(piece) for piece in pieces if len(piece)]
    assert mass == pytest.approx(DENSITY * sum(hull.volume for hull in hulls), rel=2e-3)
    whole, second = np.zeros(3), np.zeros((3, 3))
    for hull in hulls:
        middle = hull.points.mean(axis=0)
        for corners in hull.points[hull.simplices]:
            four = np.vstack((corners, middle))
            volume = abs(np.linalg.det(corners - middle)) / 6.0
            whole += volume * four.mean(axis=0)
            second += volume / 20.0 * (four.T @ four + 16.0 * np.outer(four.mean(axis=0), four.mean(axis=0)))
    volume = sum(hull.volume for hull in hulls)
    com = whole / volume
    about = DENSITY * (second - volume * np.outer(com, com))
    thing = described(number, mass)
    corners = np.vstack(pieces)
    np.testing.assert_allclose(thing["com"], com - 0.5 * (corners.min(axis=0) + corners.max(axis=0)), atol=2e-5)
    np.testing.assert_allclose(inertia_matrix(thing["inertia"]), np.trace(about) * np.eye(3) - about, atol=2e-5)
    assert min(thing["size"][:2]) <= PARALLEL.opening
    with pytest.raises(ValueError, match="random_000"):
        thing_of(PickCase(thing="ball"))
    assert thing_of(PickCase(thing=f"random_{number:03d}", mass=mass)) == thing


def test_cases_have_names_of_their_own_and_a_warm_start_that_fits(tmp_path: Path) -> None:
    found, few = cases(), cases(quick=True)
    assert len({case.name for case in found}) == len(found)
    assert {case.name for case in few} < {case.name for case in found}
    assert all(case.side == ("near" if case.mirrored else "both") for case in found)
    warm = warmup_cell(tmp_path, "tong")
    centre, made = motion(warm, "near", 1, 0)
    assert min(made.at(t).q[2] for t in np.linspace(0.0, made.duration, 61)) > 0.0, "one side alone"
    np.testing.assert_allclose(motion(warm, "both", 1, 0)[0], SIGNS * centre)


@pytest.mark.accept
def test_fifteen_kilograms_are_carried_without_a_fault(tmp_path: Path) -> None:
    """The iiwa 14 is rated for 14 kg. Rigid body at full gains: no training, and the heaviest for the controller."""
    result = trial(PickCase(law="rnea_high", mass=15.0), tmp_path)
    assert json.loads(json.dumps(result)) == result
    assert result["faults"] == []
    assert result["held"]
    assert result["saturated"] == 0.0, "in this posture 15 kg are within the torques of the arm"
    assert 0.01 < result["ee_rmse_m"] < 0.1


@pytest.mark.accept
def test_a_load_beyond_the_torques_limits_visibly_and_is_no_fault(tmp_path: Path) -> None:
    """With half the torque that it would need in the shoulder it stays below the limit and is not stopped for that."""
    bare = warmup_cell(tmp_path / "cells", "parallel")
    path = tmp_path / "rigid.npz"
    rigid_body(bare).save(path)
    weak = task_cell(
        tmp_path / "cells", "weak", "parallel", {"mass": 15.0, "size": [EDGE] * 3}, False,
        {"kp_min": 1000.0, "kp_max": 1000.0, "innovation": False, "model": str(path)}, 0,
    )  # fmt: skip
    content = yaml.safe_load(weak.path.read_text(encoding="utf-8"))
    content["robot"]["limits"]["overrides"]["tau_cmd_max"] = [160.0, 45.0, 88.0, 88.0, 55.0, 20.0, 20.0]
    weak.path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    weak = load_cell(weak.path)
    with hil.open(weak) as session:
        session.bring_up()
        session.enable()
        trace = session.run("pick")
    assert figures(weak, trace)["saturated"] > 0.05
    assert (trace["limited"][:, 1].astype(int) & int(LimitedBy.MAGNITUDE)).any()
    assert np.nanmax(np.abs(trace["tau_cmd"][:, 1])) <= 45.0
