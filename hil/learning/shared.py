"""Memory that two processes share: without a name, so that nothing is left behind however they end."""

from __future__ import annotations

import mmap
import os

import numpy as np
import numpy.typing as npt

from estimators.errors import ModelError


class SharedMemory:
    """``size`` bytes, zeros at first; with ``fd`` those of the process that has handed its descriptor down.

    Raises ModelError where ``fd`` has another size.
    """

    def __init__(self, size: int, fd: int | None = None) -> None:
        self._own = fd is None
        if fd is None:
            fd = os.memfd_create("hil-shared")
            os.ftruncate(fd, size)
        elif (found := os.fstat(fd).st_size) != size:
            raise ModelError(f"the shared memory has {found} bytes; expected {size}: it belongs to another model")
        self.fd = fd
        """For ``pass_fds`` of the other process."""
        self._map = mmap.mmap(fd, size)

    def floats(self, offset: int, *shape: int) -> npt.NDArray[np.float64]:
        """A view of float64 from byte ``offset`` on."""
        return np.ndarray(shape, dtype=np.float64, buffer=self._map, offset=offset)

    def numbers(self, offset: int, count: int) -> npt.NDArray[np.int64]:
        """A view of int64 from byte ``offset`` on."""
        return np.ndarray((count,), dtype=np.int64, buffer=self._map, offset=offset)

    def close(self) -> None:
        """Let go of the descriptor; the memory itself goes with its last view."""
        if self._own:
            os.close(self.fd)
            self._own = False
