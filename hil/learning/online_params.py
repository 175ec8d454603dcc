"""Parameters of what is learnt while a cell runs; apart, since a cell file has them and needs nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass

from estimators.errors import ModelError


@dataclass(frozen=True, slots=True)
class LoadParams:
    """Of :class:`hil.learning.load.LoadWatch`."""

    jump: float = 3.0
    """Factor of the innovation from which the load is no longer what it was."""
    window: float = 0.1
    """Time constant of that innovation, s: shorter than that of the gains, or the estimate follows before it shows."""
    rest: float = 1.0
    """Time after a jump, or after the cell has declared a load, within which there is no other, s."""
    every: int = 10
    """Ticks from one sample to the next: smoothed signals say little new in between."""
    drift: float = 0.0001
    """Relative loss of certainty per second, 1/s: what changes at once is a jump, and nothing else changes."""


@dataclass(frozen=True, slots=True)
class OnlineParams:
    """Of :class:`hil.learning.online.Learner`."""

    batch: int = 100
    """Samples that are learnt at once."""
    every: int = 5
    """Ticks from one sample to the next: neighbours at 1 kHz say the same."""
    settle: int = 100
    """In lockstep: ticks from the end of a batch to the tick at which what it taught takes effect."""
    keep: float = 0.8
    """κ of :mod:`estimators.dynamics.online`."""
    weight: float = 0.005
    """w: of 80,000 offline samples 400 are left, as many as five batches at κ = 0.8."""
    guarded: bool = True
    """False: each batch is learnt as soon as it has been scored, and whatever is finite is taken over. The guard
    protects what was known offline; a load that no estimator takes off is refused with the rest."""
    retrain: bool = False
    """Gradient steps on network, kernel and inducing points between the batches; see :mod:`hil.learning.retraining`."""

    def __post_init__(self) -> None:
        if not 0 < self.settle < self.batch * self.every:
            raise ModelError(
                f"settle is {self.settle} ticks, a batch takes {self.batch * self.every}; expected less, and above 0: "
                "one batch must be dealt with before the next is complete"
            )
        if self.retrain and not self.guarded:
            raise ModelError("retrain needs the guard: new features can go wrong everywhere at once")
