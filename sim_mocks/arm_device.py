"""What a mock cell expects of its arm's control electronics, whatever wire they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from drivers.contract import Array
from sim_mocks.world import ArmWorld


class ArmDevice(Protocol):
    """Drives and controller of one arm with their wires.

    Per tick: :meth:`misbehave` where faults are due, :meth:`receive`, :meth:`control`, a step of the world,
    :meth:`emit`. Times are virtual, ns.
    """

    name: str
    """Name of the device in faults and profiles."""
    ticks_per_cycle: int
    """Ticks of the world in what a client sees as one tick of the arm."""

    @property
    def overlay(self) -> Array:
        """Torque that the supervisor asked for and that acts now, (n,) N·m."""
        ...

    @property
    def state(self) -> int:
        """A number for the truth log: the FRI session state, or the number of drives in operation."""
        ...

    @property
    def command_age(self) -> float:
        """Age (s) of the packet answered by the command that begins to act in this tick; -1 where none does, or where
        a wire's commands answer no packet."""
        ...

    def secured(self, braked: bool) -> bool:
        """No motor will move the arm any more; ``braked``: all brakes are closed."""
        ...

    def misbehave(self, tick: int, t_ns: int, dt: float) -> None:
        """Begin and end the faults of the device itself."""
        ...

    def receive(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """Take what the wire has brought; ``quiet``: no fault can act in this tick."""
        ...

    def control(self, t_ns: int, world: ArmWorld) -> tuple[Array, bool | Sequence[bool]]:
        """Motor torque (n,) of the coming tick in N·m, and which brakes are closed in it."""
        ...

    def emit(self, tick: int, t_ns: int, quiet: bool, world: ArmWorld) -> None:
        """Put onto the wire what leaves at the end of the tick, ``t_ns``."""
        ...

    def hello(self) -> dict[str, Any]:
        """Where its wires are; JSON-safe."""
        ...

    def report(self) -> dict[str, Any]:
        """Its state for a person; JSON-safe."""
        ...

    def operations(self) -> Mapping[str, Callable[..., dict[str, Any] | None]]:
        """What the control plane can do to it, by name; each takes the time ``t_ns`` first."""
        ...

    def close(self) -> None:
        """Free its wires; legal more than once."""
        ...
