"""One (robot, method): learnt, tuned, calibrated, scored. The result is plain JSON, the traces are arrays."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark import band, calibration, methods, scoring
from estimators.kvark.methods import Tuned
from estimators.kvark.recursion import RecursionParams
from hil.reproduce.kvark.calibration import BAND, Calibrated, calibrate
from hil.reproduce.kvark.case import CALIBRATE, FREE, SCORED, TRAIN, TUNE, VALIDATE, Case
from hil.reproduce.kvark.detection import detect
from hil.reproduce.kvark.learning import Seer, seen_by

Array = npt.NDArray[np.float64]

BANDED = ("kvark", "kvark_semi")
"""Methods whose reported band has terms for drift and load, see :mod:`estimators.kvark.band`."""
TRACE_STEP = 20
"""Samples of a run for each one of a trace."""


def run_trial(case: Case, name: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Result and traces of the method ``name`` on ``case``. Raises ParameterError for one that does not exist."""
    method = methods.method(name)
    begun = time.perf_counter()
    seer = seen_by(case, method.residual)
    learnt = time.perf_counter()
    tuned = methods.tune(method, seer.residual, [seer(run) for run in TUNE])
    calibrated = calibrate(tuned, seer(CALIBRATE))
    result: dict[str, Any] = {
        "method": name,
        "family": case.family,
        "case": case.name,
        "residual": method.residual,
        "residual_rmse": _residual_rmse(case, seer),
        "injected": float(tuned.rmse.mean()),
        "scale": calibrated.scale,
        "threshold": calibrated.threshold,
        "settings": _settings(tuned),
        "tests": {},
    }
    traces: dict[str, Array] = {}
    for test in (*FREE, *SCORED):
        result["tests"][test], trace = _score(case, tuned, seer, test, calibrated)
        traces |= {f"{test}/{key}": value for key, value in trace.items()}
    if name in BANDED and tuned.params is not None:
        for test, numbers in _banded(case, tuned.params, seer).items():
            result["tests"][test]["band"] = numbers
    result["score"] = float(np.mean([np.mean(result["tests"][test]["rmse"]) for test in SCORED]))
    result["detection"] = detect(tuned, [seer(run) for run in FREE], calibrated)
    result["seconds"] = {"learnt": learnt - begun, "all": time.perf_counter() - begun}
    return result, traces


def _banded(case: Case, params: RecursionParams, seer: Seer) -> dict[str, dict[str, float]]:
    """What the band with terms for drift and load says of each test; calibrated on contact-free runs alone."""
    speed = np.max([np.abs(case.runs[run]["qd"]).max(axis=0) for run in TRAIN], axis=0)
    shipped = calibration.calibrate([seer.recording(run) for run in (*TUNE, CALIBRATE)], params, speed)
    found = {}
    for test in (*FREE, *SCORED):
        r = seer.recording(test)
        banded = band.replay(r.q, r.qd, r.y, r.mean, r.variance, r.dt, params, shipped.band)
        truth = case.runs[test]["tau_ext"]
        score = scoring.score(banded.x, banded.variance(shipped.band), banded.nis, truth, shipped.constant, r.dt)
        found[test] = {
            "rmse": score.mean_rmse, "coverage": score.coverage, "sigma": score.sigma, "nees": score.nees,
            "nll": score.nll, "nll_constant": score.nll_constant,
        }  # fmt: skip
    return found


def _settings(tuned: Tuned) -> dict[str, Any]:
    if tuned.params is None:
        return {"bandwidth": tuned.bandwidth}
    p = tuned.params
    return {"kappa": (p.q_rate / p.r_empirical).tolist(), "colour": p.colour, "window_q": p.window_q}


def _residual_rmse(case: Case, seer: Seer) -> dict[str, list[float]]:
    """RMS (n,) of what the model leaves of the labels of contact-free runs that it was not trained on."""
    found = {}
    for name in (VALIDATE, CALIBRATE, *FREE):
        _, left = virtual_measurement.labels(case.runs[name]["qd"], seer(name).y, case.dt)
        found[name] = np.sqrt(np.mean(left**2, axis=0)).tolist()
    return found


def _score(
    case: Case, tuned: Tuned, seer: Seer, test: str, calibrated: Calibrated
) -> tuple[dict[str, Any], dict[str, Array]]:
    dt, seen, truth = case.dt, seer(test), case.runs[test]["tau_ext"]
    (x, P, nis), stated = tuned.replay(seen)
    variance = calibrated.scale**2 * stated
    score = scoring.score(x, variance, nis, truth, calibrated.constant, dt)
    first = round(scoring.SKIP / dt)
    found: dict[str, Any] = {key: np.asarray(value).tolist() for key, value in score._asdict().items()} | {
        "coverage_filter_alone": float(np.mean(((x - truth) ** 2 <= BAND**2 * P)[first:])),
        "coverage_uncalibrated": float(np.mean(((x - truth) ** 2 <= BAND**2 * stated)[first:])),
    }
    trace = {"x": x[::TRACE_STEP], "sd": np.sqrt(variance[::TRACE_STEP]), "truth": truth[::TRACE_STEP]}
    if test.startswith("test_load_"):
        apparent = free_minus_loaded(case, test)
        found["rmse_apparent"] = scoring.rms(x - apparent, dt).tolist()
        found["apparent_error"] = scoring.rms(apparent - truth, dt).tolist()
        trace["apparent"] = apparent[::TRACE_STEP]
    wrench = case.runs[test].get("wrench")
    if wrench is not None:
        F, f = scoring.wrenches(seen.J, x, variance), scoring.point_forces(seen.J, x, variance)
        found["wrench_rmse"] = scoring.rms(F - wrench, dt).tolist()
        found["force_rmse"] = scoring.rms(f - wrench[:, :3], dt).tolist()
        trace |= {"force": f[::TRACE_STEP], "force_truth": wrench[::TRACE_STEP, :3]}
    return found, trace


def free_minus_loaded(case: Case, loaded: str) -> Array:
    """External torque (m, n) N·m as the difference of two runs of one trajectory: motor torque free minus loaded.

    In our sign the environment's torque is what the motor need not give. Low-passed as labels are; what the second run
    follows differently, and friction that grows with load, are in it.
    """
    free = case.runs[loaded.replace("_load_", "_free_")]
    difference: Array = virtual_measurement.smooth(free["tau"] - case.runs[loaded]["tau"], case.dt)
    return difference
