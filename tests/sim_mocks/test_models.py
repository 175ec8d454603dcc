"""The arms' URDFs: data-sheet kinematics, limits and weight; and that both engines see the same mechanics."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from importlib.resources import files

import numpy as np
import pinocchio as pin
import pytest

from sim_mocks.plant_urdf import moving_links, read_inertial

RANGE = [170, 120, 170, 120, 170, 120, 175]
# deg/s and N·m from the axis data of KUKA's brochure; axis distances and weight from the data sheets
SHEET = {
    "iiwa14": ([85, 85, 100, 75, 130, 135, 135], [320, 320, 176, 176, 110, 40, 40], (0.36, 0.42, 0.40, 0.126), 29.9),
    "iiwa7": ([98, 98, 100, 130, 140, 180, 180], [176, 176, 110, 110, 110, 40, 40], (0.34, 0.40, 0.40, 0.126), 23.9),
}


def urdf(name: str) -> str:
    return files("hil.models").joinpath(f"{name}.urdf").read_text(encoding="utf-8")


@pytest.fixture(params=sorted(SHEET))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_limits_are_the_data_sheets(name: str) -> None:
    model = pin.buildModelFromXML(urdf(name))
    speed, torque, _, _ = SHEET[name]
    assert list(model.names)[1:] == [f"A{i}" for i in range(1, 8)]
    np.testing.assert_allclose(model.upperPositionLimit, np.radians(RANGE), rtol=1e-9)
    np.testing.assert_allclose(model.lowerPositionLimit, -np.radians(RANGE), rtol=1e-9)
    np.testing.assert_allclose(model.upperVelocityLimit, np.radians(speed), rtol=1e-9)
    np.testing.assert_array_equal(model.upperEffortLimit, torque)


def test_shoulder_elbow_wrist_and_flange_are_where_the_data_sheet_says(name: str) -> None:
    model = pin.buildModelFromXML(urdf(name))
    data = model.createData()
    base, upper, lower, wrist = SHEET[name][2]
    for q in np.random.default_rng(0).uniform(model.lowerPositionLimit, model.upperPositionLimit, (20, 7)):
        pin.framesForwardKinematics(model, data, q)
        shoulder, elbow, hand = (data.oMi[i].translation for i in (2, 4, 6))
        flange = data.oMf[model.getFrameId("flange")].translation
        np.testing.assert_allclose(shoulder, [0, 0, base], atol=1e-12)
        assert np.linalg.norm(elbow - shoulder) == pytest.approx(upper)
        assert np.linalg.norm(hand - elbow) == pytest.approx(lower)
        assert np.linalg.norm(flange - hand) == pytest.approx(wrist)


def test_signs_of_the_axes(name: str) -> None:
    """A positive A2 leans forward; a negative A4 and a positive A6 fold the forearm and the hand further down."""
    model = pin.buildModelFromXML(urdf(name))
    data = model.createData()
    pin.framesForwardKinematics(model, data, np.radians([0, 30, 0, -90, 0, 60, 0]))
    flange = data.oMf[model.getFrameId("flange")]
    np.testing.assert_allclose(flange.rotation[:, 2], [0, 0, -1], atol=1e-12)
    assert flange.translation[0] > 0.4
    assert abs(flange.translation[1]) < 1e-12


def test_weight_and_possible_inertias(name: str) -> None:
    root = ET.fromstring(urdf(name))
    bodies = [read_inertial(link) for link in root.findall("link") if link.get("name") != "flange"]
    assert sum(body.mass for body in bodies) == pytest.approx(SHEET[name][3], abs=1e-9)
    for body in bodies:
        low, mid, high = np.linalg.eigvalsh(body.inertia)
        assert low > 0.0
        assert low + mid > high, "triangle inequality, strictly"
    assert bodies[7].inertia[2, 2] >= 0.0019, "joint 7 must bear discrete-time friction"


def test_names_and_shapes(name: str) -> None:
    root = ET.fromstring(urdf(name))
    assert moving_links(root) == [f"link_{i}" for i in range(1, 8)]
    assert {link.get("name") for link in root.findall("link")} == {f"link_{i}" for i in range(8)} | {"flange"}
    assert not list(root.iter("mesh"))
    for link in root.findall("link"):
        assert link.get("name") == "flange" or link.find("collision") is not None
