"""What physics already says about the joint torques, so that only the rest has to be learnt (semi-parametric models).

Nominal: Pinocchio's RNEA of a rigid-body model. Regressed: the same with inertial parameters corrected by ridge
regression on the training samples, and friction for each joint. Inverse dynamics are linear in all of these parameters
(Atkeson, An & Hollerbach 1986). Friction is a + b qd + Σ c_i tanh(qd/w_i); several widths make a Stribeck curve, and
where it is ``loaded``, each term but the offset has a partner that is multiplied by |τ| of the nominal model: gears and
bearings rub more under load. Friction that remembers the path is told in one of two ways: with ``memory`` the Dahl
states of :mod:`estimators.dynamics.memory` are terms beside the tanh; with ``radii`` the Maxwell-slip elements of
:mod:`estimators.dynamics.slip` stand in their place. Such a prior must be told every sample of a path in order, and
keeps several paths apart by their ``stream``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pinocchio as pin

from estimators.compiled import COMPILED, compiled
from estimators.dynamics import slip
from estimators.dynamics.memory import Memory, Track, along
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


def friction_terms(
    qd: Array, load: Array, widths: tuple[float, ...], loaded: bool, z: Array | None = None
) -> Array:
    """What friction weights multiply, (n, K): ``qd`` rad/s and nominal ``load`` N·m, (n,), states ``z`` (n, d)."""
    moving = [qd, *(np.tanh(qd / width) for width in widths), *(() if z is None else z.T)]
    if loaded:
        moving += [np.abs(load) * term for term in moving]
    return np.stack((np.ones(qd.size), *moving), axis=1)


@compiled
def _add_friction(qd: Array, load: Array, widths: Array, loaded: bool, z: Array, weights: Array, tau: Array) -> int:
    """Add ``weights`` (n, K) times :func:`friction_terms` to ``tau`` (n,)."""
    forgetful = 1 + widths.size
    terms = forgetful + z.shape[1]
    for j in range(qd.size):
        plain, scaled = 0.0, 0.0
        for i in range(terms):
            if i == 0:
                term = qd[j]
            elif i < forgetful:
                term = math.tanh(qd[j] / widths[i - 1])
            else:
                term = z[j, i - forgetful]
            plain += weights[j, 1 + i] * term
            if loaded:
                scaled += weights[j, 1 + terms + i] * term
        tau[j] += weights[j, 0] + plain + abs(load[j]) * scaled
    return 0


class Prior:
    """Rigid-body torque, with corrected parameters and friction where they were regressed.

    ``correction`` (11 n,) is added to the inertial parameters of ``model``; ``friction`` (n, K) weighs
    :func:`friction_terms`; None: as they are, none. The corrected parameters need not be those of real bodies: they
    serve prediction and nothing else. With ``memory``, friction depends on the path, so that each ``stream`` of motion
    that torques are asked for has its own states. Raises ModelError for what cannot predict.
    """

    def __init__(
        self,
        model: RigidBodyModel,
        correction: Array | None = None,
        friction: Array | None = None,
        widths: tuple[float, ...] = WIDTHS,
        loaded: bool = False,
        memory: Memory | None = None,
        radii: tuple[float, ...] = (),
        speeds: tuple[float, ...] = (),
    ) -> None:
        n = model.n
        self.model, self.correction, self.friction, self.widths, self.loaded, self.memory = (
            model, correction, friction, widths, loaded, memory,
        )  # fmt: skip
        if memory is not None and friction is None:
            raise ModelError("a memory without friction weights remembers for nothing: regress them, or leave it out")
        if memory is not None and radii:
            raise ModelError("Dahl states and Maxwell-slip elements are two ways to say the same: choose one")
        self.radii, self.speeds = radii, speeds
        self._tracks: dict[int, Track] = {}
        self._slips: dict[int, slip.Slip] = {}
        self._none = np.zeros((n, 0))
        states = None if memory is None else np.zeros((n, len(memory.travel)))
        terms = (n, slip.width(radii, speeds))
        if not radii:
            terms = friction_terms(np.zeros(n), np.zeros(n), widths, loaded, states).shape
        for name, part, shape in (("correction", correction, (11 * n,)), ("friction", friction, terms)):
            if part is not None and (part.shape != shape or not np.isfinite(part).all()):
                raise ModelError(f"the prior's {name} has shape {part.shape}; expected {shape}, finite")
        self._widths = np.array(widths, dtype=np.float64)
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
        return self.friction is not None and (self.memory is not None or bool(self.radii))

    def forget(self, stream: int | None = None) -> None:
        """The next sample of ``stream`` (None: of each) begins a path of which nothing is known."""
        if stream is None:
            self._tracks.clear()
            self._slips.clear()
        else:
            self._tracks.pop(stream, None)
            self._slips.pop(stream, None)

    def torque(self, q: Array, qd: Array, qdd: Array, stream: int = 0) -> Array:
        """Torque (n,) N·m at the next sample of ``stream``, a fresh array."""
        tau = np.zeros(self.model.n)
        self.add(q, qd, qdd, tau, stream)
        return tau

    def add(
        self, q: Array, qd: Array, qdd: Array, tau: Array, stream: int = 0, use_compiled: bool = COMPILED
    ) -> None:
        """Add the torque at the next sample of ``stream`` to ``tau`` (n,) N·m."""
        z = self._none
        if self.memory is not None:
            if stream not in self._tracks:
                self._tracks[stream] = Track(self.memory, self.model.n)
            z = self._tracks[stream].to(q)
        self._add(q, qd, qdd, z, tau, stream, use_compiled)

    def _add(
        self, q: Array, qd: Array, qdd: Array, z: Array, tau: Array, stream: int, use_compiled: bool = COMPILED
    ) -> None:
        tau += pin.rnea(self._inner, self._data, q, qd, qdd)
        if self.friction is None:
            return
        if self.radii:
            tau += self._slip(stream).torque(q, qd, self.friction)
            return
        load = self.model.rnea(q, qd, qdd) if self.loaded else qd
        if use_compiled:
            _add_friction(np.asarray(qd, dtype=np.float64), load, self._widths, self.loaded, z, self.friction, tau)
        else:
            tau += (self.friction * friction_terms(qd, load, self.widths, self.loaded, z)).sum(axis=1)

    def slipped(self, q: Array, qd: Array, stream: int = 0) -> Array:
        """What the friction weights of Maxwell-slip elements multiply, (n, K), at the next sample of ``stream``."""
        return slip.slip_terms(self._slip(stream).step(q, qd), qd, self.speeds)

    def _slip(self, stream: int) -> slip.Slip:
        found = self._slips.get(stream)
        if found is None:
            found = self._slips[stream] = slip.Slip(self.model.n, self.radii, self.speeds)
        return found

    def of(self, samples: Samples) -> Array:
        """Torque (N, n) at all samples, each trajectory a path of its own; no stream of others is touched."""
        tau = np.zeros((len(samples), self.model.n))
        states = None if self.memory is None else along(self.memory, samples)
        for k, row in enumerate(zip(samples.q, samples.qd, samples.qdd, strict=True)):
            if k == 0 or samples.trajectory[k] != samples.trajectory[k - 1]:
                self.forget(_BATCH)
            self._add(*row, self._none if states is None else states[k], tau[k], _BATCH)
        return tau

    def pack(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Options that JSON can say, and plain arrays: with the rigid-body model, all to build it again."""
        arrays = {}
        options: dict[str, Any] = {"rigid_body": fingerprint(self.model), "joints": self.model.n}
        if self.correction is not None:
            arrays["prior_correction"] = self.correction
        if self.friction is not None:
            arrays["prior_friction"] = self.friction
        if self.memory is not None:
            options |= {"travel": list(self.memory.travel), "play": self.memory.play}
        if self.radii:
            options |= {"radii": list(self.radii), "speeds": list(self.speeds)}
        return options | {"widths": list(self.widths), "loaded": self.loaded}, arrays


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
    memory = None
    if "travel" in options:
        memory = Memory(tuple(float(each) for each in options["travel"]), float(options["play"]))
    radii, speeds = (tuple(float(value) for value in options.get(name, ())) for name in ("radii", "speeds"))
    correction, friction = arrays.get("prior_correction"), arrays.get("prior_friction")
    return Prior(model, correction, friction, widths, bool(options["loaded"]), memory, radii, speeds)


def regress(
    model: RigidBodyModel,
    samples: Samples,
    ridge: float = 1e-4,
    widths: tuple[float, ...] = WIDTHS,
    loaded: bool = False,
    memory: Memory | None = None,
    radii: tuple[float, ...] = (),
    speeds: tuple[float, ...] = (),
) -> Prior:
    """A prior whose parameters fit ``samples``, held near the nominal ones by ``ridge`` (relative, dimensionless).

    With ``radii`` (and ``speeds``) its friction remembers the path, and ``widths`` and ``loaded`` say nothing.

    Minimises Σ_j ‖τ_j − (Y θ)_j‖²/var τ_j plus ridge times the squared change, columns scaled to unit length. Joints
    are weighted by their own torque, or the large ones would decide alone. Friction that remembers wants the
    samples in order of time. Raises ParameterError if there are fewer equations than parameters.
    """
    n, N = model.n, len(samples)
    if samples.n != n:
        raise ParameterError(f"the samples have {samples.n} joints, the rigid-body model has {n}")
    nominal = Prior(model).of(samples)
    z = np.zeros((N, n, 0)) if memory is None else along(memory, samples)
    path = Prior(model, None, None, widths, loaded, None, radii, speeds)
    if radii:
        K = slip.width(radii, speeds)
    else:
        K = friction_terms(np.zeros(n), np.zeros(n), widths, loaded, z[0]).shape[1] if N else 1
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
            terms = friction_terms(qd, nominal[k], widths, loaded, z[k])
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
    return Prior(model, theta[:inertial], theta[inertial:].reshape(n, K), widths, loaded, memory, radii, speeds)
