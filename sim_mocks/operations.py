"""What the control plane can do to a mock cell: one table of operations, JSON-safe in and out.

The socket server and the in-process :class:`LocalControl` share it, so that a test and a demonstration say the
same words to the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from drivers.errors import DriverError
from estimators.errors import ModelError
from sim_mocks.control_plane import Control, ControlError
from sim_mocks.errors import MockError
from sim_mocks.faults import Fault
from sim_mocks.host import MockCell


class Operations:
    """The operations by name; each raises MockError, ValueError or TypeError for what it cannot do."""

    def __init__(self, cell: MockCell) -> None:
        self._cell = cell
        self._table: dict[str, Callable[..., dict[str, Any] | None]] = {
            "hello": self._hello,
            "state": self._state,
            "unplug_ft": cell.unplug_ft,
            "plug_ft": cell.plug_ft,
            "push": self._push,
            "attach": lambda mass, com: cell.world.attach(float(mass), np.array(com, dtype=np.float64)),
            "release": lambda: cell.world.release(),
            "register": lambda name, pid: cell.register(str(name), int(pid)),
            "faults_add": self._faults_add,
            "faults_list": self._faults_list,
            "truth": lambda since=None: cell.log.summary(since),
            "truth_save": lambda path: cell.log.save(Path(path)),
            "run_out": lambda: {"ticks": cell.run_out()},
            "quit": lambda: None,
        }
        self._of_arm = cell.arm.operations()

    def __call__(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``op``. Raises :class:`ControlError` with a sentence for everything that goes wrong."""
        function, of_arm = self._table.get(op), self._of_arm.get(op)
        if function is None and of_arm is None:
            known = ", ".join(sorted({*self._table, *self._of_arm}))
            raise ControlError(f"operation {op!r} does not exist; there are {known}")
        try:
            if function is not None:
                return function(**arguments) or {}
            assert of_arm is not None
            return of_arm(self._cell.t_ns, **arguments) or {}
        except (MockError, DriverError, ModelError, ValueError, TypeError, OSError) as error:
            raise ControlError(f"{op}: {error}") from error

    def _hello(self) -> dict[str, Any]:
        cell = self._cell
        return {
            "pid": cell._processes["mock"],
            "n": cell.world.n,
            "dt": cell.config.world.dt,
            "tick": cell.ticks,
            "arm": cell.arm.name,
            **cell.arm.hello(),
            "ft_path": cell.ft_path,
            "profile": cell.config.world.profile,
            "seed": cell.config.seed,
            "paced": cell.config.paced or cell.config.realtime,
            "realtime": cell.config.realtime,
        }

    def _state(self) -> dict[str, Any]:
        cell = self._cell
        loose = cell.world.object_pose()
        return {
            "tick": cell.ticks,
            "t_ns": cell.t_ns,
            "standing": cell.standing(),
            "q": cell.world.q.tolist(),
            "tcp": cell.world.pose()[0].tolist(),
            "object": None if loose is None else loose[0].tolist(),
            "problems": list(cell.problems),
            "skipped": cell.skipped,
            "late_max_ns": cell.late_max_ns,
            **cell.arm.report(),
        }

    def _push(self, wrench: list[float] | None = None) -> None:
        if wrench is None:
            self._cell.world.push(None)
            return
        array = np.array(wrench, dtype=np.float64)
        if array.shape != (6,) or not np.isfinite(array).all():
            raise ValueError(f"wrench must be 6 finite numbers in N and N·m, or null; read {wrench}")
        self._cell.world.push(array)

    def _faults_add(self, faults: list[dict[str, Any]]) -> dict[str, Any]:
        new = [Fault.from_mapping(entry) for entry in faults]  # all are read before any is added
        return {"indices": [self._cell.faults.add(fault, self._cell.ticks) for fault in new]}

    def _faults_list(self) -> dict[str, Any]:
        plan = self._cell.faults
        return {
            "faults": [fault.to_mapping() for fault in plan.faults],
            "log": [[entry.tick, entry.index, entry.what] for entry in plan.log],
        }


class LocalControl(Control):
    """The control plane of a cell in this process."""

    def __init__(self, cell: MockCell) -> None:
        self._operations = Operations(cell)

    def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """See :meth:`Control.call`."""
        return self._operations(op, arguments)
