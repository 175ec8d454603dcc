"""Joint torques into MIT frames, and what the arm then makes of them."""

from __future__ import annotations

import numpy as np

from drivers.contract import Array, MitCommand, TorqueCommand
from drivers.errors import RefusedError
from drivers.piper import codec
from drivers.piper.config import FirmwareScale


class TorqueFrames:
    """Clamps and rounds to what eight bits hold: :attr:`acting` is what was really sent."""

    def __init__(self, scale: FirmwareScale) -> None:
        self._scale = np.array(scale.torque)
        self._signs = np.array(scale.signs, dtype=np.float64)
        self.acting: Array = np.zeros(codec.N)
        """Joint torque that the frames of the last :meth:`encode` make at the posture given there, (6,) N·m."""
        self.lo: Array = self.acting
        """Lower bound of the torque that acts on the arm, N·m."""
        self.hi: Array = self.acting
        """Upper bound of it."""
        self.clamped = 0
        """Joint torques that did not fit into a frame."""

    def encode(self, command: TorqueCommand | MitCommand, q: Array, qd: Array) -> list[codec.Outgoing]:
        """One frame for each joint at measured ``q`` (rad) and ``qd`` (rad/s), (6,). Without gains, position and speed
        in a frame mean nothing and are the measured ones. Raises RefusedError for what is not finite or not (6,)."""
        gains = isinstance(command, MitCommand)
        fields = ("tau", "q_ref", "qd_ref", "kp", "kd") if gains else ("tau",)
        values = {name: self._vector(name, getattr(command, name)) for name in fields}
        if gains and (values["kp"].min() < 0.0 or values["kd"].min() < 0.0):
            raise RefusedError("a stiffness or damping below zero drives the arm; nothing was sent")
        zero = np.zeros(codec.N)
        tau, kp, kd = values["tau"], values.get("kp", zero), values.get("kd", zero)
        p, v = values.get("q_ref", q), values.get("qd_ref", zero)
        wire = self._signs * tau / self._scale
        self.clamped += int(np.count_nonzero(np.abs(wire) > codec.T_MAX))
        codes = [codec.torque_code(t) for t in wire.tolist()]
        rows = zip((self._signs * p).tolist(), (self._signs * v).tolist(), kp.tolist(), kd.tolist(), codes, strict=True)
        frames = [codec.encode_mit(joint, *row) for joint, row in enumerate(rows)]
        sent: Array = self._signs * self._scale * np.array([codec.torque_of(code) for code in codes])
        if gains:
            held = np.array([codec.mit_gains(k, d) for k, d in zip(kp.tolist(), kd.tolist(), strict=True)])
            sent = sent + held[:, 0] * (p - q) + held[:, 1] * (v - qd)
        self.acting = sent
        return frames

    def sent(self, taken: bool) -> None:
        """The frames of the last :meth:`encode` left, all or not all ``taken``: some joints may act on the old ones."""
        if taken:
            self.lo = self.hi = self.acting
        else:
            self.lo, self.hi = np.minimum(self.lo, self.acting), np.maximum(self.hi, self.acting)

    def known(self, tau: Array | None) -> None:
        """What acts is not ours: the arm's own ``tau`` (6,) N·m, or None where nothing is to be said of it."""
        self.lo = self.hi = np.zeros(codec.N) if tau is None else tau

    @staticmethod
    def _vector(name: str, value: object) -> Array:
        array = np.asarray(value, dtype=np.float64)
        if array.shape != (codec.N,) or not np.isfinite(array).all():
            raise RefusedError(f"{name} = {value}: expected six finite numbers; nothing was sent")
        return array
