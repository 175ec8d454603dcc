"""Joint controller and brakes of the mock robot: what torque the motors give in each tick, whatever is commanded.

The last stage bounds magnitude and rate of every motor torque, so that the joints cannot feel more by construction;
that a *command* asked for more is found earlier, by :mod:`sim_mocks.iiwa_checks`.
"""

from __future__ import annotations

import enum

import numpy as np

from drivers.contract import Array
from sim_mocks.iiwa_dynamics import GravityModel

# Stiffness (N·m/rad) and damping (N·m·s/rad) of the robot's own position hold: about 100 rad/s (60 for the heavy
# joint 2) and damping ratio 0.7 at the inertia that an iiwa 14 shows at each joint with the others free to move.
HOLD_STIFFNESS = (3000.0, 6000.0, 1200.0, 3000.0, 300.0, 300.0, 20.0)
HOLD_DAMPING = (39.0, 137.0, 15.0, 47.0, 3.8, 3.9, 0.26)
_RELEASE_TOLERANCE = 0.5
"""N·m by which the motors may still miss the holding torque when the brakes open."""


class Phase(enum.IntEnum):
    """What the joints are doing."""

    BRAKED = 0
    """Brakes closed, motors without torque."""
    RELEASING = 1
    """Brakes still closed while the motors take over the load."""
    HOLDING = 2
    """Position hold of the robot's own."""
    OVERLAY = 3
    """Gravity compensation + joint impedance + the client's overlay."""
    STOPPING = 4
    """Damped braking with the overlay fading, until the brakes have closed."""


class JointController:
    """Torque law of each :class:`Phase`; joint vectors (7,), SI."""

    def __init__(
        self,
        model: GravityModel,
        tau_max: Array,
        tau_rate_max: float,
        dt: float,
        release_delay: float,
        engage_delay: float,
    ) -> None:
        n = len(tau_max)
        self._model = model
        self._tau_max, self._tau_min = tau_max, -tau_max
        self._step_max = np.full(n, tau_rate_max * dt)
        self._step_min = -self._step_max
        self._release_ns, self._engage_ns = round(release_delay * 1e9), round(engage_delay * 1e9)
        self._hold_k, self._hold_d = np.array(HOLD_STIFFNESS), np.array(HOLD_DAMPING)
        self._since_ns = 0
        self._dt = dt
        self.phase = Phase.BRAKED
        self.q_hold = np.zeros(n)
        """Set-point of the position hold, which is also the interpolator's."""
        self.stiffness, self.damping = np.zeros(n), np.zeros(n)
        self.overlay = np.zeros(n)
        """Overlay that acts now (follows the commanded one within the rate limit)."""
        self.overlay_commanded = np.zeros(n)
        self.q_ref = np.zeros(n)
        """Spring set-point that acts now."""
        self._stiff = False
        # Position control: the reference on its straight way to the commanded one, and what is left of the way.
        self._q_servo = np.zeros(n)
        self._way = np.zeros(n)
        self._ticks_left = 0
        self.g = np.zeros(n)
        """The controller's gravity torque in the last tick."""
        self.tau = np.zeros(n)
        """Motor torque of the last tick."""
        self.saturated = False
        """The last tick's torque was held back by the magnitude or rate bound."""

    def start(self, t_ns: int, q: Array) -> None:
        """Begin to release the brakes and hold ``q``."""
        self.phase, self._since_ns = Phase.RELEASING, t_ns
        self.q_hold = q.copy()

    def follow(self, stiffness: Array, damping: Array, stiff: bool = False) -> None:
        """Go from the position hold to impedance control with overlay, starting at zero overlay; ``stiff``: stay in
        position control, and let it follow the commanded positions."""
        self.phase = Phase.OVERLAY
        self.stiffness, self.damping = stiffness, damping
        self._stiff, self._q_servo, self._ticks_left = stiff, self.q_hold, 0
        self.overlay = np.zeros_like(self.overlay)
        self.overlay_commanded = self.overlay
        self.q_ref = self.q_hold

    def command(self, tau: Array, q_ref: Array, ticks: int = 1) -> None:
        """Take an overlay and a position reference that have passed every check; position control takes ``ticks`` to
        get there."""
        self.overlay_commanded, self.q_ref = tau, q_ref
        self._way, self._ticks_left = (q_ref - self._q_servo) / ticks, ticks

    def stop(self, t_ns: int) -> None:
        """Brake: overlay to zero, damping, brakes closing."""
        if self.phase not in (Phase.BRAKED, Phase.STOPPING):
            self.phase, self._since_ns = Phase.STOPPING, t_ns

    def step(self, t_ns: int, q: Array, qd: Array) -> tuple[Array, bool]:
        """Motor torque (7,) for the coming tick and whether the brakes are closed in it."""
        self.g = g = self._model.gravity(q)
        phase = self.phase
        if phase is Phase.STOPPING and t_ns - self._since_ns >= self._engage_ns:
            phase = self.phase = Phase.BRAKED
            self.overlay = self.overlay_commanded = np.zeros_like(self.overlay)
        if phase is Phase.OVERLAY and self._stiff:
            velocity = self._way / self._dt if self._ticks_left else 0.0
            if self._ticks_left:
                self._q_servo = self._q_servo + self._way
                self._ticks_left -= 1
            target = g + self._hold_k * (self._q_servo - q) + self._hold_d * (velocity - qd)
        elif phase is Phase.OVERLAY:
            self._follow_overlay(self.overlay_commanded)
            target = g + self.overlay + self.stiffness * (self.q_ref - q) - self.damping * qd
        elif phase is Phase.BRAKED:
            target = np.zeros_like(g)
        elif phase is Phase.STOPPING:
            self._follow_overlay(0.0)
            target = g + self.overlay - self._hold_d * qd
        else:
            target = g + self._hold_k * (self.q_hold - q) - self._hold_d * qd
        bounded = np.minimum(np.maximum(target, self._tau_min), self._tau_max)
        self.tau = self.tau + np.minimum(np.maximum(bounded - self.tau, self._step_min), self._step_max)
        missing = float(np.abs(target - self.tau).max())
        self.saturated = missing > 1e-9
        if phase is Phase.RELEASING and t_ns - self._since_ns >= self._release_ns and missing < _RELEASE_TOLERANCE:
            phase = self.phase = Phase.HOLDING
        return self.tau, phase is Phase.BRAKED or phase is Phase.RELEASING

    def _follow_overlay(self, target: Array | float) -> None:
        self.overlay = self.overlay + np.minimum(np.maximum(target - self.overlay, self._step_min), self._step_max)
