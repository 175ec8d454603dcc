"""Samples for learned inverse dynamics, from our own logs and from the files that others publish.

=============  ======================================================================================================
``.mcap``      logs of a cell: free motion under command, as :mod:`hil.learning.segments` finds it; each piece is one
               trajectory. Acceleration from differences of the velocity, everything low-passed without phase
``.npz``       ``q qd qdd tau``, each (N, n), and ``traj`` or ``trajectory`` (N,)
``.csv``       columns ``q1 … qd1 … qdd1 … tau1 …`` (also ``q_0 [rad]``), and ``traj`` or ``trajectory``
``.mat``       SARCOS: 28 columns q(7) qd(7) qdd(7) tau(7) (Vijayakumar, D'Souza & Schaal 2005)
``.txt .dat``  28 columns, the torques divided by 50 70 20 20 4 4 2 N·m (layout ``kuka-sim``) or 40 40 20 20 4 4 2
               (``kuka-real``), as the public KUKA LWR text files have them; ``si`` where they are N·m
=============  ======================================================================================================

Everything is SI: rad, rad/s, rad/s², N·m. Where a file does not say what is one trajectory, a new one begins where a
joint jumps.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError
from scipy.signal import butter, filtfilt

from estimators.dynamics.samples import Ints, Samples
from estimators.errors import ParameterError
from hil.learning.segments import Segment, segments_of
from hil.telemetry.log import LogError, read_log

Array = npt.NDArray[np.float64]
Layout = Literal["kuka-sim", "kuka-real", "si"]
Torque = Literal["measured", "commanded", "commanded+gravity"]
"""Of logs: what the sensors told; what we commanded; the same with our model's gravity, which the robot adds."""

TORQUE_UNITS: dict[str, tuple[float, ...]] = {
    "kuka-sim": (50.0, 70.0, 20.0, 20.0, 4.0, 4.0, 2.0),
    "kuka-real": (40.0, 40.0, 20.0, 20.0, 4.0, 4.0, 2.0),
    "si": (1.0,) * 7,
}
"""N·m that one unit of the torque columns means, for each joint."""
CUTOFF = 15.0
"""Low-pass of logs, Hz."""
RATE = 100.0
"""Samples taken of a log, 1/s: more are repetitions."""
JUMP = 0.2
"""A joint that moves further than this from one sample to the next is on another trajectory, rad."""
_NAMES = ("q", "qd", "qdd", "tau")
_UNITS = {"q": ("rad",), "qd": ("rad/s",), "qdd": ("rad/s²", "rad/s2", "rad/s^2"), "tau": ("N·m", "Nm", "N m")}


class DataError(ValueError):
    """A file that no samples can be taken from; the message says what was read and what is expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Samples, and where each of their trajectories is from."""

    samples: Samples
    names: dict[int, str]
    """By trajectory."""


def read(
    paths: Sequence[Path], layout: Layout | None = None, lag: int = 0, torque: Torque = "measured"
) -> Recording:
    """The samples of all files; trajectories keep their numbers if there is one file, else they are counted anew.

    ``layout`` is needed for text files; ``lag`` in ticks is how much measured torque lags in logs, as a cell's
    ``observer.delay_ticks``, and ``torque`` which one is learnt from them. Raises DataError; LogError for a
    log that cannot be read.
    """
    parts: list[Samples] = []
    names: dict[int, str] = {}
    for path in paths:
        one, labels = _read(path, layout, lag, torque)
        if parts and one.n != parts[0].n:
            raise DataError(f"{path} has {one.n} joints, {paths[0]} has {parts[0].n}: train one arm at a time")
        numbers = one.trajectories
        new = numbers if len(paths) == 1 else np.arange(len(numbers)) + len(names)
        for number, own in zip(new, numbers, strict=True):
            names[int(number)] = labels.get(int(own), f"{path.name} #{own}")
        trajectory = new[np.searchsorted(numbers, one.trajectory)]
        parts.append(Samples(one.q, one.qd, one.qdd, one.tau, trajectory))
    if not parts:
        raise DataError("no data were named")
    return Recording(joined(parts), names)


def _read(path: Path, layout: Layout | None, lag: int, torque: Torque) -> tuple[Samples, dict[int, str]]:
    readers: dict[str, Callable[[], tuple[Samples, dict[int, str]]]] = {
        ".mcap": lambda: _log(path, lag, torque),
        ".npz": lambda: (_npz(path), {}),
        ".csv": lambda: (_csv(path), {}),
        ".mat": lambda: (_mat(path), {}),
        ".txt": lambda: (_text(path, layout), {}),
        ".dat": lambda: (_text(path, layout), {}),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: data are read from {', '.join(readers)}; this is {path.suffix or 'without a suffix'}")
    try:
        return reader()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (LogError, DataError):
        raise
    except ParameterError as error:
        raise DataError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile, NotImplementedError, csv.Error, MatReadError) as error:
        raise DataError(f"{path} is no {path.suffix} file that can be read ({error})") from error


def _log(path: Path, lag: int, torque: Torque) -> tuple[Samples, dict[int, str]]:
    pieces = segments_of(read_log(path))
    if not pieces:
        raise DataError(f"{path} has no free motion under command of 2 s or more: record motions without contact")
    if torque != "measured":
        pieces, lag = [commanded(piece, torque) for piece in pieces], 0
    samples = [from_segment(piece, k, lag) for k, piece in enumerate(pieces)]
    return joined(samples), {k: piece.name for k, piece in enumerate(pieces)}


def commanded(piece: Segment, torque: Torque) -> Segment:
    """The piece with the command in the place of the measured torque: it acts from its own row on."""
    assert piece.tau_cmd is not None
    assert piece.g is not None
    return replace(piece, tau=piece.tau_cmd + piece.g if torque == "commanded+gravity" else piece.tau_cmd)


def from_segment(piece: Segment, number: int = 0, lag: int = 0) -> Samples:
    """Samples at :data:`RATE` of one piece of a log.

    With the torque of row k acting from k on, a_k = (v_{k+1} − v_k)/dt is the acceleration that it causes; with a lag
    the torque of row k + lag is. A shift by one sample would be a silent error.
    """
    m = len(piece.q) - 1 - max(0, lag - 1)
    qdd = np.diff(piece.qd, axis=0)[:m] / piece.dt
    rows = [piece.q[:m], piece.qd[:m], qdd, piece.tau[lag : lag + m]]
    rows = [low_passed(part, piece.dt) for part in rows]
    step = max(1, round(1.0 / (RATE * piece.dt)))
    # The filter knows only one side at the ends.
    rim = round(0.1 / piece.dt)
    taken = [np.ascontiguousarray(part[rim : len(part) - rim : step], dtype=np.float64) for part in rows]
    q, qd, qdd, tau = taken
    return Samples(q, qd, qdd, tau, np.full(len(q), number, dtype=np.int64))


def low_passed(part: Array, dt: float) -> Array:
    """``part`` (m, n), every ``dt`` s, without what is faster than :data:`CUTOFF`, and without lag."""
    if dt * CUTOFF >= 0.4:
        return part
    b, a = butter(4, 2.0 * CUTOFF * dt)
    smooth: Array = filtfilt(b, a, part, axis=0)
    return smooth


def _npz(path: Path) -> Samples:
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in _NAMES if name not in file.files]
        if missing:
            raise DataError(f"{path} has no {', '.join(missing)}; expected q qd qdd tau, it has {file.files}")
        parts = [np.array(file[name], dtype=np.float64) for name in _NAMES]
        key = next((name for name in ("traj", "trajectory") if name in file.files), None)
        trajectory = np.array(file[key]) if key else None
    if parts[0].ndim != 2:
        raise DataError(f"{path}: q has the shape {parts[0].shape}; expected (samples, joints)")
    return _samples(parts, trajectory)


def _csv(path: Path) -> Samples:
    with path.open(newline="", encoding="utf-8") as file:
        head = next(csv.reader(file), [])
    columns: dict[str, dict[int, int]] = {name: {} for name in _NAMES}
    at: int | None = None
    for k, title in enumerate(head):
        if title.strip() in ("traj", "trajectory"):
            at = k
        elif match := re.fullmatch(r"(q|qd|qdd|tau)_?(\d+)(?:\s*\[(.*)\])?", title.strip()):
            name, unit = match[1], match[3]
            if unit is not None and unit not in _UNITS[name]:
                raise DataError(f"{path}: column {title!r} is in {unit}; expected {_UNITS[name][0]}")
            columns[name][int(match[2])] = k
    joints = sorted(columns["q"])
    if not joints or any(sorted(columns[name]) != joints for name in _NAMES):
        found = ", ".join(f"{name} of {len(columns[name])} joints" for name in _NAMES)
        raise DataError(
            f"{path}: the header has {found}; expected q1 …, qd1 …, qdd1 …, tau1 … of the same joints. A log of "
            "our own is read as it is (.mcap); its CSV has no acceleration"
        )
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, encoding="utf-8")
    parts = [table[:, [columns[name][j] for j in joints]] for name in _NAMES]
    return _samples(parts, table[:, at] if at is not None else None)


def _mat(path: Path) -> Samples:
    content = loadmat(path)
    tables = [value for name, value in content.items() if not name.startswith("__") and np.ndim(value) == 2]
    table = next((part for part in tables if part.shape[1] == 28 and np.issubdtype(part.dtype, np.number)), None)
    if table is None:
        raise DataError(f"{path} has no array of 28 columns, as SARCOS has; only {[np.shape(part) for part in tables]}")
    return _columns(np.array(table, dtype=np.float64), "si")


def _text(path: Path, layout: Layout | None) -> Samples:
    if layout is None:
        raise DataError(f"{path} does not say how its torques are scaled: name the layout ({', '.join(TORQUE_UNITS)})")
    text = path.read_text(encoding="utf-8")
    table = np.loadtxt(text.replace(",", " ").splitlines(), ndmin=2)
    if table.shape[1] != 28:
        raise DataError(f"{path} has {table.shape[1]} columns; expected 28: q, qd, qdd, tau of 7 joints each")
    return _columns(table, layout)


def _columns(table: Array, layout: Layout) -> Samples:
    q, qd, qdd, tau = np.hsplit(table, 4)
    return _samples([q, qd, qdd, tau * np.array(TORQUE_UNITS[layout])], None)


def _samples(parts: list[Array], trajectory: npt.NDArray[np.generic] | None) -> Samples:
    numbers: Ints
    if trajectory is None:
        jumps = (np.abs(np.diff(parts[0], axis=0)) > JUMP).any(axis=1)
        numbers = np.concatenate(([0], np.cumsum(jumps))).astype(np.int64)
    else:
        numbers = trajectory.astype(np.int64)
    q, qd, qdd, tau = (np.ascontiguousarray(part) for part in parts)
    return Samples(q, qd, qdd, tau, numbers)


def joined(parts: Sequence[Samples]) -> Samples:
    """All samples in one, the trajectories' numbers as they are."""
    q, qd, qdd, tau = (np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES)
    return Samples(q, qd, qdd, tau, np.concatenate([part.trajectory for part in parts]))
