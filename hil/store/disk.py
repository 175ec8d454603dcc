"""Writing that survives a crash at any moment: what is visible under its name is whole, and on the disk.

Every step is a call of :mod:`os` in this file, so that a test can let each of them fail in turn. The order is the usual
one: write under another name, fsync the file, rename, fsync the folder (rename is atomic by POSIX; the two fsyncs
make it so across a loss of power).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PART = ".part"
"""Ending of what is not complete yet."""
LOCK = ".lock"
WAIT = 10.0
"""How long a writer waits for another one, s."""
_PAUSE = 0.02
_CHUNK = 1 << 20


class LockedError(Exception):
    """Another process has been writing all the time."""


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path) -> None:
    """``path`` and the folders above it, each known to the disk. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.is_dir()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):  # somebody else made it meanwhile
            os.mkdir(each)
        sync(each.parent)


def write_file(path: Path, data: bytes) -> None:
    """A new file with ``data``, on the disk. Raises OSError, FileExistsError for one that is there already."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """``path`` holds ``data`` from now on, or what it held before. The caller has the lock. Raises OSError."""
    part = path.with_name(f".{path.name}{PART}")
    part.unlink(missing_ok=True)
    try:
        write_file(part, data)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def begin(folder: Path) -> Path:
    """A new folder in ``folder`` for what is not complete yet. The caller has the lock. Raises OSError."""
    part = folder / f".new{PART}"
    os.mkdir(part)
    return part


def rename(path: Path, to: Path) -> None:
    """Raises OSError."""
    os.rename(path, to)
    sync(to.parent)


def publish(part: Path, final: Path) -> None:
    """Give a complete folder its name, which must be free. Raises OSError."""
    for each in sorted(part.iterdir()):
        sync(each)
    sync(part)
    os.rename(part, final)  # refused by the kernel where a folder with content has the name already
    sync(final.parent)


def sweep(folder: Path) -> None:
    """Remove what a crash left half-written in ``folder``. The caller has the lock, so nobody is still writing it."""
    for each in folder.iterdir():
        if each.name.startswith(".") and each.name.endswith(PART):
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Hex digest of a file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def locked(folder: Path, wait: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """One writer at a time. The kernel gives the lock back when its holder ends, however it ends.

    ``wait``: pauses so many seconds. Raises OSError; LockedError after :data:`WAIT` seconds.
    """
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        for _ in range(round(WAIT / _PAUSE)):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                wait(_PAUSE)
        else:
            raise LockedError(f"another process has been writing into {folder} for {WAIT:.0f} s")
        yield
    finally:
        os.close(fd)
