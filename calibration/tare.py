"""Tare on the host: what a sensor reads at standstill minus what it should read there.

Taken on the host rather than in the device: a device's tare hides drift and survives power cycles or does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.contract import Array

_MIN_SPAN = 3


class TareError(Exception):
    """A tare that must not be used. ``gate`` is the short name of the check that failed: ``shape``, ``samples``,
    ``finite``, ``stuck``, ``noise``, ``drift`` or ``bias``. The message says what was read, what was expected and
    what to do."""

    def __init__(self, gate: str, message: str) -> None:
        super().__init__(message)
        self.gate = gate


@dataclass(frozen=True, slots=True, eq=False)
class Tare:
    """An offset to subtract from every later reading."""

    mean: Array
    """Mean of reading minus expected, ``(k,)``, in the units of the reading."""
    sd: Array
    """Standard deviation of one sample about a straight line in time, ``(k,)``; over √n it is that of the mean."""
    n: int
    """Number of fresh samples."""
    t: float
    """Time of the last sample, s, on the clock of the samples: how old the tare is."""

    def apply(self, reading: Array) -> Array:
        """``reading - mean``; the last axis has k entries."""
        return reading - self.mean


@dataclass(frozen=True, slots=True, eq=False)
class TareGates:
    """Limits of a tare; arrays have one entry per axis, ``(k,)``."""

    axes: tuple[str, ...]
    """Names with units, for messages."""
    noise_sd: Array
    """Noise of one sample as specified."""
    drift_max: Array
    """Units per second that the reading may change while taring."""
    bias_max: Array
    """Largest plausible size of the offset."""
    min_samples: int = 200
    noise_factor: float = 3.0
    """How many times the specified noise is still standstill."""
    may_be_quiet: bool = False
    """Accept readings without any noise, as a mock with an ideal sensor gives them."""


def wrench_gates(
    force_noise: float = 0.05,
    moment_noise: float = 0.002,
    *,
    force_bias_max: float = 15.0,
    moment_bias_max: float = 0.6,
    min_samples: int = 200,
    may_be_quiet: bool = False,
) -> TareGates:
    """Gates for a six-axis sensor in N and N·m. Drift may be one specified noise per second: settling filters, a
    tool that still swings or a contact that still builds up exceed it, warm-up does not. The bias limits are three
    times that of a good sensor (5 N, 0.2 N·m): beyond, something touches the tool or the tool is another one."""
    noise = np.repeat((force_noise, moment_noise), 3)
    return TareGates(
        axes=("Fx [N]", "Fy [N]", "Fz [N]", "Mx [N·m]", "My [N·m]", "Mz [N·m]"),
        noise_sd=noise,
        drift_max=noise.copy(),
        bias_max=np.repeat((force_bias_max, moment_bias_max), 3),
        min_samples=min_samples,
        may_be_quiet=may_be_quiet,
    )


def torque_gates(
    tau_noise: Array, tau_bias_max: Array, *, min_samples: int = 200, may_be_quiet: bool = False
) -> TareGates:
    """Gates for joint torque sensors: specified noise and largest plausible offset, both ``(n,)`` in N·m."""
    noise = np.asarray(tau_noise, dtype=float)
    return TareGates(
        axes=tuple(f"joint {i + 1} [N·m]" for i in range(noise.size)),
        noise_sd=noise,
        drift_max=noise.copy(),
        bias_max=np.asarray(tau_bias_max, dtype=float),
        min_samples=min_samples,
        may_be_quiet=may_be_quiet,
    )


def tare(samples: Array, expected_load: Array, t: Array, gates: TareGates | None = None) -> Tare:
    """Offset of a six-axis sensor at standstill.

    ``samples`` ``(N, 6)`` raw readings in the sensor frame, N and N·m; ``expected_load`` ``(6,)`` or ``(N, 6)`` what
    the tool's weight should read there (tool on sensor); ``t`` ``(N,)`` device time of each sample, s: samples whose
    time does not differ from the one before are repeats of it and are dropped. Raises TareError.
    """
    return _tare(samples, expected_load, t, wrench_gates() if gates is None else gates)


def tare_torque(samples: Array, expected: Array, t: Array, gates: TareGates) -> Tare:
    """Offset of the joint torque sensors at standstill, for the momentum observer.

    ``samples`` ``(N, n)`` measured torques and ``expected`` ``(n,)`` or ``(N, n)`` those of the model, g(q), in N·m;
    ``t`` ``(N,)`` in s as for :func:`tare`. What touches the arm meanwhile is taken for offset: the ``bias`` gate is
    the only thing that notices. Raises TareError.
    """
    return _tare(samples, expected, t, gates)


def _tare(samples: Array, expected: Array, t: Array, gates: TareGates) -> Tare:
    samples = np.asarray(samples, dtype=float)
    expected = np.asarray(expected, dtype=float)
    t = np.asarray(t, dtype=float)
    k = len(gates.axes)
    shapes = (samples.ndim == 2 and samples.shape[1] == k, t.shape == samples.shape[:1])
    if not all(shapes) or expected.shape not in ((k,), samples.shape):
        raise TareError(
            "shape",
            f"samples {samples.shape}, expected load {expected.shape}, time {t.shape}; needed are (N, {k}), ({k},) or "
            f"(N, {k}), and (N,)",
        )
    if not (np.isfinite(samples).all() and np.isfinite(expected).all() and np.isfinite(t).all()):
        bad = int((~np.isfinite(samples)).any(axis=1).sum())
        raise TareError(
            "finite",
            f"{bad} of {len(samples)} samples hold NaN or infinity, or the expected load or time does; expected "
            "finite numbers: take valid samples only, and look at the sensor's status",
        )
    fresh = np.ones(len(t), dtype=bool)
    fresh[1:] = np.diff(t) != 0.0
    rest = (samples - expected)[fresh]
    t = t[fresh]
    n = len(t)
    needed = max(gates.min_samples, _MIN_SPAN)
    if n < needed or (np.diff(t) < 0.0).any():
        order = "" if n < needed else ", and time goes back among them"
        raise TareError(
            "samples",
            f"{n} fresh samples of {len(fresh)}{order}; expected at least {needed} in order of time: tare for longer, "
            "check that the sensor streams and was not reset",
        )
    stuck = (samples[fresh] == samples[0]).all(axis=0)
    if stuck.any() and not gates.may_be_quiet:
        names = ", ".join(f"{gates.axes[i]} {samples[0, i]:.6g}" for i in np.flatnonzero(stuck))
        raise TareError(
            "stuck",
            f"{n} samples are the same to the last bit in {names}; expected noise of about "
            f"{gates.noise_sd[stuck].max():g}: a live sensor is never that quiet, power-cycle it",
        )
    mean = rest.mean(axis=0)
    since = t - t.mean()
    power = float(since @ since)
    slope = since @ rest / power
    sd = np.sqrt(((rest - mean - np.outer(since, slope)) ** 2).sum(axis=0) / (n - 2))
    _gate(
        "noise",
        gates,
        sd,
        gates.noise_factor * gates.noise_sd,
        "noise",
        "the arm or the tool moves or shakes: wait until it stands, switch off what shakes, tighten the tool",
    )
    # Only what is drift beyond doubt: four standard deviations of the slope are allowed for the noise.
    certain = np.maximum(np.abs(slope) - 4.0 * sd / np.sqrt(power), 0.0)
    _gate(
        "drift",
        gates,
        certain,
        gates.drift_max,
        "drift per second",
        "the reading still settles: wait, let the sensor warm up, make sure that nothing touches the tool",
    )
    _gate(
        "bias",
        gates,
        np.abs(mean),
        gates.bias_max,
        "offset",
        "something touches the tool or the arm, or mass or centre of mass of the tool in the cell file is wrong",
    )
    return Tare(mean=mean, sd=sd, n=n, t=float(t[-1]))


def _gate(name: str, gates: TareGates, value: Array, limit: Array, what: str, then: str) -> None:
    within = np.isfinite(value) & (value <= limit)
    if within.all():
        return
    read = ", ".join(
        f"{gates.axes[i]} {value[i]:.4g} (at most {limit[i]:.4g})" for i in range(len(limit)) if not within[i]
    )
    raise TareError(name, f"{what} of {read}: {then}; then tare again")
