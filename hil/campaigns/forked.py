"""A function in a forked copy of this process: what it does to the world stays there, its bytes come back."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


class Forked:
    """``work`` runs in a child from now on; :meth:`result` waits for it. Only bytes pass, nothing is unpickled."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        self._pipe, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                os.close(self._pipe)
                with os.fdopen(write, "wb") as pipe:
                    pipe.write(work())
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)  # no clean-up of what belongs to the parent
        os.close(write)

    def result(self) -> bytes:
        """What ``work`` returned. Raises RuntimeError where it failed; the child has printed why."""
        with os.fdopen(self._pipe, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        if status:
            raise RuntimeError(f"a forked trial ended with status {os.waitstatus_to_exitcode(status)}; see above")
        return data
