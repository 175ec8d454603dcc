"""Distances of the shipped arms to themselves and to what stands around them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from estimators.collision import Box, CollisionModel
from estimators.errors import ModelError
from hil.cell.load import shipped_models
from tests.estimators import shapes
from tests.estimators.arms import PLANAR

ARMS = ("iiwa14", "iiwa7", "cobot6", "piper6")
TCP = np.array([0.0, 0.0, 0.12])


def urdf(arm: str) -> str:
    return shipped_models()[f"{arm}.urdf"].read_text(encoding="utf-8")


@cache
def bare(arm: str) -> CollisionModel:
    return CollisionModel(urdf(arm))


@cache
def furnished(arm: str) -> CollisionModel:
    plate = Box("plate", np.array([0.5, 0.1, 0.2]), np.eye(3), np.array([0.4, 0.4, 0.04]))
    return CollisionModel(urdf(arm), TCP, 0.04, 0.0, [plate])


def postures(model: CollisionModel, count: int, seed: int = 0) -> np.ndarray:
    low, high = model.model.lowerPositionLimit, model.model.upperPositionLimit
    return np.random.default_rng(seed).uniform(low, high, (count, model.n))


@pytest.mark.parametrize("arm", ["iiwa14", "cobot6", "piper6"])
def test_distances_agree_with_projections_onto_the_shapes(arm: str) -> None:
    model, q = bare(arm), postures(bare(arm), 40)
    named = {shape.name: shape for shape in shapes.shapes(urdf(arm))}
    poses = shapes.link_poses(urdf(arm), q)
    measured = np.array([model.distances(row) for row in q])
    for k, (first, second) in enumerate(model.pairs):
        expected = shapes.distance(named[first], named[second], poses)
        apart = measured[:, k] > 0.005
        # Projections come to the distance from above, slowly where two faces are nearly parallel.
        assert np.abs(measured[apart, k] - expected[apart]).max(initial=0.0) < 2e-3, (first, second)
        assert (expected[~apart] < 0.008).all(), (first, second)


@pytest.mark.parametrize(
    ("arm", "free", "folded", "hits"),
    [
        # A2 and A4 at their ends in the same sense: the wrist comes down on the base.
        ("iiwa14", [0.0] * 7, [0.0, -2.09, 0.0, 2.09, 0.0, 1.8, 0.0], {"link_0_0"}),
        ("iiwa7", [0.0] * 7, [0.0, -2.09, 0.0, 2.09, 0.0, 1.8, 0.0], {"link_0_0"}),
        # The forearm folded back onto the upper arm.
        ("cobot6", [0.0, -1.57, 0.0, 0.0, 0.0, 0.0], [0.0, -1.57, 2.79, 1.57, 1.57, 0.0], {"link_2_0", "link_1_0"}),
        # Shoulder down at the back, elbow folded: the wrist in the base.
        ("piper6", [0.0, 1.57, -1.57, 0.0, 0.0, 0.0], [0.0, 3.1, 0.0, 0.6, -0.4, -1.2], {"link_0_0"}),
    ],
)
def test_known_postures(arm: str, free: list[float], folded: list[float], hits: set[str]) -> None:
    model = bare(arm)
    assert model.clearance(np.array(free)).distance > 0.0
    assert model.free(np.array(free), 0.0)
    found = model.clearance(np.array(folded))
    assert found.distance < 0.0
    assert {found.first, found.second} & hits, found
    assert not model.free(np.array(folded), 0.0)


@pytest.mark.parametrize("arm", ["iiwa14", "cobot6"])
def test_the_quick_question_agrees_with_the_distances(arm: str) -> None:
    model = furnished(arm)
    for q in postures(model, 200):
        least = model.clearance(q).distance
        for margin in (0.0, 0.03, 0.1):
            if abs(least - margin) > 1e-6:
                assert model.free(q, margin) == (least > margin)


@pytest.mark.parametrize("arm", ARMS)
def test_no_distance_changes_faster_than_the_reach_allows(arm: str) -> None:
    model = furnished(arm)
    rng = np.random.default_rng(1)
    tightest = 0.0
    for q in postures(model, 150):
        step = rng.normal(0.0, 0.02, model.n)
        changed = np.abs(model.distances(q + step) - model.distances(q))
        allowed = model._reach @ np.abs(step)
        assert (changed <= allowed + 1e-6).all()
        tightest = max(tightest, float(np.max(changed[allowed > 0.0] / allowed[allowed > 0.0])))
    assert tightest > 0.5  # a bound that is never near is no bound worth having


def test_a_sliding_joint_is_bounded_too() -> None:
    xml = PLANAR.replace('<joint name="A2" type="revolute">', '<joint name="A2" type="prismatic">')
    shape = '<collision><geometry><sphere radius="0.05"/></geometry></collision></link>'
    xml = xml.replace('<link name="base"/>', f'<link name="base">{shape}')
    xml = xml.replace("</inertial></link>", f"</inertial>{shape}")
    model = CollisionModel(xml, floor=-1.0)
    rng = np.random.default_rng(2)
    for q in postures(model, 100):
        step = rng.normal(0.0, 0.05, 2)
        changed = np.abs(model.distances(q + step) - model.distances(q))
        assert (changed <= model._reach @ np.abs(step) + 1e-6).all()


def test_the_floor_is_as_far_as_the_lowest_point_of_each_shape() -> None:
    xml = urdf("cobot6")
    model = CollisionModel(xml, floor=-0.3)
    q = postures(model, 50)
    poses = shapes.link_poses(xml, q)
    for shape in shapes.shapes(xml):
        if (shape.name, "floor") not in model.pairs:
            continue
        frame = poses[shape.link] @ shape.pose
        up = np.abs(frame[:, 2, 2])
        radius = shape.size[0]
        below = radius if shape.kind == "sphere" else radius * np.sqrt(1.0 - up**2) + shape.size[1] / 2.0 * up
        expected = frame[:, 2, 3] - below + 0.3
        k = model.pairs.index((shape.name, "floor"))
        measured = np.array([model.distances(row)[k] for row in q])
        np.testing.assert_allclose(measured, expected, atol=1e-6)


def test_the_tool_counts_with_its_radius() -> None:
    q = np.array([0.0, 0.55, 0.0, -1.52, 0.0, 1.07, 0.0])  # the tool points straight down
    tool = CollisionModel(urdf("iiwa14"), TCP, 0.04, floor=0.0)
    k, flange = tool.pairs.index(("tool", "floor")), tool.pairs.index(("link_7_0", "floor"))
    assert tool.distances(q)[k] == pytest.approx(tool.distances(q)[flange] - 0.12, abs=1e-3)
    level = np.array([0.0, 0.55, 0.0, -1.52, 0.0, 1.07 - np.pi / 2, 0.0])
    wide = CollisionModel(urdf("iiwa14"), TCP, 0.09, floor=0.0)
    assert tool.distances(level)[k] - wide.distances(level)[k] == pytest.approx(0.05, abs=1e-3)


def test_a_thin_wall_between_two_free_postures_is_found() -> None:
    wall = Box("wall", np.array([0.6, 0.0, 0.6]), np.eye(3), np.array([0.8, 0.005, 0.8]))
    model = CollisionModel(urdf("iiwa14"), boxes=[wall])
    start, end = (np.array([turn, 0.9, 0.0, -0.6, 0.0, 0.5, 0.0]) for turn in (-0.6, 0.6))
    assert model.free(start, 0.03)
    assert model.free(end, 0.03)
    found = model.check_move(start, end, 0.03)
    assert found.distance < 0.03
    assert "wall" in (found.first, found.second)
    assert 0.0 < found.at < 1.0
    # The same way with the wall taken away is free, and so are the ways that keep to one side of it.
    assert bare("iiwa14").check_move(start, end, 0.03).distance >= 0.03
    assert model.check_move(start, start - np.array([0.3] + [0.0] * 6), 0.03).distance >= 0.03


@pytest.mark.parametrize("arm", ["iiwa14", "cobot6"])
def test_what_is_certified_holds_at_every_point_of_the_way(arm: str) -> None:
    model, rng = furnished(arm), np.random.default_rng(3)
    certified = 0
    for start in postures(model, 60, seed=4):
        end = start + rng.normal(0.0, 0.15, model.n)
        found = model.check_move(start, end, 0.02)
        fine = start + np.linspace(0.0, 1.0, 60)[:, None] * (end - start)
        least = min(model.clearance(row).distance for row in fine)
        if found.distance >= 0.02:
            certified += 1
            assert least >= found.distance - 1e-6
        else:
            assert least < 0.02 + 2e-3
    assert certified > 5


def test_a_bulge_between_samples_is_subtracted() -> None:
    model = furnished("cobot6")
    q = np.array([[0.293, -1.448, -1.892, -1.373, 1.571, 0.293]] * 2)
    straight, bulging = model.check_path(q, 0.0), model.check_path(q, 0.0, np.full(6, 0.005))
    allowed = model.distances(q[0]) - model._reach @ np.full(6, 0.005)
    assert bulging.distance == pytest.approx(allowed.min(), abs=1e-6)
    assert bulging.distance < straight.distance - 0.01


def test_a_posture_that_is_not_finite_is_never_free() -> None:
    model = furnished("cobot6")
    q = np.array([0.0, np.nan, 0.0, 0.0, 0.0, 0.0])
    assert model.clearance(q).distance == -np.inf
    assert not model.free(q, 0.0)
    assert model.check_path(np.array([np.zeros(6), q]), -1.0).distance == -np.inf


def test_links_drawn_into_each_other_are_left_out_and_named() -> None:
    shape = '<collision><geometry><sphere radius="0.6"/></geometry></collision>'
    xml = urdf("cobot6").replace('<link name="link_0">', f'<link name="link_0">{shape}', 1)
    model = CollisionModel(xml, floor=0.0)
    assert ("link_0_0", "link_2_0") in model.never_compared
    assert not set(model.never_compared) & set(model.pairs)
    assert ("link_0_1", "link_3_0") in model.pairs
    # Two links of the wrist that only turn beside each other: no posture brings them nearer.
    assert bare("piper6").never_compared == (("link_4_0", "link_6_0"),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"floor": float("nan")}, "floor is nan"),
        ({"boxes": [Box("b", np.zeros(3), np.eye(3), np.array([1.0, 0.0, 1.0]))]}, "'b' has size"),
        ({"boxes": [Box("b", np.zeros(3), np.ones((3, 3)), np.ones(3))]}, "not a rotation matrix"),
        ({"boxes": [Box("b", np.zeros(3), np.eye(3), np.ones(3))] * 2}, "two shapes are called 'b'"),
        ({"tcp": np.array([0.0, np.inf, 0.0]), "tool_radius": 0.1}, "expected three finite values"),
        ({"tcp": TCP, "tool_radius": 0.1, "flange": "hand"}, "no link 'hand'"),
    ],
)
def test_refusals(change: dict[str, object], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        CollisionModel(urdf("cobot6"), **change)  # type: ignore[arg-type]


def test_an_arm_without_shapes_is_refused() -> None:
    with pytest.raises(ModelError, match="give it some before it is checked"):
        CollisionModel(PLANAR)
