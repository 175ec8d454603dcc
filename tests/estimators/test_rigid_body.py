"""The rigid-body model against textbook solutions, difference quotients and impossible descriptions."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.errors import ModelError
from estimators.inertia import combined
from estimators.rigid_body import BodyInertia, RigidBodyModel
from tests.estimators.arms import PLANAR, seven_axis

TOOL = BodyInertia(1.2, np.array([0.0, 0.002, 0.06]), np.diag([2e-3, 2e-3, 1e-3]))
TCP = np.array([0.0, 0.0, 0.12])


def states(n: int, count: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [(rng.uniform(-1.5, 1.5, n), rng.uniform(-1.0, 1.0, n)) for _ in range(count)]


def test_planar_arm_has_textbook_gravity_and_inertia() -> None:
    """Gravity torque and M of the two-link arm equal the closed form."""
    model = RigidBodyModel(PLANAR)
    q1, q2 = 0.4, -0.9
    dyn = model.update(np.array([q1, q2]), np.zeros(2))
    g2 = 1.0 * 9.81 * 0.2 * np.cos(q1 + q2)
    g1 = 2.0 * 9.81 * 0.25 * np.cos(q1) + 1.0 * 9.81 * 0.5 * np.cos(q1) + g2
    np.testing.assert_allclose(dyn.g, [g1, g2], atol=1e-12)
    m22 = 0.01 + 0.2**2
    m12 = m22 + 0.5 * 0.2 * np.cos(q2)
    m11 = 0.03 + 2.0 * 0.25**2 + m22 + 0.5**2 + 2 * 0.5 * 0.2 * np.cos(q2)
    np.testing.assert_allclose(dyn.M, [[m11, m12], [m12, m22]], atol=1e-12)
    np.testing.assert_allclose(dyn.x[[0, 2]], [0.5 * np.cos(q1) + 0.4 * np.cos(q1 + q2),
                                               0.5 * np.sin(q1) + 0.4 * np.sin(q1 + q2)], atol=1e-12)  # fmt: skip


def test_coriolis_matrix_is_the_christoffel_one() -> None:
    """Ṁ = C + Cᵀ along the motion, and M qdd + C qd + g is inverse dynamics."""
    model = RigidBodyModel(seven_axis(), TOOL, TCP, armature=np.full(7, 0.1))
    for q, qd in states(7):
        h = 1e-6
        M_dot = (model.update(q + h * qd, qd).M.copy() - model.update(q - h * qd, qd).M.copy()) / (2 * h)
        dyn = model.update(q, qd)
        np.testing.assert_allclose(M_dot, dyn.C + dyn.C.T, atol=1e-7)
        qdd = np.sin(q)
        np.testing.assert_allclose(dyn.M @ qdd + dyn.Cqd + dyn.g, model.rnea(q, qd, qdd), atol=1e-10)
        np.testing.assert_allclose(model.forward(q, qd, model.rnea(q, qd, qdd)), qdd, atol=1e-8)
        np.testing.assert_allclose(dyn.p, dyn.M @ qd, atol=1e-12)
        np.testing.assert_allclose(dyn.beta, dyn.C.T @ qd - dyn.g, atol=1e-12)
        np.testing.assert_allclose(dyn.g, model.gravity(q), atol=1e-12)


def test_jacobian_is_the_derivative_of_the_tcp_pose_in_base_axes() -> None:
    """J qd is the TCP's twist and J qdd + J̇qd its acceleration, by difference quotients of the pose."""
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    h = 1e-5
    for q, qd in states(7):
        ahead, R_ahead = model.fk(q + h * qd)
        behind, R_behind = model.fk(q - h * qd)
        twist_ahead = model.jacobian(q + h * qd) @ qd
        twist_behind = model.jacobian(q - h * qd) @ qd
        dyn = model.update(q, qd)
        np.testing.assert_allclose(dyn.J[:3] @ qd, (ahead - behind) / (2 * h), atol=1e-8)
        W = (R_ahead - R_behind) / (2 * h) @ dyn.R.T
        np.testing.assert_allclose(dyn.J[3:] @ qd, [W[2, 1], W[0, 2], W[1, 0]], atol=1e-8)
        np.testing.assert_allclose(dyn.Jdot_qd, (twist_ahead - twist_behind) / (2 * h), atol=1e-7)


def test_tool_on_the_flange_adds_its_weight() -> None:
    """A hung tool changes g by −Jᵀ of its weight at its centre of mass."""
    bare = RigidBodyModel(seven_axis(), tcp_pos=TOOL.com)
    loaded = RigidBodyModel(seven_axis(), TOOL)
    for q, _ in states(7):
        weight = np.array([0.0, 0.0, -9.81 * TOOL.mass, 0.0, 0.0, 0.0])
        np.testing.assert_allclose(loaded.gravity(q) - bare.gravity(q), -bare.jacobian(q).T @ weight, atol=1e-10)


def test_hanging_tool_pulls_the_sensor_along_gravity() -> None:
    """At rest the sensor feels the weight in base −z, about its own origin, in its own axes."""
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    origin = np.array([0.01, 0.0, 0.03])
    q = states(7)[0][0]
    zero = np.zeros(7)
    load = model.tool_wrench(q, zero, zero, origin, rotation)
    _, R = model.fk(q)
    force = R @ rotation @ load[:3]
    np.testing.assert_allclose(force, [0.0, 0.0, -9.81 * TOOL.mass], atol=1e-10)
    arm = R @ (TOOL.com - origin)
    np.testing.assert_allclose(R @ rotation @ load[3:], np.cross(arm, force), atol=1e-10)


def test_queries_do_not_disturb_the_dynamics_of_the_cycle() -> None:
    """gravity, rnea, fk and tool_wrench at another pose leave the last update's arrays alone."""
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    (q, qd), (other, _) = states(7, 2)
    dyn = model.update(q, qd)
    kept = [np.array(a) for a in (dyn.M, dyn.C, dyn.g, dyn.J, dyn.x, dyn.R)]
    model.gravity(other)
    model.rnea(other, qd, qd)
    model.fk(other)
    model.jacobian(other)
    model.tool_wrench(other, qd, qd)
    for before, now in zip(kept, (dyn.M, dyn.C, dyn.g, dyn.J, dyn.x, dyn.R), strict=True):
        np.testing.assert_array_equal(before, now)


def test_limits_come_from_the_urdf() -> None:
    model = RigidBodyModel(PLANAR)
    assert model.n == 2
    assert model.joint_names == ("A1", "A2")
    np.testing.assert_array_equal(model.q_min, [-3.0, -2.5])
    np.testing.assert_array_equal(model.q_max, [3.0, 2.5])
    np.testing.assert_array_equal(model.qd_max, [2.0, 3.0])
    np.testing.assert_array_equal(model.tau_max, [100.0, 50.0])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<robot name", "<robt name", "not well-formed"),
        ('<mass value="1.0"/>', '<mass value="0.0"/>', "A2.*mass 0"),
        ('izz="0.03"', 'izz="0.5"', "A1.*triangle"),
        ('izz="0.03"', 'izz="-0.03"', "A1.*negative"),
        ('lower="-3" upper="3"', 'lower="3" upper="-3"', "A1.*lower < upper"),
        ('velocity="3"', 'velocity="0"', "A2.*velocity"),
        ('name="A2" type="revolute"', 'name="A2" type="continuous"', "A2.*continuous"),
        ('<link name="flange"/>', '<link name="hand"/>', "refuses"),
    ],
)
def test_bad_descriptions_are_refused_by_name(old: str, new: str, words: str) -> None:
    """What is wrong and on which joint stands in the error."""
    assert old in PLANAR
    with pytest.raises(ModelError, match=words):
        RigidBodyModel(PLANAR.replace(old, new))


def test_missing_flange_lists_the_links() -> None:
    with pytest.raises(ModelError, match=r"'tool0'.*l1, l2, flange"):
        RigidBodyModel(PLANAR, flange="tool0")


def test_path_in_place_of_text_is_explained() -> None:
    with pytest.raises(ModelError, match="not its path"):
        RigidBodyModel("models/arm.urdf")


@pytest.mark.parametrize("mass", [-1.0, float("nan"), float("inf")])
def test_impossible_tool_mass_is_refused(mass: float) -> None:
    with pytest.raises(ModelError):
        BodyInertia(mass, np.zeros(3), np.eye(3))


def test_mirrored_tcp_axes_are_refused() -> None:
    with pytest.raises(ModelError, match="not a rotation"):
        RigidBodyModel(PLANAR, tcp_R=np.diag([1.0, 1.0, -1.0]))


PAYLOAD = BodyInertia(0.8, np.array([0.02, -0.01, 0.15]), np.diag([3e-4, 4e-4, 5e-4]))


def test_a_payload_is_as_if_it_were_part_of_the_tool() -> None:
    """Set, everything equals the model whose tool is both bodies; taken away, the model without it, to the last bit."""
    model, heavier = (RigidBodyModel(seven_axis(), tool, TCP) for tool in (TOOL, combined(TOOL, PAYLOAD)))
    for q, qd in states(7):
        before = [np.array(a) for a in (model.update(q, qd).M, model.update(q, qd).g, model.update(q, qd).C)]
        model.set_payload(PAYLOAD)
        dyn, expected = model.update(q, qd), heavier.update(q, qd)
        for name in ("M", "C", "g", "Cqd", "p", "beta", "J"):
            np.testing.assert_allclose(getattr(dyn, name), getattr(expected, name), atol=1e-12, err_msg=name)
        np.testing.assert_allclose(dyn.g - dyn.g_payload, before[1], atol=1e-12)
        for found, wanted in zip(
            (model.tool_wrench(q, qd, qd), model.gravity(q)), (heavier.tool_wrench(q, qd, qd), heavier.gravity(q)),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(found, wanted, atol=1e-12)
        assert model.payload is PAYLOAD
        model.set_payload(None)
        dyn = model.update(q, qd)
        for found, wanted in zip((dyn.M, dyn.g, dyn.C), before, strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert not dyn.g_payload.any()


def test_payloads_do_not_add_up() -> None:
    model = RigidBodyModel(seven_axis(), TOOL, TCP)
    model.set_payload(PAYLOAD)
    once = model.gravity(np.full(7, 0.3))
    model.set_payload(PAYLOAD)
    np.testing.assert_array_equal(model.gravity(np.full(7, 0.3)), once)


def test_two_bodies_joined_are_one() -> None:
    """Two points a metre apart: a dumb-bell; nothing joined to nothing is nothing."""
    ends = [BodyInertia(1.0, np.array([x, 0.0, 0.0]), np.zeros((3, 3))) for x in (-0.5, 0.5)]
    bell = combined(*ends)
    assert (bell.mass, bell.com.tolist()) == (2.0, [0.0, 0.0, 0.0])
    np.testing.assert_allclose(bell.inertia, np.diag([0.0, 0.5, 0.5]))
    nothing = BodyInertia(0.0, np.zeros(3), np.zeros((3, 3)))
    assert combined(nothing, nothing).mass == 0.0
