"""Bad samples at the K-VARK observer: never an exception, never a finite estimate that is wrong, and soon well again.

All on both ways of computing, by machine code and by numpy alone, which have to agree throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from arms import PLANAR

from estimators.compiled import COMPILED
from estimators.differentiator import FadingMemoryDifferentiator
from estimators.errors import ModelError, ParameterError
from estimators.kvark.observer import KvarkObserver
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables
from estimators.residual.memory import MemoryParams
from estimators.residual.remembering import MemoryResidual
from estimators.residual.velocity import VelocityResidual
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench, point_contact_force

DT = 1e-3
VISCOUS = np.array([2.0, 1.0])
KINDS = ["velocity", "semiparametric"]
MEMORY = MemoryParams(travel=(3e-3, 1e-3), smooth=(0.02,), harmonics=2, ripple=(20.0,))


def arm() -> RigidBodyModel:
    return RigidBodyModel(PLANAR, armature=np.array([0.5, 0.2]))


def tables() -> Tables:
    grid = np.linspace(-5.0, 5.0, 1001)
    variance = 0.05 + 0.1 * np.abs(np.vstack((grid, grid)))
    return Tables(np.full(2, -5.0), np.full(2, grid[1] - grid[0]), VISCOUS[:, None] * grid, variance)


def observer(kind: str, use_compiled: bool = COMPILED, weights: float = 0.0, **options: object) -> KvarkObserver:
    params = RecursionParams(np.full(2, 50.0), np.full(2, 0.05), colour=3.0)
    if kind == "velocity":
        return KvarkObserver(VelocityResidual(tables(), use_compiled), params, use_compiled=use_compiled, **options)
    w = weights * np.random.default_rng(0).standard_normal((2, MEMORY.count))
    residual = MemoryResidual(MEMORY, w, arm().inertial_parameters(), tables(), use_compiled)
    return KvarkObserver(residual, params, model=arm(), use_compiled=use_compiled, **options)


@dataclass
class Samples:
    """A swing that the model explains to the last bit, as a driver gives it: q, differentiated qd, tau, dt."""

    q: np.ndarray
    tau: np.ndarray
    dt: np.ndarray

    def through(self, seen: KvarkObserver) -> tuple[np.ndarray, np.ndarray]:
        """tau_ext (m, n) and its variance (m, n)."""
        model, differentiator = arm(), FadingMemoryDifferentiator(150.0)
        x, P, t = np.empty_like(self.q), np.empty_like(self.q), 0
        for k in range(len(self.q)):
            t += round((self.dt[k] if math.isfinite(self.dt[k]) else 0.0) * 1e9)
            qd, _ = differentiator.update(self.q[k], t)
            found = seen.step(self.tau[k], model.update(self.q[k].copy(), qd), self.dt[k])
            x[k], P[k] = found.tau_ext, found.covariance.diagonal()
        return x, P


def swing(seconds: float = 0.8) -> Samples:
    model = arm()
    t = np.arange(round(seconds / DT))[:, None] * DT
    omega = np.array([1.5, 2.0])
    q = np.array([0.3, -0.4]) + 0.3 * np.sin(omega * t)
    qd, qdd = 0.3 * omega * np.cos(omega * t), -0.3 * omega**2 * np.sin(omega * t)
    tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + VISCOUS * qd
    dt = np.full(len(t), DT)
    dt[0] = math.nan
    return Samples(q, tau, dt)


FAULTS = [
    "nan tau", "nan q", "infinite tau", "no time", "back in time", "nan dt", "time jump", "repeated", "frozen joint",
]  # fmt: skip


def spoilt(what: str, at: int = 400, long: int = 60) -> Samples:
    s = swing()
    if what == "nan tau":
        s.tau[at, 1] = math.nan
    elif what == "nan q":
        s.q[at, 0] = math.nan
    elif what == "infinite tau":
        s.tau[at, 0] = math.inf
    elif what == "no time":
        s.dt[at] = 0.0
    elif what == "back in time":
        s.dt[at] = -DT
    elif what == "nan dt":
        s.dt[at] = math.nan
    elif what == "time jump":
        keep = np.r_[0:at, at + 50 : len(s.q)]
        s = Samples(s.q[keep], s.tau[keep], s.dt[keep])
        s.dt[at] = 51 * DT
    elif what == "repeated":
        s.q[at] = s.q[at - 1]
        s.tau[at] = s.tau[at - 1]
    else:
        s.q[at : at + long, 0] = s.q[at - 1, 0]
    return s


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", FAULTS)
def test_a_bad_sample_is_not_known_and_the_good_ones_after_it_are(what: str, kind: str) -> None:
    """Well means: as far off as a healthy run is, whose velocities lag by their differentiation, and 0.1 N·m."""
    healthy, _ = swing().through(observer(kind))
    usual = float(np.abs(healthy[300:]).max())
    assert usual < 0.7
    samples = spoilt(what)
    x, P = samples.through(observer(kind))
    assert np.isnan(x[400]).all(), "the sample itself"
    assert np.isnan(P[400]).all()
    if what == "frozen joint":
        assert np.isnan(x[400:460]).all(), "as long as the encoder stands"
    # A velocity that was differentiated across the fault is wrong for a while; the velocity's own memory is 1/150 s.
    since = 400 + (60 if what == "frozen joint" else 0) + 80
    assert np.isfinite(x[since:]).all()
    assert np.abs(x[since:]).max() < usual + 0.1, "well again"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["none", *FAULTS])
def test_machine_code_and_numpy_give_the_same_numbers(what: str, kind: str) -> None:
    options = {"scale": 1.4, "level": 0.1, "lag": 1, "friction_scale": np.array([1.1, 0.9])}
    samples = swing() if what == "none" else spoilt(what)
    found = [samples.through(observer(kind, fast, 0.3, **options)) for fast in (True, False)]
    for one, other in zip(*found, strict=True):
        assert (np.isnan(one) == np.isnan(other)).all()
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    assert np.isfinite(found[0][0][5:380]).all()


@pytest.mark.parametrize("rules", [("off", "off"), ("innovation", "residual"), ("literal", "literal")])
def test_both_ways_agree_under_every_rule_of_adaptation(rules: tuple[str, str]) -> None:
    samples = swing(0.4)
    params = RecursionParams(np.full(2, 5.0), np.full(2, 0.05), adapt_q=rules[0], adapt_r=rules[1])  # type: ignore[arg-type]
    found = [
        samples.through(KvarkObserver(VelocityResidual(tables(), fast), params, use_compiled=fast))
        for fast in (True, False)
    ]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_a_joint_that_comes_to_rest_is_not_taken_for_a_stuck_encoder() -> None:
    """Braked at 30 rad/s², which no gear of these arms does, then standing to the last bit."""
    t = np.arange(600) * DT
    speed = np.maximum(0.5 - 30.0 * np.maximum(t - 0.2, 0.0), 0.0)
    q = np.stack([np.cumsum(speed) * DT, np.zeros_like(t)], axis=1)
    q = np.round(q / 4e-6) * 4e-6
    dt = np.full(600, DT)
    dt[0] = math.nan
    model = arm()
    x, _ = Samples(q, np.tile(model.gravity(np.zeros(2)), (600, 1)), dt).through(observer("velocity"))
    assert np.isfinite(x[1:]).all()


def test_a_model_of_another_size_is_refused_when_it_is_built() -> None:
    params = RecursionParams(np.full(3, 50.0), np.full(3, 0.05))
    with pytest.raises(ParameterError, match="residual model of 2 joints, filter of 3"):
        KvarkObserver(VelocityResidual(tables()), params)

    class Liar(VelocityResidual):
        def step(self, q: np.ndarray, qd: np.ndarray, tau: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros(3), np.ones(3)

    with pytest.raises(ParameterError, match=r"gives shapes \[\(3,\), \(3,\)\]; expected \(2,\)"):
        KvarkObserver(Liar(tables()), RecursionParams(np.full(2, 50.0), np.full(2, 0.05)))
    other = MemoryResidual(MEMORY, np.zeros((2, MEMORY.count)), np.zeros(22), tables())
    with pytest.raises(ModelError, match="no real body"):
        KvarkObserver(other, RecursionParams(np.full(2, 50.0), np.full(2, 0.05)), model=arm())


def test_a_singular_pose_leaves_the_wrench_finite_and_unsure_where_no_joint_feels_it() -> None:
    model = arm()
    seen = observer("velocity")
    q, qd = np.zeros(2), np.zeros(2)
    tau = model.gravity(q)
    for k in range(50):
        dyn = model.update(q, qd)
        found = seen.step(tau, dyn, DT if k else math.nan)
    for wrench, cov in (
        contact_wrench(dyn.J, found.tau_ext, found.covariance),
        point_contact_force(dyn.J, found.tau_ext, found.covariance),
    ):
        assert np.isfinite(wrench).all()
        sd = np.sqrt(cov.diagonal())
        assert sd[0] == pytest.approx(100.0, rel=1e-6), "along the stretched arm only the prior speaks"
        assert (np.linalg.eigvalsh(cov) > 0.0).all()
