"""Wrench from joint torques, and the wrist sensor's contact wrench: signs, covariance, singular poses."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.errors import ParameterError
from estimators.rigid_body import BodyInertia, RigidBodyModel
from estimators.spatial import WristWrench, rotate, shift, wrench_transform
from estimators.wrench import contact_wrench, point_contact_force
from tests.estimators.arms import seven_axis

Q = np.array([0.2, 0.5, -0.3, -1.2, 0.4, 1.1, 0.3])
TOOL = BodyInertia(1.2, np.array([0.0, 0.002, 0.06]), np.diag([2e-3, 2.5e-3, 1e-3]))
TCP = np.array([0.01, 0.0, 0.12])
SENSOR = np.array([0.0, 0.0, 0.02])


def turned(rng: np.random.Generator) -> np.ndarray:
    R, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return R * np.sign(np.linalg.det(R))


@pytest.mark.parametrize("axis", range(6))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_each_push_and_twist_is_found_with_its_sign(axis: int, sign: float) -> None:
    model = RigidBodyModel(seven_axis(), tcp_pos=TCP)
    J = model.jacobian(Q)
    wrench = np.zeros(6)
    wrench[axis] = sign * (20.0 if axis < 3 else 2.0)
    found, cov = contact_wrench(J, J.T @ wrench, np.eye(7) * 1e-4)
    np.testing.assert_allclose(found, wrench, atol=0.02)
    assert np.linalg.eigvalsh(cov).min() > 0.0
    if axis < 3:
        force, _ = point_contact_force(J, J.T @ wrench, np.eye(7) * 1e-4)
        np.testing.assert_allclose(force, wrench[:3], atol=1e-3)


def test_covariance_is_that_of_the_errors() -> None:
    """Over wrenches drawn from the prior and torques with noise, the errors are as large as stated."""
    model = RigidBodyModel(seven_axis(), tcp_pos=TCP)
    J = model.jacobian(Q)
    rng = np.random.default_rng(1)
    A = rng.normal(size=(7, 7))
    P = 0.05 * (A @ A.T + np.eye(7))
    L = np.linalg.cholesky(P)
    score, score3 = [], []
    for _ in range(4000):
        wrench = rng.normal(size=6) * np.array([30.0] * 3 + [5.0] * 3)
        tau = J.T @ wrench + L @ rng.normal(size=7)
        found, cov = contact_wrench(J, tau, P, 30.0, 5.0)
        score.append((found - wrench) @ np.linalg.solve(cov, found - wrench))
        wrench[3:] = 0.0
        force, cov3 = point_contact_force(J, J.T @ wrench + L @ rng.normal(size=7), P, 30.0)
        score3.append((force - wrench[:3]) @ np.linalg.solve(cov3, force - wrench[:3]))
    assert np.mean(score) == pytest.approx(6.0, rel=0.05)
    assert np.mean(score3) == pytest.approx(3.0, rel=0.05)


def test_point_contact_is_the_more_certain_where_it_holds() -> None:
    J = RigidBodyModel(seven_axis(), tcp_pos=TCP).jacobian(Q)
    P = np.eye(7) * 0.1
    _, cov = contact_wrench(J, np.zeros(7), P)
    _, cov3 = point_contact_force(J, np.zeros(7), P)
    assert np.trace(cov3) < 0.5 * np.trace(cov[:3, :3])


def test_stretched_arm_gives_the_prior_for_what_no_joint_feels() -> None:
    """Upright, a vertical force loads no joint: the estimate stays bounded and admits that it does not know."""
    J = RigidBodyModel(seven_axis()).jacobian(np.zeros(7))
    tau = J.T @ np.array([5.0, 0.0, 0.0, 0.0, 0.0, 0.0]) + 0.3
    found, cov = contact_wrench(J, tau, np.eye(7) * 0.1, 100.0, 20.0)
    assert np.abs(found).max() < 100.0
    assert np.sqrt(cov[2, 2]) == pytest.approx(100.0, rel=1e-6)


def test_invalid_torques_give_nan() -> None:
    J = RigidBodyModel(seven_axis()).jacobian(Q)
    assert np.isnan(contact_wrench(J, np.full(7, np.nan), np.eye(7))[0]).all()
    assert np.isnan(contact_wrench(J, np.zeros(7), np.full((7, 7), np.nan))[0]).all()
    assert np.isnan(contact_wrench(J, np.zeros(7), -np.eye(7))[1]).all()


def test_shifting_a_force_gives_its_moment() -> None:
    """A force along +z seen from a point one metre back along x has a moment about −y."""
    force = np.array([0.0, 0.0, 10.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(shift(force, np.array([-1.0, 0.0, 0.0])), [0, 0, 10, 0, -10, 0])


def test_transform_matrix_is_rotation_then_shift_and_keeps_power() -> None:
    rng = np.random.default_rng(2)
    R, r = turned(rng), rng.normal(size=3)
    wrench, omega, v = rng.normal(size=6), rng.normal(size=3), rng.normal(size=3)
    moved = wrench_transform(R, r) @ wrench
    np.testing.assert_allclose(moved, shift(rotate(wrench, R), r), atol=1e-12)
    v_new = R @ v + np.cross(R @ omega, r)
    assert moved[:3] @ v_new + moved[3:] @ (R @ omega) == pytest.approx(wrench[:3] @ v + wrench[3:] @ omega)


def test_contact_is_recovered_from_a_moving_sensors_reading() -> None:
    """Reading = bias + tool weight and inertia + environment; what comes back is the environment at the TCP."""
    rng = np.random.default_rng(3)
    R_sensor, R_tcp = turned(rng), turned(rng)
    model = RigidBodyModel(seven_axis(), TOOL, TCP, R_tcp)
    wrist = WristWrench(TOOL, SENSOR, R_sensor, TCP, R_tcp)
    bias = rng.normal(size=6)
    q0 = rng.uniform(-1.0, 1.0, 7)
    zero = np.zeros(7)
    wrist.tare(model.tool_wrench(q0, zero, zero, SENSOR, R_sensor) + bias, model.update(q0, zero))
    np.testing.assert_allclose(wrist.bias, bias, atol=1e-10)
    for _ in range(5):
        q, qd, qdd = rng.uniform(-1.5, 1.5, 7), rng.normal(size=7), 3.0 * rng.normal(size=7)
        contact = rng.normal(size=6) * 10.0
        dyn = model.update(q, qd)
        at_sensor = shift(contact, dyn.R @ R_tcp.T @ (SENSOR - TCP))
        in_sensor = rotate(at_sensor, (dyn.R @ R_tcp.T @ R_sensor).T)
        reading = bias + in_sensor + model.tool_wrench(q, qd, qdd, SENSOR, R_sensor)
        np.testing.assert_allclose(wrist.contact(reading, dyn, qdd), contact, atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_push_at_the_tip_keeps_its_sign(axis: int, sign: float) -> None:
    """A push in a base direction is reported in that direction: the reading's polarity is not flipped."""
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    wrist = WristWrench(TOOL, SENSOR, None, TCP)
    zero = np.zeros(7)
    dyn = model.update(Q, zero)
    push = np.zeros(6)
    push[axis] = sign * 15.0
    reading = rotate(shift(push, dyn.R @ (SENSOR - TCP)), dyn.R.T) + model.tool_wrench(Q, zero, zero, SENSOR)
    np.testing.assert_allclose(wrist.contact(reading, dyn), push, atol=1e-9)


def test_sensor_without_tool_reads_contact_alone() -> None:
    model = RigidBodyModel(seven_axis())
    dyn = model.update(Q, np.zeros(7))
    contact = WristWrench(None).contact(np.array([1.0, 2.0, 3.0, 0.1, 0.2, 0.3]), dyn)
    np.testing.assert_allclose(contact, np.concatenate((dyn.R @ [1, 2, 3], dyn.R @ [0.1, 0.2, 0.3])))


def test_tare_refuses_nan() -> None:
    model = RigidBodyModel(seven_axis(), TOOL)
    with pytest.raises(ParameterError, match="finite"):
        WristWrench(TOOL).tare(np.full(6, np.nan), model.update(Q, np.zeros(7)))


def test_a_payload_counts_as_part_of_the_tool() -> None:
    """In motion too: what tool and payload weigh and what their inertia asks for is no contact."""
    payload = BodyInertia(0.8, np.array([0.02, -0.01, 0.15]), np.diag([3e-4, 4e-4, 5e-4]))
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    wrist = WristWrench(TOOL, SENSOR, None, TCP)
    rng = np.random.default_rng(4)
    qd, qdd = rng.normal(size=7), rng.normal(size=7)
    for held in (payload, None):
        model.set_payload(held)
        wrist.set_payload(held)
        reading = model.tool_wrench(Q, qd, qdd, SENSOR)
        np.testing.assert_allclose(wrist.contact(reading, model.update(Q, qd), qdd), np.zeros(6), atol=1e-9)
