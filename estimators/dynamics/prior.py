"""What physics already says about the joint torques, so that only the rest has to be learnt (semi-parametric models).

Nominal: Pinocchio's RNEA of a rigid-body model. Regressed: the same with inertial parameters corrected by ridge
regression on the training samples, and friction for each joint. Inverse dynamics are linear in all of these parameters
(Atkeson, An & Hollerbach 1986). Friction is a + b qd + Σ c_i tanh(qd/w_i); several widths make a Stribeck curve, and
where it is ``loaded``, each term but the offset has a partner that is multiplied by |τ| of the nominal model: gears and
bearings rub more under load. With ``radii`` it is :mod:`estimators.dynamics.slip` instead of the tanh: friction that
remembers the path. Such a prior must be told every sample of a path in order, and keeps several paths apart by their
``stream``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.dynamics import slip
from estimators.dynamics.samples import Samples
from estimators.errors import ModelError, ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]

WIDTHS = (0.02,)
"""w of tanh(qd/w), rad/s: Coulomb friction with a steep step."""
STRIBECK = (0.003, 0.01, 0.05, 0.2)
"""Widths from which a friction curve of any shape can be made."""
_BATCH = -1
"""Stream of whole sets of samples."""


def fingerprint(model: RigidBodyModel) -> str:
    """SHA-256 (hex) of all that RNEA depends on: joints, placements, inertias with tool, armature, gravity.

    Rounded to 1e-9, so that the same URDF gives the same on another machine.
    """
    inner = model.model
    numbers = [model.inertial_parameters(), np.array(inner.gravity.linear)]
    for joint, placement in zip(inner.joints[1:], inner.jointPlacements[1:], strict=True):
        numbers.append(np.array(placement.homogeneous).ravel())
        axis = joint.createData()
        joint.calc(axis, np.zeros(1))
        numbers.append(np.array(axis.S).ravel())
    # Adding zero makes −0 a zero.
    return hashlib.sha256((np.round(np.concatenate(numbers), 9) + 0.0).tobytes()).hexdigest()


def friction_terms(qd: Array, load: Array, widths: tuple[float, ...], loaded: bool) -> Array:
    """What friction weights multiply, (n, K), at ``qd`` (n,) rad/s and nominal torque ``load`` (n,) N·m."""
    moving = [qd, *(np.tanh(qd / width) for width in widths)]
    if loaded:
        moving += [np.abs(load) * term for term in moving]
    return np.stack((np.ones(qd.size), *moving), axis=1)


class Prior:
    """Rigid-body torque, with corrected parameters and friction where they were regressed.

    ``correction`` (11 n,) is added to the inertial parameters of ``model``; ``friction`` (n, K) weighs
    :func:`friction_terms`; None: as they are, none. The corrected parameters need not be those of real bodies: they
    serve prediction and nothing else. Raises ModelError where they cannot even do that.
    """

    def __init__(
        self,
        model: RigidBodyModel,
        correction: Array | None = None,
        friction: Array | None = None,
        widths: tuple[float, ...] = WIDTHS,
        loaded: bool = False,
        radii: tuple[float, ...] = (),
        speeds: tuple[float, ...] = (),
    ) -> None:
        n = model.n
        self.model, self.correction, self.friction, self.widths, self.loaded = (
            model, correction, friction, widths, loaded,
        )  # fmt: skip
        self.radii, self.speeds = radii, speeds
        self._slips: dict[int, slip.Slip] = {}
        terms = (n, slip.width(radii, speeds))
        if not radii:
            terms = friction_terms(np.zeros(n), np.zeros(n), widths, loaded).shape
        for name, part, shape in (("correction", correction, (11 * n,)), ("friction", friction, terms)):
            if part is not None and (part.shape != shape or not np.isfinite(part).all()):
                raise ModelError(f"the prior's {name} has shape {part.shape}; expected {shape}, finite")
        self._inner = model.model.copy()
        self._data = self._inner.createData()
        if correction is not None:
            parameters = model.inertial_parameters() + correction
            links = parameters[: 10 * n].reshape(n, 10)
            if (np.abs(links[:, 0]) < 1e-6).any():
                raise ModelError("the regressed prior gives a link no mass at all: regress with a larger ridge")
            for j, link in enumerate(links):
                self._inner.inertias[j + 1] = pin.Inertia.FromDynamicParameters(link)
            self._inner.armature = parameters[10 * n :]

    @property
    def remembers(self) -> bool:
        """Its friction depends on the path."""
        return bool(self.radii) and self.friction is not None

    def torque(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> Array:
        """Torque (n,) N·m at one sample, a fresh array.

        ``stream``: which path it is the next sample of, for a prior that :attr:`remembers`.
        """
        tau: Array = np.array(pin.rnea(self._inner, self._data, q, qd, qdd))
        if self.friction is not None and self.radii:
            tau += self._slip(stream).torque(q, qd, self.friction)
        elif self.friction is not None:
            load = self.model.rnea(q, qd, qdd) if self.loaded else qd
            tau += (self.friction * friction_terms(qd, load, self.widths, self.loaded)).sum(axis=1)
        return tau

    def slipped(self, q: Array, qd: Array, stream: int = 0) -> Array:
        """What the friction weights multiply, (n, K), at the next sample of ``stream``."""
        return slip.slip_terms(self._slip(stream).step(q, qd), qd, self.speeds)

    def _slip(self, stream: int) -> slip.Slip:
        found = self._slips.get(stream)
        if found is None:
            found = self._slips[stream] = slip.Slip(self.model.n, self.radii, self.speeds)
        return found

    def forget(self, stream: int = 0) -> None:
        """The next sample of ``stream`` begins a path of which nothing is known."""
        self._slips.pop(stream, None)

    def of(self, samples: Samples) -> Array:
        """Torque (N, n) at all samples; each trajectory is a path of its own."""
        tau = np.empty_like(samples.tau)
        for k, row in enumerate(zip(samples.q, samples.qd, samples.qdd, strict=True)):
            if k == 0 or samples.trajectory[k] != samples.trajectory[k - 1]:
                self.forget(_BATCH)
            tau[k] = self.torque(*row, _BATCH)
        return tau

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Options that JSON can say, and plain arrays: with the rigid-body model, all to build it again."""
        arrays = {}
        if self.correction is not None:
            arrays["prior_correction"] = self.correction
        if self.friction is not None:
            arrays["prior_friction"] = self.friction
        options = {"rigid_body": fingerprint(self.model), "joints": self.model.n}
        options |= {"widths": list(self.widths), "loaded": self.loaded}
        return options | {"radii": list(self.radii), "speeds": list(self.speeds)}, arrays


def unpack(options: Mapping[str, Any], arrays: Mapping[str, Array], model: RigidBodyModel | None) -> Prior:
    """What :meth:`Prior.pack` packed. Raises ModelError where ``model`` is not the one that it was made with."""
    if model is None:
        raise ModelError("this is a semi-parametric model: give it the rigid-body model that it was trained with")
    if model.n != options["joints"]:
        raise ModelError(f"trained for {options['joints']} joints, the rigid-body model has {model.n}")
    if (found := fingerprint(model)) != options["rigid_body"]:
        raise ModelError(
            f"trained with another rigid-body model ({options['rigid_body'][:12]}…, this one is {found[:12]}…): "
            "URDF, tool, payload or rotor inertia differ; train it anew with this one"
        )
    widths = tuple(float(width) for width in options["widths"])
    # Files of before this friction was there do not name it.
    radii, speeds = (tuple(float(value) for value in options.get(name, ())) for name in ("radii", "speeds"))
    correction, friction = arrays.get("prior_correction"), arrays.get("prior_friction")
    return Prior(model, correction, friction, widths, bool(options["loaded"]), radii, speeds)


def regress(
    model: RigidBodyModel,
    samples: Samples,
    ridge: float = 1e-4,
    widths: tuple[float, ...] = WIDTHS,
    loaded: bool = False,
    radii: tuple[float, ...] = (),
    speeds: tuple[float, ...] = (),
) -> Prior:
    """A prior whose parameters fit ``samples``, held near the nominal ones by ``ridge`` (relative, dimensionless).

    With ``radii`` (and ``speeds``) its friction remembers the path, and ``widths`` and ``loaded`` say nothing.

    Minimises Σ_j ‖τ_j − (Y θ)_j‖²/var τ_j plus ridge times the squared change, columns scaled to unit length. Joints
    are weighted by their own torque, or the large ones would decide alone. Raises ParameterError if there are fewer
    equations than parameters.
    """
    n, N = model.n, len(samples)
    if samples.n != n:
        raise ParameterError(f"the samples have {samples.n} joints, the rigid-body model has {n}")
    nominal = Prior(model).of(samples)
    path = Prior(model, None, None, widths, loaded, radii, speeds)
    K = slip.width(radii, speeds) if radii else friction_terms(np.zeros(n), np.zeros(n), widths, loaded).shape[1]
    inertial, columns = 11 * n, 11 * n + K * n
    if N * n < columns:
        raise ParameterError(f"{N} samples; expected at least {columns // n + 1} to regress {columns} parameters")
    rest = samples.tau - nominal
    weight = 1.0 / np.maximum(samples.tau.std(axis=0), 1e-6)
    gram, right = np.zeros((columns, columns)), np.zeros(columns)
    joints = np.arange(n)
    for k in range(N):
        qd = samples.qd[k]
        Y = np.zeros((n, columns))
        Y[:, :inertial] = model.inertial_regressor(samples.q[k], qd, samples.qdd[k])
        if radii:
            if k == 0 or samples.trajectory[k] != samples.trajectory[k - 1]:
                path.forget()
            terms = path.slipped(samples.q[k], qd)
        else:
            terms = friction_terms(qd, nominal[k], widths, loaded)
        Y[:, inertial:].reshape(n, n, K)[joints, joints] = terms
        Y *= weight[:, None]
        gram += Y.T @ Y
        right += Y.T @ (weight * rest[k])
    length = np.sqrt(np.maximum(gram.diagonal(), 1e-12 * gram.diagonal().max()))
    scaled = gram / np.outer(length, length)
    hold = np.full(columns, max(ridge, 1e-12))
    # Friction is no small correction of something known: next to nothing holds it at zero.
    hold[inertial:] = min(ridge, 1e-4)
    theta = np.linalg.solve(scaled + np.diag(hold), right / length) / length
    return Prior(model, theta[:inertial], theta[inertial:].reshape(n, K), widths, loaded, radii, speeds)
