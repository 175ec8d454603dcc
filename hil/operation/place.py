"""Where running cells are found: one directory for each, owner only, below one well-known place.

::

    $XDG_RUNTIME_DIR/hil/            (or hil-UID in the temporary directory, or $HIL_RUNTIME_DIR)
        CELL/lock                    held while the cell runs, so that a killed one is known to be gone
        CELL/cell.json               name, process, start
        CELL/control.sock            verbs
        CELL/telemetry.sock          rows and events, as hil.telemetry.channel tells them
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

_PATH_MAX = 107
"""Longest path of a unix socket that Linux takes, bytes."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
_TRIES = 20


class PlaceError(Exception):
    """No cell, several cells, or a directory that cannot be trusted; the message says what to do."""


class SeveralCellsError(PlaceError):
    """Which of several cells is meant was not said."""


@dataclass(frozen=True)
class RunningCell:
    """A cell that runs now."""

    name: str
    pid: int
    started: str
    folder: Path

    @property
    def control(self) -> str:
        """Endpoint of the verbs."""
        return f"ipc://{self.folder}/control.sock"

    @property
    def telemetry(self) -> str:
        """Endpoint of rows and events."""
        return f"ipc://{self.folder}/telemetry.sock"


def root() -> Path:
    """The well-known place, made if it is missing. Raises PlaceError for one that others could enter."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if own := os.environ.get("HIL_RUNTIME_DIR"):
        path = Path(own)
    elif runtime and Path(runtime).is_dir():
        path = Path(runtime) / "hil"
    else:
        path = Path(tempfile.gettempdir()) / f"hil-{os.getuid()}"
    _private(path)
    return path


def _private(path: Path) -> None:
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise PlaceError(f"{path}: {error.strerror}; set HIL_RUNTIME_DIR to a directory of yours") from error
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or mode & 0o077:
        raise PlaceError(
            f"{path}: owner {found.st_uid}, mode {mode:04o}; expected a directory of yours (user {os.getuid()}) with "
            "mode 0700, since whoever can enter it can move the arm; remove it, or chmod 700 it"
        )


class Claim:
    """A running cell's own directory, held for as long as the process lives or until :meth:`close`."""

    def __init__(self, name: str) -> None:
        """Raises PlaceError where a cell of this name runs already."""
        if not _NAME.fullmatch(name):
            raise PlaceError(f"cell name {name!r} cannot name a directory; allowed are letters, digits, _ . -")
        folder = root() / name
        _private(folder)
        self.cell = RunningCell(name, os.getpid(), datetime.now().isoformat(timespec="seconds"), folder)
        longest = len(str(folder / "telemetry.sock").encode())
        if longest > _PATH_MAX:
            raise PlaceError(f"{folder} is too long for a socket; set HIL_RUNTIME_DIR to a shorter directory")
        self._fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self._lock():
            os.close(self._fd)
            other = _read(folder)
            who = f" (process {other.pid})" if other is not None else ""
            raise PlaceError(f"cell {name!r} runs already{who}; `hil status` shows it, `hil down` ends it")
        for left in ("control.sock", "telemetry.sock"):
            (folder / left).unlink(missing_ok=True)
        info = {"name": name, "pid": self.cell.pid, "started": self.cell.started}
        (folder / "cell.json").write_text(json.dumps(info), encoding="utf-8")

    def _lock(self) -> bool:
        # Somebody who lists the cells holds the lock for a moment.
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                time.sleep(0.005)
        return False

    def close(self) -> None:
        """The cell runs no more; legal more than once."""
        if self._fd >= 0:
            shutil.rmtree(self.cell.folder, ignore_errors=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def running() -> list[RunningCell]:
    """The cells that run now, by name. Raises PlaceError."""
    cells = [_read(folder) for folder in sorted(root().iterdir()) if _held(folder / "lock")]
    return [cell for cell in cells if cell is not None]


def find(name: str | None = None) -> RunningCell:
    """The running cell of this name; without a name the only one. Raises PlaceError."""
    cells = running()
    names = ", ".join(cell.name for cell in cells)
    if not cells:
        raise PlaceError("no cell is running; start one with `hil run CELL`")
    if name is None and len(cells) > 1:
        raise SeveralCellsError(f"{len(cells)} cells are running: {names}; say which with --cell NAME")
    found = [cell for cell in cells if name in (None, cell.name)]
    if not found:
        raise PlaceError(f"no cell {name!r} is running; running: {names}")
    return found[0]


def _read(folder: Path) -> RunningCell | None:
    try:
        info = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
        return RunningCell(str(info["name"]), int(info["pid"]), str(info["started"]), folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _held(lock: Path) -> bool:
    """Whether a living process holds ``lock``."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
