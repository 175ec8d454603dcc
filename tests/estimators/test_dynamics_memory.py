"""Friction with a memory in the physics of a semi-parametric model: learnt, kept, and followed motion by motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from estimators.dynamics import predictor as files
from estimators.dynamics.memory import Memory, Track, along, flicker
from estimators.dynamics.predictor import DynamicsPredictor
from estimators.dynamics.prior import Prior, regress, unpack
from estimators.dynamics.samples import Samples
from estimators.errors import ModelError, ParameterError
from tests.estimators.dynamics_arm import moved, planar
from tests.estimators.test_dynamics_machine import drawn

MEMORY = Memory((2e-3, 2e-2), 1e-5)
COULOMB = np.array([1.5, 0.6])


def rested(trajectories: int, seed: int) -> Samples:
    """Motions whose joints come to rest now and then, with friction that stays as it was at the stop."""
    base = moved(trajectories, seed, samples=400)
    q = base.q.copy()
    hold = (np.arange(len(q)) // 40) % 3 == 2
    for k in np.flatnonzero(hold):
        if base.trajectory[k] == base.trajectory[k - 1]:
            q[k] = q[k - 1]
    zero = np.zeros_like(q)
    model = planar()
    held = Samples(q, zero, zero, zero, base.trajectory)
    friction = along(Memory((5e-3,), 0.0), held)[:, :, 0] * COULOMB
    gravity = np.array([model.rnea(row, np.zeros(2), np.zeros(2)) for row in q])
    return Samples(q, zero, zero, gravity + friction, base.trajectory)


def test_states_go_to_one_within_a_few_travels_and_stay_at_standstill() -> None:
    track = Track(Memory((1e-3,), 1e-4), 1)
    for q in np.linspace(0.0, 0.02, 50):
        track.to(np.array([q]))
    assert track.z[0, 0] == pytest.approx(1.0, abs=1e-6)
    for q in 0.02 + 0.9e-4 * np.array([0.0, -1.0, 0.5, -1.0]):
        track.to(np.array([q]))
    assert track.z[0, 0] == pytest.approx(1.0, abs=1e-6), "flicker within the play is no motion"
    track.to(np.array([np.nan]))
    track.to(np.array([0.01]))
    assert track.z[0, 0] == pytest.approx(-1.0, abs=1e-3)


def test_flicker_is_found_where_joints_stand() -> None:
    rng = np.random.default_rng(0)
    q = np.concatenate((np.linspace(0.0, 1.0, 100), 1.0 + rng.uniform(-3e-4, 3e-4, 200)))[:, None]
    qd = np.concatenate((np.full(100, 1.0), np.zeros(200)))[:, None]
    zero = np.zeros_like(q)
    samples = Samples(q, qd, zero, zero, np.zeros(300, dtype=np.int64))
    assert flicker(samples) == pytest.approx(3e-4, rel=0.3)
    assert flicker(samples.at(np.arange(100))) == 0.0


def test_what_velocity_does_not_say_is_learnt_from_the_path(tmp_path: Path) -> None:
    train, test = rested(6, 1), rested(2, 2)
    forgetful = regress(planar(), train, widths=(0.02,))
    memory = regress(planar(), train, widths=(0.02,), memory=MEMORY)
    error = [np.sqrt(np.mean((prior.of(test) - test.tau) ** 2, axis=0)) for prior in (forgetful, memory)]
    assert (error[0] > 0.6 * COULOMB).all()
    assert (error[1] < 0.4 * error[0]).all()
    again = unpack(*memory.pack(), planar())
    assert again.memory == MEMORY
    np.testing.assert_allclose(again.of(test), memory.of(test), rtol=1e-12)

    one = DynamicsPredictor(drawn(4, (), True), memory)
    one.save(tmp_path / "model.npz")
    fast = files.load(tmp_path / "model.npz", planar())
    assert fast.remembers
    assert not DynamicsPredictor(drawn(4, (), True), forgetful).remembers
    own = test.of([0])
    bare = DynamicsPredictor(drawn(4, (), True))
    expected = memory.of(own) + bare.steps(own.q, own.qd, own.qdd)[0]
    for _ in range(2):
        fast.forget()
        told = [fast.step(*row)[0].copy() for row in zip(own.q, own.qd, own.qdd, strict=True)]
        np.testing.assert_allclose(told, expected, rtol=1e-9, atol=1e-9)


def test_two_motions_at_once_do_not_mix() -> None:
    prior = regress(planar(), rested(6, 1), widths=(0.02,), memory=MEMORY)
    motions = [rested(1, seed) for seed in (3, 4)]
    model = DynamicsPredictor(drawn(4, (), True), prior)
    bare = DynamicsPredictor(drawn(4, (), True))
    told = []
    for k in range(len(motions[0])):
        q, qd, qdd = (np.stack([getattr(each, name)[k] for each in motions]) for name in ("q", "qd", "qdd"))
        told.append(model.steps(q, qd, qdd)[0].copy())
    for s, motion in enumerate(motions):
        expected = prior.of(motion) + bare.steps(motion.q, motion.qd, motion.qdd)[0]
        np.testing.assert_allclose([row[s] for row in told], expected, rtol=1e-9, atol=1e-9)


def test_compiled_and_plain_friction_agree() -> None:
    prior = regress(planar(), rested(6, 1), widths=(0.02,), loaded=True, memory=MEMORY)
    rows = np.random.default_rng(5).standard_normal((6, 3, 2))
    found = []
    for way in (True, False):
        prior.forget()
        tau = np.zeros((6, 2))
        for row, out in zip(rows, tau, strict=True):
            prior.add(*row, out, use_compiled=way)
        found.append(tau)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_memories_that_cannot_be_are_refused() -> None:
    with pytest.raises(ParameterError, match="travel"):
        Memory(())
    with pytest.raises(ParameterError, match="play"):
        Memory((1e-3,), float("nan"))
    with pytest.raises(ModelError, match="remembers for nothing"):
        Prior(planar(), memory=MEMORY)
