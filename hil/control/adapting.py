"""What a controller with a learnt feed-forward goes on learning from while it runs, as the controller sees it."""

from __future__ import annotations

from typing import Protocol

from drivers.contract import Array
from hil.control.shown import Learnt


class Adapting(Protocol):
    """Asked for the load that the model does not know, and told of each tick's motion. Never waits by the clock."""

    learnt: Learnt
    """What there is to show; updated in place."""

    @property
    def pid(self) -> int:
        """Of the process that learns; -1 while there is none."""
        ...

    @property
    def changes(self) -> int:
        """How often the load has been taken for another one, or estimated anew: its torque may have jumped."""
        ...

    def open(self, lockstep: bool) -> None:
        """Start what learns in a process of its own; in ``lockstep`` it acts at the same tick in every run."""
        ...

    def close(self) -> None:
        """End that; legal more than once."""
        ...

    def load(self, q: Array, qd: Array, qdd: Array, declared: Array) -> tuple[Array, Array] | None:
        """Torque of what the arm carries and its standard deviation, (n,) N·m each; None: it carries nothing.

        At (n,) rad, rad/s, rad/s². ``declared`` (n,) N·m: what is already carried as the weight of a declared load;
        it is taken off.
        """
        ...

    def learn(self, q: Array, qd: Array, qdd: Array, tau: Array, mean: Array, variance: Array, dt: float) -> None:
        """One tick: smoothed motion (n,) rad, rad/s, rad/s² and command N·m without the weight of a declared load.

        To be called right after model and :meth:`load` were asked for that motion. ``mean`` N·m: what the model,
        without any load, would have commanded for it, ``variance`` (N·m)² of the difference; ``dt`` s. Nothing is kept
        of the arrays, nothing is changed in them.
        """
        ...

    def carry(self, declared: bool) -> None:
        """Whether the model carries a declared load in this tick; called before :meth:`load`."""
        ...
