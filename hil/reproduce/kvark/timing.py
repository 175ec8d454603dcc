"""Time per sample of each observer, the rigid-body model included, as a cycle calls it (Fig. 10)."""

from __future__ import annotations

import gc
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators.kvark import methods
from estimators.kvark.recursion import RecursionParams
from hil.reproduce.kvark.case import VALIDATE, Case
from hil.reproduce.kvark.learning import fitted

Array = npt.NDArray[np.float64]

TIMED = ("momentum", "dkf", "gmr_gp", "gpadkf", "nnadkf", "kvark", "kvark_semi")
SAMPLES = 4000
_WARM = 500


def timing(case: Case) -> tuple[dict[str, Any], dict[str, Array]]:
    """µs per sample, median and 99 %, of model update plus observer step, and of the model update alone.

    Parameters of the filter do not change what it costs, so those here are not tuned.
    """
    run = case.runs[VALIDATE]
    rows = [(run["q"][k].copy(), run["qd"][k].copy(), run["tau"][k].copy()) for k in range(_WARM + SAMPLES)]
    noise = np.ones(rows[0][0].size)
    found: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for name in TIMED:
        method = methods.method(name)
        residual = fitted(case, method.residual)
        params = None if method.rules is None else RecursionParams(
            noise, noise, colour=1.0 if method.rules.variance else 0.0, adapt_q=method.rules.adapt_q,
            adapt_r=method.rules.adapt_r,
        )  # fmt: skip
        tuned = methods.Tuned(method, residual, params, 10.0, noise, noise, noise[None], noise[None])
        corrected = residual.inertial_parameters is not None
        observer = tuned.observer(case.make_model() if corrected else None)
        model = case.make_model()
        spent = np.empty(len(rows))
        gc.disable()
        try:
            for k, (q, qd, tau) in enumerate(rows):
                begun = time.perf_counter_ns()
                observer.step(tau, model.update(q, qd), case.dt)
                spent[k] = time.perf_counter_ns() - begun
        finally:
            gc.enable()
        spent = spent[_WARM:] * 1e-3
        found[name] = {"p50": float(np.median(spent)), "p99": float(np.quantile(spent, 0.99))}
        arrays[name] = spent
    model, spent = case.make_model(), np.empty(len(rows))
    for k, (q, qd, _) in enumerate(rows):
        begun = time.perf_counter_ns()
        model.update(q, qd)
        spent[k] = time.perf_counter_ns() - begun
    found["model"] = {"p50": float(np.median(spent[_WARM:]) * 1e-3), "p99": float(np.quantile(spent, 0.99) * 1e-3)}
    return {"samples": SAMPLES, "microseconds": found}, arrays
