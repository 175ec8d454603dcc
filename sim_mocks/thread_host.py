"""A mock cell that runs by the wall clock in a thread, for clients in the same process that block while they wait.

Neither the supervisor nor any driver of ours needs it: they bring their waiting along. Third-party clients do not
(canopen's nodes, piper_sdk), and python-can's ``virtual`` does not leave the process.
"""

from __future__ import annotations

import threading
from types import TracebackType

from sim_mocks.host import MockCell
from sim_mocks.pacing import Pacer


class ThreadHost:
    """Context manager: inside it the cell's time runs, one tick of the world per tick of the wall clock at most."""

    def __init__(self, cell: MockCell) -> None:
        self.cell = cell
        self.lock = threading.Lock()
        """Held while a tick runs; take it to look at the cell between two ticks."""
        self.error: BaseException | None = None
        """What ended the thread early; raised again on leaving."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mock cell", daemon=True)

    def __enter__(self) -> ThreadHost:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.cell.close()
        if self.error is not None and error is None:
            raise self.error

    def _run(self) -> None:
        pacer = Pacer(self.cell.dt_ns)
        try:
            while not self._stop.is_set():
                pacer.wait()
                with self.lock:
                    self.cell.tick()
        except BaseException as error:
            self.error = error
