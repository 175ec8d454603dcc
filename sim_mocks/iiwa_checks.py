"""What the mock controller refuses to do: its own checks of every command, independent of any client's gate.

Each check returns a sentence with joint, value and limit, or ``None``. A refused command never reaches a motor.
The limits that no document gives are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivers.contract import Array

_SLACK = 1e-9
_Q_STEP_SLACK = 2e-3
"""rad that a position reference may jump beyond its velocity limit (echoed sensor noise, a first command)."""
_SPEED_MARGIN = 1.1


@dataclass(frozen=True, slots=True, eq=False)
class CommandChecks:
    """Limits with shape (7,) where they are arrays; rad, rad/s, N·m, N·m/s."""

    q_min: Array
    q_max: Array
    qd_max: Array
    tau_max: Array
    overlay_max: Array
    tau_rate_max: float
    axis_delta: float

    def command(
        self,
        q_ref: Array,
        tau: Array,
        q: Array,
        g: Array,
        stiffness: Array,
        last_q_ref: Array,
        last_tau: Array,
        elapsed: float,
    ) -> str | None:
        """Judge a finite command in COMMANDING_ACTIVE.

        ``q`` is where the arm is, ``g`` the controller's gravity torque; ``last_*`` belong to the command accepted
        ``elapsed`` seconds ago. The rate counts what the command itself changes: overlay and spring set-point.
        """
        if (np.abs(tau) > self.overlay_max + _SLACK).any():
            return _text("overlay torque", tau, self.overlay_max, "N·m")
        if ((q_ref < self.q_min - _SLACK) | (q_ref > self.q_max + _SLACK)).any():
            return _text("commanded position", q_ref, np.maximum(-self.q_min, self.q_max), "rad")
        if (np.abs(q_ref - q) > self.axis_delta).any():
            return "illegal axis delta: " + _text(
                "commanded minus measured", q_ref - q, self._full(self.axis_delta), "rad"
            )
        q_step = q_ref - last_q_ref
        if (np.abs(q_step) > self.qd_max * elapsed + _Q_STEP_SLACK).any():
            return _text("step of the commanded position", q_step, self.qd_max * elapsed + _Q_STEP_SLACK, "rad")
        rate = (tau - last_tau + stiffness * q_step) / elapsed
        if (np.abs(rate) > self.tau_rate_max * (1.0 + _SLACK)).any():
            return _text("torque rate", rate, self._full(self.tau_rate_max), "N·m/s")
        total = g + tau + stiffness * (q_ref - q)
        if (np.abs(total) > self.tau_max + _SLACK).any():
            return _text("total torque", total, self.tau_max, "N·m")
        return None

    def motion(self, q: Array, qd: Array) -> str | None:
        """Judge where the arm is and how fast it moves."""
        if (np.abs(qd) > _SPEED_MARGIN * self.qd_max).any():
            return _text("joint speed", qd, _SPEED_MARGIN * self.qd_max, "rad/s")
        if ((q < self.q_min) | (q > self.q_max)).any():
            return _text("joint position", q, np.maximum(-self.q_min, self.q_max), "rad")
        return None

    def _full(self, value: float) -> Array:
        return np.full(len(self.tau_max), value)


def _text(what: str, values: Array, limit: Array, unit: str) -> str:
    joint = int(np.argmax(np.abs(values) / limit))
    return f"{what} of A{joint + 1} is {values[joint]:.4g} {unit}, allowed are ±{limit[joint]:.4g} {unit}"
