"""The mocked cobot through its CAN bus: free motions to learn from, one loaded, and polishing against the F/T sensor.

In lockstep, by a session: drivers, supervisor and mock devices as in every run of a cell. The observers get the samples
that the supervisor recorded, one by one, as they would in its cycle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark import methods, scoring
from estimators.kvark.replay import measure
from estimators.residual.memory import MemoryParams
from estimators.residual.semiparametric import Run
from estimators.rigid_body import BodyInertia
from hil import session
from hil.build import build_model
from hil.cell import Cell, load_cell
from hil.motion.joint import JointSinusoids
from hil.reproduce.kvark.calibration import BAND, calibrate

Array = npt.NDArray[np.float64]

CELL = "cobot"
OBSERVED = ("momentum", "gmr_gp", "kvark_literal", "kvark", "kvark_semi")
PAYLOAD = 2.0
"""kg."""
PAYLOAD_AT = (0.0, 0.0, 0.15)
"""Its centre of mass, flange frame, m."""
LAG = 1
"""Ticks by which the drives' measured torque lags."""
_PRESSING = 5.0
"""Force at the sensor from which on the tool counts as in contact, N."""
_ASIDE = (-0.20, -1.60, -1.70, -1.20, 1.40, 0.50)
_TARGETS = (
    (0.10, -1.50, -1.80, -1.30, 1.50, 0.20), (-0.30, -1.70, -1.60, -1.00, 1.30, 0.70),
    (0.20, -1.45, -1.75, -1.45, 1.65, 0.00), (-0.10, -1.65, -1.75, -1.10, 1.35, 0.40),
)  # fmt: skip
_DWELL = 0.5
TRACE_STEP = 10


def polish_on_bus(seed: int = 0) -> tuple[dict[str, Any], dict[str, Array]]:
    """Scores of each observer against sensor and truth, and traces. Raises what a session raises."""
    cell = load_cell(CELL)
    amplitude = np.array([0.20, 0.12, 0.20, 0.20, 0.25, 0.30])
    rate = np.array([0.25, 0.30, 0.35, 0.40, 0.45, 0.55])
    runs: dict[str, Run] = {}
    with session.open(cell, seed=seed) as arm:
        arm.bring_up()
        arm.enable()
        arm.move_to(_ASIDE)

        def swing(name: str, size: float, speed: float, seconds: float) -> None:
            runs[name] = _run(arm.run(JointSinusoids(size * amplitude, speed * rate, seconds)), arm.dt)

        swing("train0", 1.0, 1.0, 10.0)
        swing("train1", 0.6, 0.5, 10.0)
        swing("train2", 1.2, 0.8, 10.0)
        swing("validate", 0.9, 0.9, 10.0)
        for name, order in (("tune", (0, 1, 2)), ("calibrate", (3, 0, 1))):
            parts = []
            for target in order:
                parts += [_run(arm.move_to(_TARGETS[target]), arm.dt), _run(arm.step(round(_DWELL / arm.dt)), arm.dt)]
            runs[name] = _joined(parts)
        arm.move_to(_ASIDE)
        swing("free", 0.8, 0.7, 10.0)
        arm.mock.attach(PAYLOAD, PAYLOAD_AT)
        arm.step(round(1.0 / arm.dt))
        loaded = arm.run(JointSinusoids(0.8 * amplitude, 0.7 * rate, 10.0))
        runs["loaded"] = _run(loaded, arm.dt)
        arm.mock.release()
        arm.step(round(0.5 / arm.dt))
        arm.move_to(cell.robot.home)
        polish = arm.run("polish")
        runs["polish"] = _run(polish, arm.dt)
        truth = arm.truth()
    model = build_model(cell)
    memory = MemoryParams(ripple=(2.0 * 101.0,))
    sensor = polish["wrench_ft"]
    first = round(scoring.SKIP / arm.dt)
    pressing = np.linalg.norm(sensor[:, :3], axis=1) > _PRESSING
    pressing[:first] = False
    tau_loaded, tau_polish = _weight(cell, loaded, arm.dt), _true_torque(polish, truth)
    result: dict[str, Any] = {
        "cell": CELL, "seed": seed, "cycles": polish.cycles, "pressing_s": float(pressing.sum() * arm.dt),
        "trained_s": sum(len(runs[f"train{k}"].q) for k in range(3)) * arm.dt, "methods": {},
    }  # fmt: skip
    arrays = {"t": polish["t"][::TRACE_STEP], "sensor": sensor[::TRACE_STEP, :3], "truth": tau_polish[::TRACE_STEP]}
    for name in OBSERVED:
        method = methods.method(name)
        residual = methods.fit_residual(
            method.residual, model, [runs[f"train{k}"] for k in range(3)], [runs["validate"]], memory=memory, lag=LAG
        )
        seen = {each: measure(model, residual, run, LAG) for each, run in runs.items() if not each.startswith("train")}
        tuned = methods.tune(method, residual, [seen["validate"], seen["tune"]])
        scale = calibrate(tuned, seen["calibrate"]).scale
        (x, _, _), variance = tuned.replay(seen["polish"])
        variance = scale**2 * variance
        force = scoring.point_forces(seen["polish"].J, x, variance)
        whole = scoring.wrenches(seen["polish"].J, x, variance)
        error = (force - sensor[:, :3])[pressing]
        (x_loaded, _, _), _ = tuned.replay(seen["loaded"])
        within = np.abs(x - tau_polish)[first:] <= BAND * np.sqrt(variance[first:])
        result["methods"][name] = {
            "force_rmse": np.sqrt(np.mean(error**2, axis=0)).tolist(),
            "force_vector_rmse": float(np.sqrt(np.mean(np.sum(error**2, axis=1)))),
            "wrench_rmse": np.sqrt(np.mean((whole - sensor)[pressing] ** 2, axis=0)).tolist(),
            "polish_rmse": scoring.rms(x - tau_polish, arm.dt).tolist(),
            "loaded_rmse": scoring.rms(x_loaded - tau_loaded, arm.dt).tolist(),
            "coverage": float(np.mean(within)),
            "scale": scale,
        }
        arrays |= {f"{name}/x": x[::TRACE_STEP], f"{name}/force": force[::TRACE_STEP]}
    return result, arrays


def _run(trace: Any, dt: float) -> Run:
    q, qd, tau = (np.ascontiguousarray(trace[name], dtype=np.float64) for name in ("q", "qd", "tau"))
    return Run(q, qd, tau, dt)


def _joined(parts: list[Run]) -> Run:
    q, qd, tau = (np.concatenate([getattr(part, name) for part in parts]) for name in ("q", "qd", "tau"))
    return Run(q, qd, tau, parts[0].dt)


def _weight(cell: Cell, trace: Any, dt: float) -> Array:
    """External torque (m, n) of the payload: what the arm needs less without it, by the nominal model."""
    bare, model = build_model(cell), build_model(cell)
    model.set_payload(BodyInertia(PAYLOAD, np.array(PAYLOAD_AT), 1e-6 * np.eye(3)))
    q, qd = trace["q"], trace["qd"]
    qdd = np.gradient(virtual_measurement.smooth(qd, dt), dt, axis=0)
    rows = zip(q, qd, qdd, strict=True)
    return np.array([bare.rnea(*row) - model.rnea(*row) for row in rows])


def _true_torque(trace: Any, truth: dict[str, npt.NDArray[Any]]) -> Array:
    """External torque (m, n) of the world at the trace's rows."""
    rows = np.clip(np.searchsorted(truth["t_ns"], trace["t_ns"]), 0, len(truth["t_ns"]) - 1)
    value: Array = np.asarray(truth["tau_ext"], dtype=np.float64)[rows]
    return value
