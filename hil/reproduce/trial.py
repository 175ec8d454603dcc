"""One (robot, method): learnt, tuned, calibrated, scored. The result is plain JSON."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from hil.reproduce import detection
from hil.reproduce.case import CALIBRATE, FREE, SCORED, VALIDATE, Case
from hil.reproduce.filtering import COVERED, SETTLE, Seer, Tuned, calibrate, estimate, rmse, spread, tune
from hil.reproduce.methods import METHODS, Method, residual_of

Array = npt.NDArray[np.float64]

TRACE_STEP = 20
"""Samples of a run for each one of a trace."""
PRIOR_FORCE, PRIOR_MOMENT = 100.0, 20.0
"""Of the wrench, N and N·m: a few times what may act."""
_SUBSAMPLE = 10


def run_trial(case: Case, name: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Result and traces of the method ``name`` on ``case``. Raises KeyError for a method that does not exist."""
    method = METHODS[name]
    begun = time.perf_counter()
    seer = seer_of(case, method)
    tuned = tune(method, seer)
    scale, constant, quiet = calibrate(method, tuned, seer)
    del quiet
    threshold = detection.threshold(method, tuned, seer, scale, constant)
    result: dict[str, Any] = {
        "method": name,
        "family": case.family,
        "case": case.name,
        "residual_rmse": _residual_rmse(case, seer),
        "injected": tuned.injected,
        "scale": scale,
        "filter": _filter(method, tuned),
        "tests": {},
    }
    traces: dict[str, Array] = {}
    for test in (*FREE, *SCORED):
        result["tests"][test], trace = _score(case, method, tuned, seer, test, scale, constant)
        traces |= {f"{test}/{key}": value for key, value in trace.items()}
    result["score"] = float(np.mean([np.mean(result["tests"][test]["rmse"]) for test in SCORED]))
    result["detection"] = detection.score(method, tuned, seer, scale, constant, threshold)
    result["seconds"] = time.perf_counter() - begun
    return result, traces


def seer_of(case: Case, method: Method) -> Seer:
    """The view of the method's residual model, shared by all methods that have the same one."""
    key = f"seer {method.residual}"
    if key not in case.kept:
        case.kept[key] = Seer(case, residual_of(case, method))
    return case.kept[key]  # type: ignore[return-value]


def _filter(method: Method, tuned: Tuned) -> dict[str, Any]:
    if method.low_pass:
        return {"bandwidth": tuned.bandwidth}
    p = tuned.params
    kappa = float(np.median(p.q_rate / p.r_empirical))
    return {"kappa": kappa, "colour": p.colour, "window_q": p.window_q if method.adapt_q != "off" else None}


def _residual_rmse(case: Case, seer: Seer) -> dict[str, list[float]]:
    """RMS (n,) of what the model leaves of the labels of contact-free runs that it was not trained on."""
    from estimators import virtual_measurement

    found = {}
    for name in (VALIDATE, CALIBRATE, *FREE):
        _, left = virtual_measurement.labels(case.runs[name]["qd"], seer(name).y, case.dt)
        found[name] = np.sqrt(np.mean(left**2, axis=0)).tolist()
    return found


def _score(
    case: Case, method: Method, tuned: Tuned, seer: Seer, test: str, scale: float, constant: Array
) -> tuple[dict[str, Any], dict[str, Array]]:
    dt, seen, truth = case.dt, seer(test), case.runs[test]["tau_ext"]
    x, P = estimate(method, tuned, seen, dt)
    variance = scale**2 * spread(method, P, seen, constant)
    skip = round(SETTLE / dt)
    error, reported = (x - truth)[skip:], variance[skip:]
    square, ratio = error**2, error**2 / reported
    flat = np.broadcast_to(constant, error.shape)
    found: dict[str, Any] = {
        "rmse": rmse(x - truth, dt).tolist(),
        "coverage": float(np.mean(ratio < COVERED**2)),
        "coverage_filter_alone": float(np.mean(square < COVERED**2 * P[skip:])),
        "nees": float(np.mean(ratio)),
        "sd": float(np.sqrt(reported).mean()),
        "nll": _nll(square, reported),
        "nll_constant": _nll(square, flat),
    }
    trace = {"x": x[::TRACE_STEP], "sd": np.sqrt(variance[::TRACE_STEP]), "truth": truth[::TRACE_STEP]}
    if "wrench" in case.runs[test]:
        rows = slice(skip, None, _SUBSAMPLE)
        F = case.runs[test]["wrench"][rows]
        full = wrenches(seen.J[rows], x[rows], variance[rows], 6) - F
        point = wrenches(seen.J[rows], x[rows], variance[rows], 3) - F[:, :3]
        found["wrench_rmse"] = np.sqrt(np.mean(full**2, axis=0)).tolist()
        found["force_rmse"] = np.sqrt(np.mean(point**2, axis=0)).tolist()
        trace["force"] = wrenches(seen.J[::TRACE_STEP], x[::TRACE_STEP], variance[::TRACE_STEP], 3)
        trace["force_truth"] = case.runs[test]["wrench"][::TRACE_STEP, :3]
    return found, trace


def _nll(square: Array, variance: Array) -> float:
    return float(np.mean(0.5 * np.log(2.0 * np.pi * variance) + 0.5 * square / variance))


def wrenches(J: Array, x: Array, variance: Array, rows: int) -> Array:
    """Wrenches (m, rows) by :func:`estimators.wrench.contact_wrench` for diagonal covariances, many at once.

    ``rows`` 6: the whole wrench; 3: a point contact without moments.
    """
    J = J[:, :rows]
    weighted = J / variance[:, None, :]
    prior = np.diag([PRIOR_FORCE**-2] * 3 + [PRIOR_MOMENT**-2] * (rows - 3))
    normal = weighted @ J.transpose(0, 2, 1) + prior
    F: Array = np.linalg.solve(normal, weighted @ x[:, :, None])[:, :, 0]
    return F
