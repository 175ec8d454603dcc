"""A two-position gripper on the mock controller's inputs and outputs.

A grasp has one of two forms. ``constraint``: the loose object of the world, if it lies within reach when the jaws have
closed, is fixed to the tool as it lies, and falls when they open. ``mass``: the exact-test form; wherever the object
may be, its mass hangs on the flange, exactly, and vanishes afterwards. In neither do the jaws have a shape, and neither
says whether a grasp holds.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from drivers.contract import Array
from sim_mocks.config import GripperConfig
from sim_mocks.iiwa_ios import IoBank


class Payload(Protocol):
    """What a gripper does to the world."""

    def attach(self, mass: float, com: Array) -> None: ...

    def release(self) -> None: ...

    def grasp(self) -> bool: ...

    def let_go(self) -> None: ...


class MockGripper:
    """Jaws that follow an output after their travel time, and tell by two inputs where they are."""

    def __init__(self, config: GripperConfig, bank: IoBank, world: Payload) -> None:
        self._config, self._bank, self._world = config, bank, world
        self._travel_ns = round(config.travel_time * 1e9)
        self._closing = False
        self._due_ns = 0
        self._arrived = False
        self.holding = False
        """The object hangs on the flange, or is fixed to the tool."""

    def tick(self, t_ns: int) -> None:
        """Move on to ``t_ns``."""
        config, bank = self._config, self._bank
        closing = bank.values[config.close] != 0.0
        if closing != self._closing:
            self._closing, self._due_ns, self._arrived = closing, t_ns + self._travel_ns, False
            bank.set(config.opened, 0.0)
            if not closing and self.holding:  # it falls as soon as the jaws let go
                self.holding = False
                bank.set(config.holding, 0.0)
                if config.grasp == "mass":
                    self._world.release()
                else:
                    self._world.let_go()
        elif not self._arrived and t_ns >= self._due_ns:
            self._arrived = True
            if not closing:
                bank.set(config.opened, 1.0)
            elif self._grasp():
                self.holding = True
                bank.set(config.holding, 1.0)

    def _grasp(self) -> bool:
        config = self._config
        if config.grasp == "constraint":
            return self._world.grasp()
        if config.object_mass > 0.0:
            self._world.attach(config.object_mass, np.array(config.object_com))
        return config.object_mass > 0.0
