"""The campaign's plant: equations of motion, signs of load and contact, friction families, repeatable robots."""

from __future__ import annotations

import numpy as np
import pinocchio as pin
import pytest

from hil.campaigns import kvark_friction as friction
from hil.campaigns import kvark_motions as motions
from hil.campaigns import kvark_plant as plant
from hil.campaigns.kvark_contact import Contact, Impedance

N = 6


def hold(k: int, q: np.ndarray, qd: np.ndarray) -> np.ndarray:
    return np.zeros(N)


def test_without_errors_the_plant_is_the_nominal_model() -> None:
    reference = motions.fourier(1500, plant.DT, 0.5, np.random.default_rng(0))
    run = plant.simulate(plant.draw("lugre", 0, "ideal"), plant.free_law(reference), 1500, "x")
    q, tau, model = run["q"], run["tau"], plant.nominal_model()
    qd = (q[2:] - q[:-2]) / (2.0 * plant.DT)
    qdd = (q[2:] - 2.0 * q[1:-1] + q[:-2]) / plant.DT**2
    wanted = np.array([model.rnea(*row) for row in zip(q[1:-1], qd, qdd, strict=True)])
    # Torque is held between samples; of four semi-implicit steps each, a second difference sees 6 and 10 parts of 16.
    acted = 0.375 * tau[:-2] + 0.625 * tau[1:-1]
    assert np.abs(acted).max() > 20.0
    np.testing.assert_allclose(acted[50:], wanted[50:], atol=0.02)
    assert np.abs(q - reference[0]).max() < 5e-3
    assert not run["tau_ext"].any()


def test_energy_is_kept_without_friction_and_lost_with_it() -> None:
    model = plant.nominal_model().model
    data = model.createData()
    lost = {}
    for name in ("ideal", "standard"):
        robot = plant.draw("maxwell_slip", 1, name)
        run = plant.simulate(robot, hold, 250, "fall")
        q = run["q"]
        qd = (q[1:] - q[:-1]) / plant.DT
        middle = 0.5 * (q[1:] + q[:-1])
        energy = [
            pin.computeKineticEnergy(model, data, a, b) + pin.computePotentialEnergy(model, data, a)
            for a, b in zip(middle, qd, strict=True)
        ]
        kinetic = pin.computeKineticEnergy(model, data, middle[-1], qd[-1])
        assert kinetic > 0.5, "it falls"
        lost[name] = (energy[0] - energy[-1]) / (kinetic if name == "ideal" else 1.0)
    assert abs(lost["ideal"]) < 0.01
    assert lost["standard"] > 0.1


def test_a_hung_weight_is_an_external_torque_of_its_sign() -> None:
    reference = (np.tile(motions.HOME, (800, 1)), np.zeros((800, N)), np.zeros((800, N)))
    run = plant.simulate(
        plant.draw("lugre", 0, "ideal"), plant.free_law(reference), 800, "load", payload=plant.PAYLOAD
    )
    J = plant.nominal_model().jacobian(run["q"][-1])
    expected = J.T @ np.array([0.0, 0.0, -9.81 * plant.PAYLOAD.mass, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(run["tau_ext"][-1], expected, atol=0.15)


def test_the_surface_pushes_up_and_its_torque_is_that_of_its_force() -> None:
    model = plant.nominal_model()
    samples = 2500
    law = Impedance(plant.nominal_model(), samples, plant.DT)
    robot = plant.draw("memoryless", 2)
    run = plant.simulate(robot, law, samples, "polish", contact=Contact(law.surface))
    touching = run["wrench"][:, 2] > 5.0
    assert touching.sum() > 300
    assert (run["wrench"][:, 2] >= 0.0).all()
    assert not run["wrench"][:, 3:].any()
    for k in np.flatnonzero(touching)[::200]:
        J = model.jacobian(run["q"][k])
        np.testing.assert_allclose(run["tau_ext"][k], J.T @ run["wrench"][k], atol=0.2)


def test_a_robot_is_its_family_and_seed() -> None:
    reference = motions.point_to_point(150, plant.DT, np.random.default_rng(3))
    law = plant.free_law(reference)
    first = plant.simulate(plant.draw("lugre", 4), law, 150, "a")
    again = plant.simulate(plant.draw("lugre", 4), law, 150, "a")
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
    for other in (("lugre", 5), ("maxwell_slip", 4)):
        assert not np.array_equal(plant.draw(*other).parameters, plant.draw("lugre", 4).parameters)
    with pytest.raises(ValueError, match="maxwell_slip, lugre, memoryless"):
        plant.draw("coulomb", 0)


@pytest.mark.parametrize("family", friction.FAMILIES)
def test_friction_opposes_motion_and_remembers_it_where_it_has_memory(family: str) -> None:
    robot = plant.draw(family, 7)
    f, dt = robot.friction, plant.DT / plant.STEPS
    still, torque = np.zeros(N), np.zeros(N)

    def after(sign: float, last: float) -> np.ndarray:
        """Friction at velocity ``last``, reached after sliding with ``sign``."""
        state = f.state()
        for k in range(4000):
            qd = np.full(N, sign * 0.3 if k < 3900 else last)
            friction.advance(f.family, f.rows, state, still, qd, still, still, 1.0, 0.0, dt, torque)
        return torque - f.rows[friction.GEAR] * np.sin(f.rows[friction.GEAR_PHASE])

    assert (after(1.0, 0.3) > 0.5 * f.rows[friction.COULOMB]).all()
    assert (after(-1.0, -0.3) < -0.5 * f.rows[friction.COULOMB]).all()
    gap = after(1.0, 1e-4) - after(-1.0, 1e-4)
    if family == "memoryless":
        np.testing.assert_allclose(gap, 0.0, atol=1e-9)
    else:
        assert (gap > f.rows[friction.COULOMB]).all(), "as it came to rest, so it sticks"


def test_motions_begin_at_home_and_at_rest() -> None:
    for reference in (
        motions.fourier(2000, plant.DT, 0.7, np.random.default_rng(1)),
        motions.point_to_point(2000, plant.DT, np.random.default_rng(1)),
    ):
        q, qd, qdd = reference
        np.testing.assert_allclose(q[0], motions.HOME, atol=1e-12)
        np.testing.assert_allclose((qd[0], qdd[0]), 0.0, atol=1e-9)
        np.testing.assert_allclose(np.diff(q, axis=0)[100:], plant.DT * 0.5 * (qd[1:] + qd[:-1])[100:], atol=1e-5)
