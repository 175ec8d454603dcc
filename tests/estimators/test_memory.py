"""Friction features that do not follow the measured torque."""

from __future__ import annotations

import numpy as np

from estimators.residual.memory import MemoryFeatures, MemoryParams


def test_without_load_a_steady_external_torque_changes_no_feature() -> None:
    """With it, where friction exceeds the load, z|tau| grows with the external torque itself."""
    t = np.arange(400)[:, None] * 0.01
    q, qd = 0.3 * np.sin(2.0 * t), 0.6 * np.cos(2.0 * t)
    tau = 3.0 * np.sign(qd)
    pushed = tau + 1.0

    def change(params: MemoryParams) -> np.ndarray:
        features = MemoryFeatures(1, params)
        free = features.run(q, qd, tau, 0.01)
        return features.run(q, qd, pushed, 0.01) - free

    assert not change(MemoryParams(load=False)).any()
    z_load = change(MemoryParams())[200:, 0, 1]
    assert np.mean(z_load) > 0.8


def test_step_by_step_as_in_one_go_without_load() -> None:
    rng = np.random.default_rng(0)
    q = np.cumsum(0.01 * rng.normal(size=(50, 2)), axis=0)
    qd, tau = np.gradient(q, 0.01, axis=0), rng.normal(size=(50, 2))
    features = MemoryFeatures(2, MemoryParams(load=False))
    rows = features.run(q, qd, tau, 0.01)
    features.reset()
    steps = np.array([features.step(*row, 0.01 if k else np.nan) for k, row in enumerate(zip(q, qd, tau, strict=True))])
    np.testing.assert_allclose(steps, rows, atol=1e-14)
