"""Recordings of a real UR10e, and what is learnt from them besides friction: drive gains, rotor inertias, a load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, filtfilt

from estimators.residual.semiparametric import Run
from estimators.rigid_body import BodyInertia, RigidBodyModel

Array = npt.NDArray[np.float64]

HELD_OUT = "ur-20_02_19_14harm50sec.csv"
"""The free run that is scored: nothing is learnt from it."""
LOAD = 2.805
"""Mass that the loaded run carries, kg, by its authors."""
_EVERY = 4
_REPEATS = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One run; ``run.tau`` with the drive gains of its authors, ``tau_ctrl`` what the controller wanted, both N·m."""

    name: str
    kind: str
    run: Run
    qdd: Array
    tau_ctrl: Array


def read(data: Path) -> list[Recording]:
    """All runs of the recording, in order. Raises OSError, KeyError and ValueError for files that are not it."""
    with np.load(data / "ur10e_real.npz", allow_pickle=False) as file:
        q, qd, qdd, tau, ctrl = (file[key].astype(np.float64) for key in ("q", "qd", "qdd", "tau", "tau_ctrl"))
        traj, dt = file["traj"], float(file["dt"])
        names, kinds = [str(x) for x in file["run_name"]], [str(x) for x in file["run_kind"]]
    found = []
    for k, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        at = traj == k
        found.append(Recording(name, kind, Run(q[at], qd[at], tau[at], dt), qdd[at], ctrl[at]))
    return found


def split(recordings: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Free runs to learn from, and every fourth of them to judge by; never the one that is scored."""
    free = [r for r in recordings if r.kind == "free" and r.name != HELD_OUT]
    return [r for k, r in enumerate(free) if k % 4 != 3], [r for k, r in enumerate(free) if k % 4 == 3]


def gain_ratio(recordings: Sequence[Recording]) -> Array:
    """Factors (6,) on the given drive gains for which the torque is the controller's target torque plus friction."""
    ratio = np.empty(6)
    for j in range(6):
        rows, values = [], []
        for r in recordings:
            b, a = butter(4, 10.0 * r.run.dt)
            # The target torque has the bandwidth of the controller, the measured one that of its low-pass: match them.
            target = filtfilt(b, a, r.tau_ctrl[:, j])
            rows.append(np.column_stack((target, _friction(r.run.qd[:, j], target)))[20:-20])
            values.append(r.run.tau[20:-20, j])
        ratio[j] = 1.0 / np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0][0]
    return ratio


def rotor_inertia(urdf: str, recordings: Sequence[Recording], gains: Array) -> Array:
    """Rotor inertias (6,) kg m² at the joints, which the URDF lacks: share of the residual that goes with ``qdd``."""
    model = RigidBodyModel(urdf, flange="tool0")
    found = np.empty(6)
    parts = []
    for r in recordings:
        q, qd, qdd = (np.ascontiguousarray(x[::_EVERY]) for x in (r.run.q, r.run.qd, r.qdd))
        nominal = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)])
        gravity = np.array([model.gravity(row) for row in q])
        parts.append((r.run.tau[::_EVERY] * gains - nominal, qd, qdd, gravity))
    residual, qd, qdd, gravity = (np.concatenate([part[k] for part in parts]) for k in range(4))
    for j in range(6):
        A = np.column_stack((qdd[:, j], gravity[:, j], _friction(qd[:, j], gravity[:, j])))
        found[j] = np.linalg.lstsq(A, residual[:, j], rcond=None)[0][0]
    return np.maximum(found, 0.01)


def _friction(qd: Array, load: Array) -> Array:
    """Columns for the friction of one joint in a regression on something else."""
    sign = np.tanh(qd / 0.02)
    parts = (np.tanh(qd / 0.01), np.tanh(qd / 0.05), qd, qd * np.abs(qd), qd / (1.0 + np.abs(qd) / 0.3),
             np.ones_like(qd), np.abs(load) * sign, load * sign)  # fmt: skip
    return np.column_stack(parts)


def load_torque(model: RigidBodyModel, run: Run, mass: float, com: Sequence[float]) -> Array:
    """tau_ext (m, 6) N·m along ``run`` of a ``mass`` kg at ``com`` in the flange frame, m; ``model`` carries none."""
    qdd = np.gradient(run.qd, run.dt, axis=0)
    rows = [np.ascontiguousarray(x) for x in (run.q, run.qd, qdd)]
    free = np.array([model.rnea(*row) for row in zip(*rows, strict=True)])
    model.set_payload(BodyInertia(mass, np.array(com), 1e-3 * mass * np.eye(3)))
    carrying = np.array([model.rnea(*row) for row in zip(*rows, strict=True)])
    model.set_payload(None)
    tau_ext: Array = free - carrying
    return tau_ext


def load_columns(model: RigidBodyModel, run: Run) -> Array:
    """∂tau_ext/∂(m, m c) (m, 6, 4) of a load at the flange, by the last link's share of the regressor."""
    qdd = np.gradient(run.qd, run.dt, axis=0)
    last = 10 * (model.n - 1)
    rows = [
        -model.inertial_regressor(*row)[:, last : last + 4]
        for row in zip(*(np.ascontiguousarray(x) for x in (run.q, run.qd, qdd)), strict=True)
    ]
    return np.array(rows)


def load_of(x: Array, sd: Array, columns: Array) -> tuple[Array, Array]:
    """Mass and first moments (4,) kg, kg·m that explain ``x`` (m, 6) N·m best, and what they cause (m, 6).

    Weighted by ``sd``; a prior of 5 kg and 0.25 kg·m, so that a direction which the motion does not show stays small.
    """
    A, b = columns / sd[..., None], x / sd
    prior = np.diag([5.0**-2] + [0.25**-2] * 3)
    normal = np.einsum("kji,kjl->il", A, A) / _REPEATS + prior
    load = np.linalg.solve(normal, np.einsum("kji,kj->i", A, b) / _REPEATS)
    return load, columns @ load
