"""Recorded samples once more through observers, as the supervisor would have stepped them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from estimators.observer import Observer
from estimators.rigid_body import RigidBodyModel
from estimators.wrench import contact_wrench, point_contact_force

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What one observer said; NaN where it knew nothing, and in the wrench where it was not asked for one."""

    tau_ext: Array
    """(m, n) N·m."""
    sd: Array
    """Its standard deviation, (m, n) N·m."""
    nis: Array
    """(m,)."""
    wrench: Array
    """At the TCP, base axes, environment on robot, (m, 6) N, N·m; :func:`estimators.wrench.contact_wrench`."""
    wrench_sd: Array
    force: Array
    """The same for a contact without moment, (m, 3) N; :func:`estimators.wrench.point_contact_force`."""
    force_sd: Array


def replay(
    model: RigidBodyModel,
    observers: Sequence[Observer],
    q: Array,
    qd: Array,
    tau: Array,
    dt: float,
    asked: npt.NDArray[np.bool_] | None = None,
) -> list[Replayed]:
    """Every observer of ``observers`` along q rad, qd rad/s, tau N·m, all (m, n), every ``dt`` s, as they are set up.

    ``asked`` (m,): samples at which the wrench is wanted, too; none by default.
    """
    m, n = q.shape
    found = [
        Replayed(*(np.full(shape, math.nan) for shape in ((m, n), (m, n), m, (m, 6), (m, 6), (m, 3), (m, 3))))
        for _ in observers
    ]
    q, qd, tau = (np.ascontiguousarray(part, dtype=np.float64) for part in (q, qd, tau))
    for k in range(m):
        dyn = model.update(q[k], qd[k])
        for observer, out in zip(observers, found, strict=True):
            estimate = observer.step(tau[k], dyn, dt if k else math.nan)
            out.tau_ext[k], out.nis[k] = estimate.tau_ext, estimate.nis
            out.sd[k] = np.sqrt(estimate.covariance.diagonal())
            if asked is not None and asked[k]:
                F, cov = contact_wrench(dyn.J, estimate.tau_ext, estimate.covariance)
                out.wrench[k], out.wrench_sd[k] = F, np.sqrt(cov.diagonal())
                F, cov = point_contact_force(dyn.J, estimate.tau_ext, estimate.covariance)
                out.force[k], out.force_sd[k] = F, np.sqrt(cov.diagonal())
    return found
