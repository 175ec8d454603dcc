"""What physics already says about the joint torques, so that only the rest has to be learnt (semi-parametric models).

Nominal: Pinocchio's RNEA of a rigid-body model. Regressed: the same with inertial parameters corrected by ridge
regression on the training samples, and friction a + b qd + c tanh(qd/w) for each joint. Inverse dynamics are linear in
all of these parameters (Atkeson, An & Hollerbach 1986).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.dynamics.samples import Samples
from estimators.errors import ModelError, ParameterError
from estimators.rigid_body import RigidBodyModel

Array = npt.NDArray[np.float64]

WIDTH = 0.02
"""w of tanh(qd/w), rad/s."""


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


class Prior:
    """Rigid-body torque, with corrected parameters and friction where they were regressed.

    ``correction`` (11 n,) is added to the inertial parameters of ``model``; ``friction`` (n, 3) holds a N·m,
    b N·m·s/rad and c N·m of each joint; None: as they are, none. The corrected parameters need not be those of real
    bodies: they serve prediction and nothing else. Raises ModelError where they cannot even do that.
    """

    def __init__(
        self,
        model: RigidBodyModel,
        correction: Array | None = None,
        friction: Array | None = None,
        width: float = WIDTH,
    ) -> None:
        n = model.n
        self.model, self.correction, self.friction, self.width = model, correction, friction, width
        for name, part, shape in (("correction", correction, (11 * n,)), ("friction", friction, (n, 3))):
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

    def torque(self, q: Array, qd: Array, qdd: Array) -> Array:
        """Torque (n,) N·m at one sample, a fresh array."""
        tau: Array = np.array(pin.rnea(self._inner, self._data, q, qd, qdd))
        if self.friction is not None:
            a, b, c = self.friction.T
            tau += a + b * qd + c * np.tanh(qd / self.width)
        return tau

    def of(self, samples: Samples) -> Array:
        """Torque (N, n) at all samples."""
        return np.array([self.torque(*row) for row in zip(samples.q, samples.qd, samples.qdd, strict=True)])

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Options that JSON can say, and plain arrays: with the rigid-body model, all to build it again."""
        arrays = {}
        if self.correction is not None:
            arrays["prior_correction"] = self.correction
        if self.friction is not None:
            arrays["prior_friction"] = self.friction
        return {"rigid_body": fingerprint(self.model), "joints": self.model.n, "width": self.width}, arrays


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
    return Prior(model, arrays.get("prior_correction"), arrays.get("prior_friction"), float(options["width"]))


def regress(
    model: RigidBodyModel, samples: Samples, ridge: float = 1e-4, width: float = WIDTH, friction: bool = True
) -> Prior:
    """A prior whose parameters fit ``samples``, held near the nominal ones by ``ridge`` (relative, dimensionless).

    Minimises Σ_j ‖τ_j − (Y θ)_j‖²/var τ_j plus ridge times the squared change, columns scaled to unit length. Joints
    are weighted by their own torque, or the large ones would decide alone. Raises ParameterError if there are fewer
    equations than parameters.
    """
    n, N = model.n, len(samples)
    if samples.n != n:
        raise ParameterError(f"the samples have {samples.n} joints, the rigid-body model has {n}")
    columns = 11 * n + 3 * n
    if N * n < columns:
        raise ParameterError(f"{N} samples; expected at least {columns // n + 1} to regress {columns} parameters")
    rest = samples.tau - Prior(model).of(samples)
    weight = 1.0 / np.maximum(samples.tau.std(axis=0), 1e-6)
    gram, right = np.zeros((columns, columns)), np.zeros(columns)
    friction_columns = np.zeros((n, n, 3))
    joints = np.arange(n)
    for k in range(N):
        qd = samples.qd[k]
        Y = np.zeros((n, columns))
        Y[:, : 11 * n] = model.inertial_regressor(samples.q[k], qd, samples.qdd[k])
        if friction:
            friction_columns[joints, joints] = np.stack((np.ones(n), qd, np.tanh(qd / width)), axis=1)
            Y[:, 11 * n :] = friction_columns.reshape(n, 3 * n)
        Y *= weight[:, None]
        gram += Y.T @ Y
        right += Y.T @ (weight * rest[k])
    length = np.sqrt(np.maximum(gram.diagonal(), 1e-12 * gram.diagonal().max()))
    scaled = gram / np.outer(length, length)
    # Friction is no small correction of something known: next to nothing holds it at zero.
    hold = np.full(columns, ridge)
    hold[11 * n :] = min(ridge, 1e-8)
    theta = np.linalg.solve(scaled + np.diag(np.maximum(hold, 1e-12)), right / length) / length
    return Prior(model, theta[: 11 * n], theta[11 * n :].reshape(n, 3) if friction else None, width)
