"""The gripper of a Python session."""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import RefusedError
from drivers.gripper import GripSample, GripState
from hil.gripping import Grip
from hil.motion import JointHold, Motion
from hil.supervisor import Supervisor
from safety.states import State


class SessionGripper:
    """``session.gripper``: what ``hil grip`` does at a running cell, and reading.

    Closing announces the payload that the cell file declares: once the gripper holds something, the model carries it.
    """

    def __init__(self, supervisor: Supervisor, grip: Grip, ask: Callable[[Callable[[], None]], None]) -> None:
        """``ask`` carries a request out and turns a RefusedError into the session's own."""
        self._supervisor, self._grip, self._ask = supervisor, grip, ask

    def read(self) -> GripSample:
        """Where the jaws are, as of the last cycle. Raises SessionError before the first one."""
        self._ask(self._require_sample)
        assert self._grip.sample is not None
        return self._grip.sample

    @property
    def payload(self) -> float:
        """Mass that the model carries now, kg; 0 for none."""
        carried = self._grip.carried
        return 0.0 if carried is None else carried.mass

    def grasp(self, wait: bool = True) -> GripState:
        """Close the jaws; where they then are. ``wait``: let cycles pass until they have arrived.

        The next trace has these cycles. A fault meanwhile ends the waiting and is told by the session's next call.
        Raises SessionError where the jaws may not move now: while the arm moves, or without a link.
        """
        return self._go(self._grip.grasp, wait)

    def let_go(self, wait: bool = True) -> GripState:
        """Open the jaws; else as :meth:`grasp`. What they hold falls."""
        return self._go(self._grip.let_go, wait)

    def _go(self, command: Callable[[], None], wait: bool) -> GripState:
        supervisor, grip = self._supervisor, self._grip

        def request() -> None:
            motion: Motion | None = supervisor.motion if supervisor.moving else None
            if supervisor.state is State.STOPPING or not (motion is None or isinstance(motion, JointHold)):
                what = "it is being stopped" if motion is None else f"motion {motion.name!r} is under way"
                raise RefusedError(f"the jaws move while the arm stands: {what}")
            command()

        self._ask(request)
        first = supervisor.machine.first
        supervisor.step()
        while wait and grip.state is GripState.MOVING and supervisor.machine.first is first:
            supervisor.step()
        return grip.state

    def _require_sample(self) -> None:
        if self._grip.sample is None:
            raise RefusedError("there is no sample yet: call bring_up() or step() first")
