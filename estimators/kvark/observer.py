"""K-VARK as an observer of the supervisor: one step a cycle, arrays in, arrays out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from estimators.compiled import COMPILED
from estimators.errors import ParameterError
from estimators.kvark import kernel
from estimators.kvark.band import LAMBDA, Band, BandParams
from estimators.kvark.detection import Detector, judged_by
from estimators.kvark.diagonal import P, X, prepare
from estimators.kvark.judge import Judge
from estimators.kvark.recursion import RecursionParams
from estimators.observer import Estimate
from estimators.residual.base import ResidualModel
from estimators.rigid_body import Dynamics, RigidBodyModel
from estimators.sensed import UNKNOWN, Sensed

Array = npt.NDArray[np.float64]

LONGEST = 5.0
"""Steps longer than so many usual ones are gaps: the torque between two samples is not known there."""


class KvarkObserver:
    """Algorithm 1 with the corrected recursion; :class:`estimators.observer.Observer` by structure.

    ``residual``: mean and variance of what the rigid-body model lacks; where it corrects the inertial parameters,
    ``model`` is needed: a rigid-body model of the observer's own, which gets them. ``scale``: calibrated factor on the
    standard deviation that is reported (conformal: the 95 % quantile of |error|/σ on calibration runs, by 1.96).
    ``level`` δ: part by which friction may have drifted since the model was learnt. ``friction_scale`` (n,): by how
    much it is known to have drifted, a factor on the mean. ``lag``: of the measured torque, see
    :class:`estimators.virtual_measurement.VirtualMeasurement`. ``use_compiled``: by machine code, where there is numba.
    Raises ParameterError; ModelError for parameters of no real body.

    What is reported is scale² (P + Σ + (δ mean)² + (δ x / 2)²): that of the filter *and* of the residual model, since
    the filter's own knows nothing of a model that is wrong for a second, and covered 5 to 50 % instead of 95 %.
    With ``band`` its variance is reported instead, and its level of friction corrects the mean, see
    :mod:`estimators.kvark.band`; ``detect``, the threshold of :class:`estimators.kvark.detection.Detector`, needs it.
    """

    artefact = ""
    """Which trained model this is, in words for the log; set by whoever built it from one."""

    def __init__(
        self,
        residual: ResidualModel,
        params: RecursionParams,
        *,
        scale: float = 1.0,
        level: float = 0.0,
        lag: int = 0,
        friction_scale: Array | None = None,
        model: RigidBodyModel | None = None,
        method: str = "kvark",
        band: BandParams | None = None,
        detect: float | None = None,
        use_compiled: bool = COMPILED,
    ) -> None:
        if lag not in (0, 1):
            raise ParameterError(f"measured torque lags by {lag} ticks; this observer takes 0 or 1")
        if not (math.isfinite(scale) and scale > 0.0 and math.isfinite(level) and level >= 0.0):
            raise ParameterError(f"scale {scale}, level {level}: expected finite, scale above 0, level 0 or more")
        self.n = n = params.q_rate.size
        if residual.n != n:
            raise ParameterError(f"residual model of {residual.n} joints, filter of {n}")
        friction = np.ones(n) if friction_scale is None else np.asarray(friction_scale, dtype=np.float64)
        if friction.shape != (n,) or not np.isfinite(friction).all() or (friction <= 0.0).any():
            raise ParameterError(f"friction scale is {friction_scale}; expected {n} finite values above 0")
        if band is not None and band.friction.size != n:
            raise ParameterError(f"band of {band.friction.size} joints, filter of {n}")
        if detect is not None and band is None:
            raise ParameterError("contact is detected by the terms of a band: give one, or no threshold")
        parameters = residual.inertial_parameters
        self.model: RigidBodyModel | None = None
        """With the residual model's inertial parameters; None: the cycle's own model is right."""
        if parameters is not None:
            if model is None:
                raise ParameterError("this residual model corrects the inertial parameters: give a rigid-body model")
            model.adjust(parameters)
            self.model = model
        self.method = method
        """What its residual model was made by, in words."""
        self._residual = residual
        self._params = params
        self._observe = kernel.observe if use_compiled else kernel.observe_plain
        longest = LONGEST * params.dt_colour
        self._settings = np.array([scale * scale, level * level, float(lag), longest])
        self._fixed = np.vstack((np.zeros(n), friction, np.zeros(n)))
        self._dyn: Dynamics | None = None
        self._now, self._qd, self._out = np.empty((6, n)), np.empty(n), np.empty((5, n))
        self._fast = Judge(band) if band is not None and use_compiled else None
        self._band = Band(band, use_compiled) if band is not None and not use_compiled else None
        self._detector = None if detect is None else Detector(n, detect, use_compiled)
        self._judged = None if band is None else judged_by(band)
        self.sensed: Sensed = UNKNOWN
        """Contact or not, as of the last step."""
        self._warm_up()
        self.reset()

    def _warm_up(self) -> None:
        """Let machine code be made, and a model of another size be noticed, before the first cycle."""
        n, zeros = self.n, np.zeros(self.n)
        self.reset()
        seen = self._residual.step(zeros, zeros, zeros, math.nan)
        if any(np.shape(part) != (n,) for part in seen):
            shapes = [np.shape(part) for part in seen]
            raise ParameterError(f"the residual model gives shapes {shapes}; expected ({n},) twice")
        self._now.fill(0.0)
        self._qd.fill(0.0)
        for _ in range(2):
            self._advance(1e-3)
            self._judge(1e-3)

    def reset(self, dyn: Dynamics | None = None) -> None:
        """Start anew at ``tau_ext = 0`` and forget the tare."""
        self._state, self._nu, self._start, self._numbers, self._rules = prepare(self._params)
        self._past = kernel.start_past(self.n)
        self._fixed[kernel.OFFSET] = self._fixed[kernel.ABOVE] = 0.0
        for part in (self._fast, self._band):
            if part is not None:
                part.reset()
        if self._detector is not None:
            self._detector.reset()
        self.sensed = UNKNOWN
        self._residual.reset()
        self._dt, self._colour = math.nan, self._params.colour

    def step(self, tau: Array, dyn: Dynamics, dt: float) -> Estimate:
        """``tau_ext`` (n,) N·m and its covariance (n, n), fresh; NaN while nothing is known of this sample.

        ``tau`` (n,) N·m measured and ``dyn`` of the same sample; ``dt`` s since the sample before. Nothing is known
        where anything is not finite, time does not go on or leaps, or an encoder stands where its joint cannot.
        """
        now, qd, self._dyn = self._now, self._qd, dyn
        dt = float(dt)  # numpy's scalars are slow, and warn
        # Into arrays of our own: machine code is made for one kind of array, and some of these are read-only.
        now[kernel.POSITION], now[kernel.TORQUE], qd[:] = dyn.q, tau, dyn.qd
        if self.model is None:
            now[kernel.MOMENTUM], now[kernel.BETA] = dyn.p, dyn.beta
        else:
            now[kernel.MOMENTUM], now[kernel.BETA] = self.model.momentum(dyn.q, dyn.qd)
        now[kernel.MEAN], now[kernel.VARIANCE] = self._residual.step(
            now[kernel.POSITION], qd, now[kernel.TORQUE], dt
        )
        nis = self._advance(dt)
        self._judge(dt)
        n = self.n
        covariance = np.zeros((n, n))
        covariance.flat[:: n + 1] = self._out[1]
        return Estimate(self._out[0].copy(), covariance, nis)

    def _advance(self, dt: float) -> float:
        """The filter's step from what is in ``now``; its NIS."""
        p = self._params
        if dt != self._dt and dt > 0.0:
            self._dt = dt
            self._numbers[1], self._numbers[2] = math.exp(-dt / p.window_q), math.exp(-dt / p.window_r)
            self._colour = p.colour * p.dt_colour / dt
        self._nu, nis = self._observe(
            self._now, dt, self._colour, self._past, self._fixed, self._settings, self._state, self._nu, self._start,
            self._numbers, self._rules, self._out,
        )  # fmt: skip
        return nis

    @property
    def friction_level(self) -> Array:
        """λ (n,): the part by which friction is above the residual model's mean; 0 without a band."""
        value: Array = self._fixed[kernel.ABOVE].copy()
        return value

    def _judge(self, dt: float) -> None:
        """The band's variance instead of the plain one, its level for the sample to come, and contact or not."""
        band, out, detector = self._band, self._out, self._detector
        if self._fast is not None:
            statistic = self._fast.step(self._now[kernel.POSITION], self._qd, out, self._state[P], dt)
            self._fixed[kernel.ABOVE] = self._fast.state[LAMBDA]
            if detector is not None:
                self.sensed = detector.take(statistic, dt)
        if band is None:
            return
        measured, variance = out[kernel.SEEN], out[kernel.SEEN_VARIANCE]
        out[1] = band.step(
            self._now[kernel.POSITION], self._qd, measured, out[kernel.SEEN_MEAN], variance, out[0], self._state[P], dt
        )
        self._fixed[kernel.ABOVE] = band.level
        if detector is not None and self._judged is not None:
            weights, floor = self._judged
            self.sensed = detector.step(measured, weights @ band.terms + floor, dt)

    def tare(self, offset: Array | None = None, sigma: Array | None = None) -> Array:
        """Take ``offset`` (n,) N·m, or the present estimate, as zero from now on; returns what is subtracted.

        ``offset`` is a mean of g(q) − tau by the cycle's model, taken where the arm stands now: what the observer's own
        parameters and the residual model add to it there is added here. Raises ParameterError for what is not finite.
        Σ covers what is left, so ``sigma`` is not needed.
        """
        past = self._past
        if offset is None:
            value: Array = self._state[X].copy()
        else:
            added = np.zeros(self.n) if self._dyn is None else past[kernel.MEAN] - past[kernel.BETA] - self._dyn.g
            value = np.asarray(offset, dtype=np.float64) + added
        if value.shape != (self.n,) or not np.isfinite(value).all():
            raise ParameterError(f"tare offset is {value}; expected {self.n} finite values in N·m")
        self._fixed[kernel.OFFSET] = value
        return value
