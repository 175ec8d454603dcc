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
from drivers.fri.wire import Quality, SessionState
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
            "fri_peer": lambda host, port: cell.fri_peer(str(host), int(port)),
            "open_session": lambda: cell.controller.open_session(cell.t_ns),
            "close_session": lambda: cell.controller.close_session(cell.t_ns),
            "start_overlay": lambda **how: cell.controller.start_overlay(cell.t_ns, **how),
            "cancel_overlay": lambda: cell.controller.cancel_overlay(cell.t_ns),
            "safety_stop": lambda level: cell.controller.safety_stop(cell.t_ns, int(level)),
            "set_mode": lambda mode: cell.controller.set_mode(cell.t_ns, int(mode)),
            "set_io": lambda name, value: cell.controller.ios.set(str(name), value),
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

    def __call__(self, op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``op``. Raises :class:`ControlError` with a sentence for everything that goes wrong."""
        function = self._table.get(op)
        if function is None:
            raise ControlError(f"operation {op!r} does not exist; there are {', '.join(sorted(self._table))}")
        try:
            return function(**arguments) or {}
        except (MockError, DriverError, ModelError, ValueError, TypeError, OSError) as error:
            raise ControlError(f"{op}: {error}") from error

    def _hello(self) -> dict[str, Any]:
        cell = self._cell
        return {
            "pid": cell._processes["mock"],
            "n": cell.world.n,
            "dt": cell.config.world.dt,
            "tick": cell.ticks,
            "fri": list(cell.fri_address),
            "ft_path": cell.ft_path,
            "profile": cell.config.world.profile,
            "seed": cell.config.seed,
            "paced": cell.config.paced or cell.config.realtime,
            "realtime": cell.config.realtime,
        }

    def _state(self) -> dict[str, Any]:
        cell, controller = self._cell, self._cell.controller
        quality, position, loose = controller.quality, cell.world.pose()[0], cell.world.object_pose()
        return {
            "tick": cell.ticks,
            "t_ns": cell.t_ns,
            "session": SessionState(controller.state).name,
            "quality": Quality(quality.level).name,
            "phase": controller.joints.phase.name,
            "standing": cell.standing(),
            "q": cell.world.q.tolist(),
            "tcp": position.tolist(),
            "errors": [[t_ns, text] for t_ns, text in controller.errors],
            "answers": {
                "answered": quality.answered,
                "late": quality.late,
                "stale": quality.stale,
                "unknown": quality.unknown,
                "missed": quality.missed,
            },
            "rejected": dict(controller.rejected),
            "ios": dict(controller.ios.values),
            "object": None if loose is None else loose[0].tolist(),
            "foreign": cell.udp.foreign,
            "problems": list(cell.problems),
            "skipped": cell.skipped,
            "late_max_ns": cell.late_max_ns,
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
