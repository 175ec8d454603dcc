"""Friction with memory: elements that slide, a prior that keeps paths apart, and what a memoryless one misses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dynamics_arm import moved, planar
from hypothesis import given
from hypothesis import strategies as st

from estimators.dynamics.prior import Prior, regress, unpack
from estimators.dynamics.samples import Samples
from estimators.dynamics.slip import JUMP, Slip, slip_terms, width
from estimators.errors import ModelError

R = (1e-3, 4e-3)


def test_an_element_sticks_slides_and_turns_round_after_twice_its_elongation() -> None:
    slip = Slip(1, R)
    still = np.zeros(1)
    slip.step(np.array([0.0]), still)
    np.testing.assert_allclose(slip.step(np.array([5e-4]), still), [[0.5, 0.125]])
    np.testing.assert_allclose(slip.step(np.array([0.01]), still), [[1.0, 1.0]])
    # At rest after the way it came: friction stays where it was.
    np.testing.assert_allclose(slip.step(np.array([0.01]), still), [[1.0, 1.0]])
    np.testing.assert_allclose(slip.step(np.array([0.009]), still), [[0.0, 0.75]], atol=1e-12)
    np.testing.assert_allclose(slip.step(np.array([0.008]), still), [[-1.0, 0.5]], atol=1e-12)


@given(st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=30))
def test_elements_never_stretch_further_and_know_no_time(path: list[float]) -> None:
    q = np.cumsum(path)[:, None]
    one, many = Slip(1, R), Slip(1, R)
    rest = np.zeros(1)
    one.step(rest, rest)
    many.step(rest, rest)
    before = 0.0
    for row in q:
        found = one.step(row, rest)
        for part in np.linspace(before, row[0], 7)[1:]:
            fine = many.step(np.array([part]), rest)
        before = float(row[0])
        assert (np.abs(found) <= 1.0 + 1e-12).all()
        np.testing.assert_allclose(found, fine, atol=1e-9)


def test_after_a_jump_a_joint_is_taken_to_slide_if_it_moves() -> None:
    slip = Slip(2, R)
    first = slip.step(np.array([1.0, 2.0]), np.array([0.5, -0.5]))
    np.testing.assert_allclose(first, [[1.0, 1.0], [-1.0, -1.0]], atol=1e-6)
    after = slip.step(np.array([1.0 + 2 * JUMP, 2.0]), np.zeros(2))
    np.testing.assert_array_equal(after, np.zeros((2, 2)))
    assert np.isnan(slip.step(np.array([np.nan, 2.0]), np.zeros(2))).all()
    # What was not measured is no part of the path.
    np.testing.assert_allclose(slip.step(np.array([1.0 + 2 * JUMP, 2.001]), np.zeros(2))[1], [1.0, 0.25])


def test_the_weighted_sum_is_that_of_the_terms() -> None:
    rng = np.random.default_rng(2)
    speeds = (0.05, 0.3)
    weights = rng.normal(size=(2, width(R, speeds)))
    one, other = Slip(2, R, speeds), Slip(2, R, speeds)
    for q, qd in zip(np.cumsum(2e-3 * rng.normal(size=(50, 2)), axis=0), 0.2 * rng.normal(size=(50, 2)), strict=True):
        expected = (weights * slip_terms(other.step(q, qd), qd, speeds)).sum(axis=1)
        np.testing.assert_allclose(one.torque(q, qd, weights), expected, rtol=1e-12, atol=1e-12)
    assert np.isnan(one.torque(np.array([np.nan, 0.0]), np.zeros(2), weights)).all()


def rubbed(seed: int, level: float = 1.5) -> Samples:
    """Rhythmic motion with friction that turns round within some milliradians, and no other."""
    samples, model = moved(3, seed, samples=700), planar()
    tau = np.array([model.rnea(*row) for row in zip(samples.q, samples.qd, samples.qdd, strict=True)])
    for number in samples.trajectories:
        slip = Slip(samples.n, R)
        for k in np.flatnonzero(samples.trajectory == number):
            tau[k] += level * slip.step(samples.q[k], samples.qd[k]).mean(axis=1)
    return replace(samples, tau=tau)


def test_regression_finds_friction_that_a_memoryless_one_cannot_express() -> None:
    model = planar()
    train, test = rubbed(0), rubbed(1)
    with_memory = regress(model, train, radii=R, speeds=(0.1,))
    without = regress(model, train, widths=(0.003, 0.01, 0.05, 0.2))
    assert with_memory.remembers
    assert not without.remembers
    found, missed = (np.sqrt(np.mean((test.tau - prior.of(test)) ** 2)) for prior in (with_memory, without))
    assert found < 0.02
    assert missed > 5.0 * found
    # The same trajectory twice gives the same: each is a path of its own.
    np.testing.assert_array_equal(with_memory.of(test), with_memory.of(test))


def test_streams_are_paths_of_their_own() -> None:
    model = planar()
    friction = np.zeros((model.n, width(R, ())))
    friction[:, 2:] = 1.0
    prior = Prior(model, None, friction, radii=R)
    rest = np.zeros(model.n)
    forth, back = np.full(model.n, 0.05), np.full(model.n, -0.05)
    for q in (rest, forth):
        up = prior.torque(q, rest, rest, 0)
    for q in (rest, back):
        prior.torque(q, rest, rest, 1)
    np.testing.assert_allclose(prior.torque(forth, rest, rest, 0), up)
    bare = Prior(model).torque(forth, rest, rest)
    np.testing.assert_allclose(up - bare, 2.0)
    prior.forget(0)
    np.testing.assert_allclose(prior.torque(forth, rest, rest, 0) - bare, 0.0, atol=1e-12)


def test_it_is_packed_whole_and_old_files_have_none() -> None:
    model = planar()
    prior = Prior(model, None, np.ones((model.n, width(R, (0.1,)))), radii=R, speeds=(0.1,))
    options, arrays = prior.pack()
    again = unpack(options, arrays, model)
    assert (again.radii, again.speeds) == (R, (0.1,))
    q = np.full(model.n, 0.3)
    np.testing.assert_array_equal(again.torque(q, q, q), prior.torque(q, q, q))
    old, _ = Prior(model).pack()
    assert not unpack({key: value for key, value in old.items() if key not in ("radii", "speeds")}, {}, model).radii
    with pytest.raises(ModelError, match="friction has shape"):
        Prior(model, None, np.ones((model.n, 3)), radii=R)
    assert slip_terms(np.ones((2, 2)), np.zeros(2), (0.1,)).shape == (2, width(R, (0.1,)))
