"""The enabling key of a cell that is guided by hand: held only as long as it is heard of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class EnablingKey:
    """Held from :meth:`press` until :meth:`let_go`, or until nobody has pressed again for ``timeout`` s.

    A client presses again and again while a person holds the key, so that a client that hangs, dies or loses its line
    counts as a hand that lets go. ``switch``: name of a robot input that must be true as well, None for none;
    ``inputs``: the robot's inputs now, by name.
    """

    def __init__(
        self, now_ns: Callable[[], int], timeout: float, switch: str | None, inputs: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._now_ns = now_ns
        self._timeout_ns = round(1e9 * timeout)
        self._switch = switch
        self._inputs = inputs
        self._until_ns = -1

    def press(self) -> None:
        """The key is held now."""
        self._until_ns = self._now_ns() + self._timeout_ns

    @property
    def heard(self) -> bool:
        """It counts as held still, whatever has become of the guiding that it was for."""
        return self._now_ns() < self._until_ns

    def let_go(self) -> None:
        """The key is not held any more."""
        self._until_ns = -1

    def held(self) -> bool:
        """Key, and switch where there is one, are held."""
        return self.heard and self.why_not() == ""

    def why_not(self) -> str:
        """What is wrong with the switch, in words; empty where nothing is, or where the cell has none."""
        if self._switch is None:
            return ""
        inputs = self._inputs()
        if self._switch not in inputs:
            there = ", ".join(sorted(inputs)) or "none"
            return f"the robot reports no input {self._switch!r} (free_drive.enabling_input); it reports: {there}"
        return "" if inputs[self._switch] is True else f"hold the enabling switch ({self._switch}) as well"
