"""A learned model in the control cycle: one file, one call, torque with its standard deviation; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from estimators.compiled import has_numba
from estimators.dynamics import prior as priors
from estimators.dynamics import store
from estimators.dynamics.machine import Compiled
from estimators.dynamics.posterior import Posterior
from estimators.dynamics.prior import Prior
from estimators.dynamics.reference import Reference
from estimators.errors import ModelError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]
KIND = "dynamics-predictor"
Kernel = Literal["compiled", "numpy"]
LAYOUT = "q rad, qd rad/s, qdd rad/s2"
"""Of the input x = [q, qd, qdd]; a file with another one is refused."""


class DynamicsPredictor:
    """Predicted joint torque N·m and its standard deviation, measurement noise included, at one sample after another.

    ``kernel`` is ``compiled`` (numba) or ``numpy``; by default the former where numba is installed.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior | None = None,
        provenance: Mapping[str, Any] | None = None,
        kernel: Kernel | None = None,
        probe: tuple[Array, Array] | None = None,
    ) -> None:
        if kernel == "compiled" and not has_numba():
            raise ModelError("numba is not installed: pip install 'hil-lab[kvark]', or take the kernel numpy")
        self.posterior, self.prior, self.provenance = posterior, prior, dict(provenance or {})
        self.n = posterior.n
        self.probe = probe
        """Inputs (k, 3n) rad, rad/s, rad/s² that nothing was learnt from, and their torque (k, n) N·m without the
        prior's: what is learnt online must not become worse on them. None in files that have none."""
        self.kernel = kernel or ("compiled" if has_numba() else "numpy")
        self._at = (Compiled if self.kernel == "compiled" else Reference)(posterior).at
        self._reserve(2)

    def _reserve(self, count: int) -> None:
        n = self.n
        widths = (3 * n, n, n, n)
        self._x, self._mean, self._sigma, self.prior_torques = (np.zeros((count, width)) for width in widths)
        self._one = self._x[:1], self._mean[:1], self._sigma[:1]
        self.prior_torque = self.prior_torques[0]
        """The prior's share of the last mean, (n,) N·m; of several samples the first one's, see ``prior_torques``."""

    @property
    def sigma_noise(self) -> Array:
        """σ_n of each joint, (n,) N·m: what is left where the data were dense."""
        result: Array = self.posterior.scaling.y_std * np.sqrt(self.posterior.noise)
        return result

    @property
    def sigma_signal(self) -> Array:
        """σ_f of each joint, (n,) N·m: the spread of what was learnt, reached far from all data."""
        result: Array = self.posterior.scaling.y_std * np.sqrt(self.posterior.spread)
        return result

    @property
    def remembers(self) -> bool:
        """Whether the physics have a memory, so that different motions must not be mixed in one stream of calls."""
        return self.prior is not None and self.prior.remembers

    def forget(self, stream: int | None = None) -> None:
        """The next sample of ``stream`` (None: of each) begins a path of which nothing is known."""
        if self.prior is not None:
            self.prior.forget(stream)

    def step(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> tuple[Array, Array]:
        """Mean and standard deviation, (n,) N·m each, at ``q`` rad, ``qd`` rad/s, ``qdd`` rad/s², (n,) each.

        ``stream``: which path it is the next sample of, for physics that remember (:attr:`remembers`). The arrays are
        overwritten by the next call. NaN where the input is not finite.
        """
        n = self.n
        x, mean, sigma = self._one
        row = x[0]
        row[:n], row[n : 2 * n], row[2 * n :] = q, qd, qdd
        self._at(x, mean, sigma)
        if self.prior is not None:
            self._add_prior(q, qd, qdd, 0, stream)
        return mean[0], sigma[0]

    def steps(self, q: Array, qd: Array, qdd: Array) -> tuple[Array, Array]:
        """As :meth:`step` at S samples, (S, n) each: the model is read from memory once for all of them.

        Physics that remember follow S paths: row s is always the next sample of stream s. More samples than ever
        before allocate memory, more than two for the first time.
        """
        n, count = self.n, len(q)
        if count > len(self._x):
            self._reserve(count)
        x, mean, sigma = self._x[:count], self._mean[:count], self._sigma[:count]
        x[:, :n], x[:, n : 2 * n], x[:, 2 * n :] = q, qd, qdd
        self._at(x, mean, sigma)
        if self.prior is not None:
            for s in range(count):
                self._add_prior(q[s], qd[s], qdd[s], s, s)
        return mean, sigma

    def _add_prior(self, q: Array, qd: Array, qdd: Array, row: int, stream: int) -> None:
        assert self.prior is not None
        torque = self.prior_torques[row]
        torque.fill(0.0)
        self.prior.add(q, qd, qdd, torque, stream)
        self._mean[row] += torque

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all. Raises OSError."""
        options, arrays = ({}, {}) if self.prior is None else self.prior.pack()
        if self.probe is not None:
            arrays = arrays | {"probe_x": self.probe[0], "probe_r": self.probe[1]}
        about = {
            "kind": KIND,
            "layout": LAYOUT,
            "joints": self.n,
            "skip": self.posterior.skip,
            "prior": options,
            "provenance": self.provenance,
        }
        store.write(path, about, arrays | self.posterior.arrays())


def load(
    path: Path,
    rigid_body: RigidBodyModel | None = None,
    n: int | None = None,
    kernel: Kernel | None = None,
) -> DynamicsPredictor:
    """What :meth:`DynamicsPredictor.save` wrote, for the arm ``rigid_body`` or of ``n`` joints.

    Raises OSError; ModelError, which says why, for any other file, another layout, another number of joints, or a
    semi-parametric model of another rigid body.
    """
    about, arrays = store.read(path, (KIND,))
    try:
        if about["layout"] != LAYOUT:
            raise ModelError(f"its inputs are {about['layout']!r}; expected {LAYOUT!r}: export it anew")
        wanted = n if n is not None else (rigid_body.n if rigid_body is not None else int(about["joints"]))
        if about["joints"] != wanted:
            raise ModelError(f"it is for {about['joints']} joints, the arm has {wanted}: name the model of this arm")
        prior = priors.unpack(about["prior"], arrays, rigid_body) if about["prior"] else None
        probe = (arrays["probe_x"], arrays["probe_r"]) if "probe_x" in arrays else None
        posterior = Posterior.of(own_arrays(arrays), bool(about["skip"]))
        if posterior.n != wanted:
            raise ModelError(f"its arrays are for {posterior.n} joints, its page says {wanted}: export it anew")
        if probe is not None and not _is_probe(*probe, wanted):
            raise ModelError("its probe samples are not finite, or not of this arm: export it anew")
    except ModelError as error:
        raise ModelError(f"{path} does not fit: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no exported model ({type(error).__name__}: {error}); export it anew") from error
    return DynamicsPredictor(posterior, prior, about["provenance"], kernel, probe)


def own_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Those of a file that belong to the posterior, without the prior's and the probe samples."""
    return {name: value for name, value in arrays.items() if not name.startswith(("prior_", "probe_"))}


def _is_probe(x: Array, r: Array, n: int) -> bool:
    shapes = x.ndim == 2 and x.shape == (len(r), 3 * n) and r.shape == (len(x), n) and len(x) > 0
    return shapes and bool(np.isfinite(x).all() and np.isfinite(r).all())
