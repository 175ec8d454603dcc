"""What really happened in a mock cell, tick by tick: the yardstick for observers, gates and stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drivers.contract import Array
from sim_mocks.errors import MockError

_VECTORS = ("tau_motor", "overlay", "q", "qd", "tau_ext")
_CHUNK = 4096


class TruthLog:
    """Grows in chunks; with ``full=False`` only the extremes are kept.

    Row k belongs to tick k: torque and brakes *during* it; q, qd, contact and session state at its end; age of the
    packet answered by the command that begins to act in it.
    """

    def __init__(self, dt: float, full: bool = True, n: int = 7) -> None:
        self._dt, self._full, self._n = dt, full, n
        self._columns: dict[str, slice | int] = {name: slice(k * n, k * n + n) for k, name in enumerate(_VECTORS)}
        end = n * len(_VECTORS)
        self._columns |= {
            "wrench_contact": slice(end, end + 6),
            "braked": end + 6,
            "session_state": end + 7,
            "command_age": end + 8,
        }
        self._end, self._width = end, end + 9
        self._chunks: list[Array] = []
        self._rows = np.zeros((_CHUNK, self._width))
        self._used = 0
        self._folded = 0
        self.ticks = 0
        self._max_tau = np.zeros(n)
        self._max_rate = np.zeros(n)
        self._max_overlay = np.zeros(n)
        self._max_speed = np.zeros(n)
        self._last_tau = np.zeros(n)
        self._braked_since: int | None = None

    def append(
        self,
        tau: Array,
        overlay: Array,
        q: Array,
        qd: Array,
        tau_ext: Array,
        contact: Array,
        braked: bool,
        state: int,
        command_age: float = -1.0,
    ) -> None:
        """Record one tick."""
        if self._used == _CHUNK:
            self._fold()
            if self._full:
                self._chunks.append(self._rows)
                self._rows = np.zeros((_CHUNK, self._width))
            self._used = self._folded = 0
        row = self._rows[self._used]
        n, end = self._n, self._end
        row[0:n] = tau
        row[n : 2 * n] = overlay
        row[2 * n : 3 * n] = q
        row[3 * n : 4 * n] = qd
        row[4 * n : end] = tau_ext
        row[end : end + 6] = contact
        row[end + 6] = braked
        row[end + 7] = state
        row[end + 8] = command_age
        if not braked:
            self._braked_since = None
        elif self._braked_since is None:
            self._braked_since = self.ticks
        self._used += 1
        self.ticks += 1

    def truth(self) -> dict[str, npt.NDArray[Any]]:
        """All ticks: ``t_ns`` (T,) at the end of each, ``tau_motor``, ``overlay``, ``q``, ``qd``, ``tau_ext`` (T, n),
        ``wrench_contact`` (T, 6), ``braked`` (T,) bool, ``session_state`` (T,), ``command_age`` (T,) s: of the packet
        that a command answers which acts from this tick on, -1 where none does. Raises MockError in summary mode."""
        if not self._full:
            raise MockError("this cell keeps a summary of its truth only; build it with truth='full'")
        rows = np.concatenate([*self._chunks, self._rows[: self._used]])
        data: dict[str, npt.NDArray[Any]] = {name: rows[:, column] for name, column in self._columns.items()}
        data["braked"] = data["braked"].astype(bool)
        data["session_state"] = data["session_state"].astype(np.int64)
        data["t_ns"] = (np.arange(1, len(rows) + 1) * round(self._dt * 1e9)).astype(np.int64)
        return data

    def summary(self, since: int | None = None) -> dict[str, Any]:
        """Extremes since the start and, with a tick ``since`` (full logs only), the joint travel after its end."""
        self._fold()
        out: dict[str, Any] = {
            "ticks": self.ticks,
            "max_tau": self._max_tau.tolist(),
            "max_tau_rate": self._max_rate.tolist(),
            "max_overlay": self._max_overlay.tolist(),
            "max_speed": self._max_speed.tolist(),
            "braked_since": self._braked_since,
        }
        if since is not None:
            if not 0 <= since < self.ticks:
                raise MockError(f"truth since tick {since}: only ticks 0 … {self.ticks - 1} have happened")
            q = self.truth()["q"][since:]
            out["travel"] = np.abs(q - q[0]).max(axis=0).tolist()
        return out

    def save(self, path: Path) -> None:
        """Write :meth:`truth` as ``.npz``; read it with ``numpy.load(path, allow_pickle=False)``."""
        np.savez(path, allow_pickle=False, **self.truth())

    def _fold(self) -> None:
        rows = self._rows[self._folded : self._used]
        if not len(rows):
            return
        n = self._n
        tau = rows[:, 0:n]
        rate = np.abs(np.diff(tau, axis=0, prepend=self._last_tau[None])).max(axis=0) / self._dt
        self._max_rate = np.maximum(self._max_rate, rate)
        self._max_tau = np.maximum(self._max_tau, np.abs(tau).max(axis=0))
        self._max_overlay = np.maximum(self._max_overlay, np.abs(rows[:, n : 2 * n]).max(axis=0))
        self._max_speed = np.maximum(self._max_speed, np.abs(rows[:, 3 * n : 4 * n]).max(axis=0))
        self._last_tau = tau[-1].copy()
        self._folded = self._used
