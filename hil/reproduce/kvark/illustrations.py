"""What figures need beside the campaign's trials, computed on one robot: each a plain result and arrays to draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from estimators import virtual_measurement
from estimators.kvark import injection
from estimators.kvark.recursion import RecursionParams
from estimators.kvark.replay import replay
from estimators.residual import mixture as mixtures
from estimators.residual import train
from hil.reproduce.kvark.case import TRAIN, VALIDATE, Case
from hil.reproduce.kvark.learning import KINDS, fitted, seen_by
from hil.reproduce.kvark.timing import timing

Array = npt.NDArray[np.float64]
Found = tuple[dict[str, Any], dict[str, Array]]

UNSEEN = "test_free_fourier"
"""Run on which predictions are shown: no method has seen it."""
JOINT = 1
"""Where one joint is enough: the shoulder, whose friction is largest."""
COVERED = 1.959963984540054
_COMPONENTS = 20
_POINTS = 1500
_KEPT = 0.01
"""Share of the fast samples that stays in the sparse region of :func:`process_models`."""


def _thin(*columns: Array, most: int = _POINTS, seed: int = 0) -> list[Array]:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(columns[0]))[:most])
    return [column[chosen] for column in columns]


def components(case: Case) -> Found:
    """Mixture over velocity and residual torque of each joint, its regression, and samples (Figs 3 and 4)."""
    s, tau = case.labels(TRAIN)
    found: dict[str, Array] = {}
    share = []
    for j in range(s.shape[1]):
        fit = mixtures.fit(s[:, j], tau[:, j], _COMPONENTS)
        grid = np.linspace(s[:, j].min(), s[:, j].max(), 400)
        mean, variance = fit.regress(grid)
        at_v, at_tau = _thin(s[:, j], tau[:, j])
        found |= {
            f"weights{j}": fit.weights, f"means{j}": fit.means, f"covariances{j}": fit.covariances,
            f"grid{j}": grid, f"mean{j}": mean, f"sd{j}": np.sqrt(variance), f"s{j}": at_v, f"tau{j}": at_tau,
        }  # fmt: skip
        slow = np.abs(grid) < 0.05
        share.append(float(np.sqrt(variance[slow].mean() / max(variance[~slow].mean(), 1e-12))))
    return {"components": _COMPONENTS, "slow_over_fast_sd": share}, found


def velocity(case: Case) -> Found:
    """Residual torque over velocity, speeding up and slowing down apart (Fig. 12)."""
    s, tau = case.labels(TRAIN)
    faster = np.gradient(np.abs(s), axis=0) > 0.0
    explained, gap = [], []
    found: dict[str, Array] = {}
    for j in range(s.shape[1]):
        at_s, at_tau, at_up = _thin(s[:, j], tau[:, j], faster[:, j].astype(np.float64))
        found |= {f"s{j}": at_s, f"tau{j}": at_tau, f"up{j}": at_up}
        edges = np.quantile(s[:, j], np.linspace(0.0, 1.0, 61))
        bins = np.clip(np.digitize(s[:, j], edges) - 1, 0, 59)
        means = np.array([tau[bins == b, j].mean() if (bins == b).any() else 0.0 for b in range(60)])
        explained.append(float(1.0 - np.var(tau[:, j] - means[bins]) / np.var(tau[:, j])))
        slow = (np.abs(s[:, j]) < 0.05) & (s[:, j] > 0.0)
        up, down = tau[slow & faster[:, j], j], tau[slow & ~faster[:, j], j]
        gap.append(float(up.mean() - down.mean()) if len(up) and len(down) else float("nan"))
    return {"explained": explained, "gap_at_low_speed": gap}, found


def predictions(case: Case) -> Found:
    """Residual torque predicted on an unseen run by each model, with its band (Figs 4 to 6)."""
    y, _ = case.measured(UNSEEN)
    run = case.runs[UNSEEN]
    _, label = virtual_measurement.labels(run["qd"], y, case.dt)
    result: dict[str, Any] = {"rmse": {}, "coverage": {}}
    found = {"label": label}
    for kind in KINDS:
        seen = seen_by(case, kind)(UNSEEN)
        _, left = virtual_measurement.labels(run["qd"], seen.y, case.dt)
        every = max(1, round(1.0 / (virtual_measurement.LABEL_RATE * case.dt)))
        sd = np.sqrt(seen.variance[1:][::every])
        result["rmse"][kind] = np.sqrt(np.mean(left**2, axis=0)).tolist()
        result["coverage"][kind] = float(np.mean(np.abs(left) < COVERED * sd))
        found |= {f"{kind}/mean": label - left, f"{kind}/sd": sd}
    return result, found


def process_models(case: Case) -> Found:
    """A Kalman filter with a Gaussian process against one with a KMP, where data are dense and noisy, and where they
    are sparse (Fig. 1): one joint, fast samples thinned out before both are learnt."""
    from estimators.residual import gmr_gp

    s, tau = (part[:, JOINT] for part in case.labels(TRAIN))
    s_held, tau_held = (part[:, JOINT] for part in case.labels((VALIDATE,)))
    limit = 0.4 * float(np.abs(s).max())
    rng = np.random.default_rng(0)
    keep = (np.abs(s) < limit) | (rng.uniform(size=len(s)) < _KEPT)
    s, tau = s[keep], tau[keep]
    inside = np.abs(s_held) < limit
    kmp = train.fit_joint(s, tau, s_held[inside], tau_held[inside], 10).kmp
    process = gmr_gp.fit_joint(s, tau, s_held[inside], tau_held[inside], 10)
    models: dict[str, Callable[[Array], tuple[Array, Array]]] = {
        "kmp": lambda at: (kmp.mean(at), kmp.variance(at)),
        "gp": process.predict,
    }
    grid = np.linspace(-1.3 * float(np.abs(s_held).max()), 1.3 * float(np.abs(s_held).max()), 500)
    at_s, at_tau = _thin(s, tau)
    found = {"grid": grid, "s": at_s, "tau": at_tau}
    result: dict[str, Any] = {"joint": JOINT + 1, "limit": limit, "kept_share": _KEPT, "filters": {}}
    for name, model in models.items():
        mean, variance = model(grid)
        found |= {f"{name}/mean": mean, f"{name}/sd": np.sqrt(variance)}
        numbers, trace = _filtered(case, model, limit)
        result["filters"][name] = numbers
        found |= {f"{name}/{key}": value for key, value in trace.items()}
    return result, found


def _filtered(case: Case, model: Callable[[Array], tuple[Array, Array]], limit: float) -> Found:
    """A filter of one joint, tuned on the last training run; error and coverage by region on the validation run."""
    dt, j = case.dt, JOINT

    def prepared(name: str, seed: int) -> tuple[Array, Array, Array, Array]:
        y, J = case.measured(name)
        extra = injection.torques(J, injection.contacts(len(y), dt, np.random.default_rng(seed)))[:, j : j + 1]
        qd = case.runs[name]["qd"][:, j]
        at = np.concatenate((qd[:1], qd[:-1]))
        mean, variance = model(at)
        return y[:, j : j + 1] + mean[:, None] + extra, variance[:, None], extra, at

    y, variance, extra, _ = prepared(TRAIN[-1], 0)
    r = np.array([0.5 * float(np.nanvar(np.diff(y[1:, 0])))])
    best: tuple[float, RecursionParams] | None = None
    for kappa in 10.0 ** np.arange(-4.0, 3.1, 0.5):
        for colour in (1.0, 10.0, 100.0, 1000.0):
            params = RecursionParams(kappa * r, r, colour=colour, adapt_q="off", adapt_r="off")
            error = float(np.sqrt(np.mean((replay(y, variance, dt, params)[0] - extra)[500:] ** 2)))
            if best is None or error < best[0]:
                best = (error, params)
    assert best is not None
    y, variance, extra, at = prepared(VALIDATE, 1)
    x, P, _ = replay(y, variance, dt, best[1])
    sd = np.sqrt(P + variance)
    dense = np.abs(at) < limit
    dense[:500] = False
    sparse = ~(np.abs(at) < limit)
    sparse[:500] = False
    numbers = {}
    for name, where in (("dense", dense), ("sparse", sparse)):
        away: Array = (x - extra)[where]
        ratio = np.abs(away) / sd[where]
        numbers[name] = {
            "rmse": float(np.sqrt(np.mean(away**2))) if len(away) else float("nan"),
            "coverage": float(np.mean(ratio < COVERED)) if len(away) else float("nan"),
            "sd": float(sd[where].mean()) if len(away) else float("nan"),
            "samples": len(away),
        }
    step = slice(None, None, 10)
    return numbers, {"x": x[step, 0], "band": sd[step, 0], "truth": extra[step, 0], "at": at[step]}


def wide_mixture(case: Case) -> Found:
    """A mixture over position, velocity and acceleration of all joints (18 inputs) against one over velocity alone
    (Fig. 11)."""
    from sklearn.mixture import GaussianMixture

    def table(names: tuple[str, ...]) -> tuple[Array, Array, Array]:
        inputs, slow, targets = [], [], []
        for name in names:
            run = case.runs[name]
            s, tau = virtual_measurement.labels(run["qd"], case.measured(name)[0], case.dt)
            every = max(1, round(1.0 / (virtual_measurement.LABEL_RATE * case.dt)))
            qdd = np.gradient(virtual_measurement.smooth(run["qd"], case.dt), case.dt, axis=0)[:-1][::every]
            q = run["q"][:-1][::every]
            inputs.append(np.hstack((q, s, qdd)))
            slow.append(s[:, JOINT])
            targets.append(tau[:, JOINT])
        return np.concatenate(inputs), np.concatenate(slow), np.concatenate(targets)

    X, s, tau = table(TRAIN)
    X_new, s_new, tau_new = table((UNSEEN,))
    centre, scale = X.mean(axis=0), X.std(axis=0)
    t_mean, t_scale = float(tau.mean()), float(tau.std())
    # Every second label: neighbours say the same, and the fit takes its time.
    data = np.column_stack(((X - centre) / scale, (tau - t_mean) / t_scale))[::2]
    counts, rows = (5, 10, 20, 40), {}
    traces: dict[str, Array] = {"label": tau_new}
    for k in counts:
        begun = time.perf_counter()
        fit = GaussianMixture(k, reg_covar=1e-4, random_state=0, max_iter=60).fit(data)
        seconds = time.perf_counter() - begun
        known = _regress(fit, data[:, :-1]) * t_scale + t_mean
        unseen = _regress(fit, (X_new - centre) / scale) * t_scale + t_mean
        narrow = mixtures.fit(s, tau, k)
        rows[str(k)] = {
            "train": float(np.sqrt(np.mean((known - tau[::2]) ** 2))),
            "unseen": float(np.sqrt(np.mean((unseen - tau_new) ** 2))),
            "velocity_train": float(np.sqrt(np.mean((narrow.regress(s)[0] - tau) ** 2))),
            "velocity_unseen": float(np.sqrt(np.mean((narrow.regress(s_new)[0] - tau_new) ** 2))),
            "numbers": k * (19 + 19 * 20 // 2 + 1) - 1,
            "seconds": seconds,
        }
        if k == counts[-1]:
            traces |= {"wide": unseen, "narrow": narrow.regress(s_new)[0]}
    return {"joint": JOINT + 1, "samples": len(data), "components": rows}, traces


def _regress(fit: Any, inputs: Array) -> Array:
    """Mean of the last column given the others, of a mixture fitted by scikit-learn."""
    from scipy.stats import multivariate_normal

    means, covariances, d = fit.means_, fit.covariances_, inputs.shape[1]
    log_h = np.empty((len(inputs), len(means)))
    values = np.empty_like(log_h)
    for c, (m, S) in enumerate(zip(means, covariances, strict=True)):
        log_h[:, c] = np.log(fit.weights_[c]) + multivariate_normal(m[:d], S[:d, :d], allow_singular=True).logpdf(
            inputs
        )
        values[:, c] = m[d] + (inputs - m[:d]) @ np.linalg.solve(S[:d, :d], S[:d, d])
    h = np.exp(log_h - log_h.max(axis=1, keepdims=True))
    mean: Array = (h * values).sum(axis=1) / h.sum(axis=1)
    return mean


def relevance(case: Case) -> Found:
    """Which inputs the sparse Gaussian process finds relevant, by its lengths (Fig. 13)."""
    model: Any = fitted(case, "sparse_gp")
    spread = np.concatenate(
        [np.concatenate([case.runs[name][key] for name in TRAIN]).std(axis=0) for key in ("q", "qd")]
    )
    # In units of the input's own spread, so that positions and velocities compare.
    value = np.sqrt(np.asarray(model.relevance)) * spread
    share = value / value.sum(axis=1, keepdims=True)
    n = len(share)
    own = [int(np.argmax(row)) == n + j for j, row in enumerate(share)]
    return {"own_velocity_first": own, "share_of_own_velocity": [float(share[j, n + j]) for j in range(n)]}, {
        "share": share
    }


ILLUSTRATIONS: dict[str, Callable[[Case], Found]] = {
    "components": components,
    "velocity": velocity,
    "predictions": predictions,
    "process_models": process_models,
    "wide_mixture": wide_mixture,
    "relevance": relevance,
    "timing": timing,
}
