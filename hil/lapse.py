"""Tells once when the observer has known nothing for a while, and once when it knows again."""

from __future__ import annotations

PATIENCE = 0.02
"""How long nothing may be known without a word, s: a lost packet or two are the link's news."""


class Lapse:
    """Time in which the observer knew nothing, from its first estimate on; :meth:`take` once a cycle."""

    def __init__(self) -> None:
        self._begun = False
        self._since = 0.0
        self._told = False

    def take(self, known: bool, seconds: float) -> str:
        """What is to be said after a cycle of ``seconds`` s; most often nothing."""
        if known:
            said = f"the observer knows the external torque again, after {self._since:.3f} s" if self._told else ""
            self._begun, self._since, self._told = True, 0.0, False
            return said
        if not self._begun:
            return ""
        self._since += seconds
        if self._told or self._since <= PATIENCE:
            return ""
        self._told = True
        return (
            "the observer does not know the external torque: samples are missing or not finite, time leapt, or an "
            "encoder stands while its joint moves; contact is not seen by it meanwhile"
        )
