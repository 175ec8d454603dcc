"""Logs of an arm whose friction and contacts are known, and a residual model that is right about them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from drivers.contract import ArmState
from estimators.kvark.artefact import TrainedKvark
from estimators.kvark.recursion import RecursionParams
from estimators.residual.kmp import Tables
from estimators.residual.velocity import VelocityResidual
from hil.build import build_model
from hil.cell import Cell
from hil.telemetry.log import Log
from hil.telemetry.row import row_layout

N, DT = 6, 2e-3
COULOMB, VISCOUS = np.array([7.0, 9.0, 6.0, 2.0, 1.8, 1.5]), np.array([9.0, 10.0, 7.0, 2.5, 2.2, 1.8])


def friction(qd: np.ndarray) -> np.ndarray:
    return COULOMB * np.tanh(qd / 0.05) + VISCOUS * qd


def swing(
    cell: Cell, seconds: float, seed: int, *, force: float = 0.0, level: float = 1.0, name: str = "run.mcap"
) -> Log:
    """Swings against ``level`` times the friction; ``force``, N along z at the TCP, acts in the second half."""
    rng = np.random.default_rng(seed)
    model, rows = build_model(cell), round(seconds / DT)
    layout = row_layout(N)
    made = np.frombuffer(bytearray(layout.blank * rows), dtype=layout.dtype)
    t = np.arange(rows)[:, None] * DT
    amplitude, omega = rng.uniform(0.1, 0.4, N), 2.0 * np.pi * rng.uniform(0.15, 0.5, N)
    q = np.array(cell.robot.home) + amplitude * np.sin(omega * t)
    qd, qdd = amplitude * omega * np.cos(omega * t), -amplitude * omega**2 * np.sin(omega * t)
    F = np.zeros((rows, 6))
    if force:
        F[:, 2] = force * np.clip((t[:, 0] - 0.5 * seconds) / 0.2, 0.0, 1.0)
    ext = np.array([model.update(*row).J.T @ f for row, f in zip(zip(q, qd, strict=True), F, strict=True)])
    tau = np.array([model.rnea(*row) for row in zip(q, qd, qdd, strict=True)]) + level * friction(qd) - ext
    tau = np.vstack((tau[:1], tau[:-1])) + 0.1 * rng.standard_normal((rows, N))  # it lags by a tick
    made["tick"], made["t_ns"] = np.arange(rows), np.arange(rows) * round(DT * 1e9)
    made["arm_valid"], made["arm_fresh"], made["arm_state"] = 1, 1, int(ArmState.COMMANDED)
    made["q"], made["qd"], made["tau"], made["tau_cmd"] = q, qd + 1e-3 * rng.standard_normal((rows, N)), tau, tau
    made["wrench_ft"] = F
    return Log(Path(name), {"/cycle": made}, {})


def right_model(cell: Cell, data: list[dict[str, object]] | None = None, sd: float = 0.4) -> TrainedKvark:
    """Knows :func:`friction` and says that it does to within ``sd`` N·m."""
    low, m = -4.0, 4001
    grid = low + 2e-3 * np.arange(m)
    mean = np.array([friction(np.full(N, speed)) for speed in grid]).T
    tables = Tables(np.full(N, low), np.full(N, 2e-3), np.ascontiguousarray(mean), np.full((N, m), sd**2))
    params = RecursionParams(np.full(N, 400.0), np.full(N, 10.0), adapt_r="off", adapt_q="off")
    robot = hashlib.sha256(cell.urdf_xml.encode()).hexdigest()
    provenance: dict[str, object] = {} if data is None else {"data": data, "seed": 3, "versions": {}}
    return TrainedKvark(VelocityResidual(tables), params, robot, lag=1, provenance=provenance)
