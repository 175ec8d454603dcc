"""Starting a recorder beside the control process, and what it is told about the run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("hil-lab", "numpy", "pin", "pybullet", "pyzmq", "protobuf", "mcap", "lz4", "pyserial", "matplotlib")


def versions() -> dict[str, str]:
    """Versions of Python, the kernel and the packages that a run depends on, as far as they are installed."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_meta(
    path: Path,
    *,
    n: int,
    lockstep: bool,
    metadata: Mapping[str, Mapping[str, Any]],
    files: Sequence[tuple[str, str, str]] = (),
) -> None:
    """Write the recorder's ``META.json``.

    ``metadata``: named tables, e.g. ``{"run": {"cell": "demo", "mock": True}, "limits": {"tau_max": [...]}}``;
    values that are no text become JSON. ``files``: (name, media type, text) of what travels along, e.g. the cell file.
    """
    tables = {
        name: {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in table.items()}
        for name, table in metadata.items()
    }
    attachments = [{"name": name, "media_type": kind, "text": text} for name, kind, text in files]
    content = {"n": n, "lockstep": lockstep, "metadata": tables, "attachments": attachments}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def start_recorder(
    endpoint: str, out: Path, meta: Path, *, parent: int | None = None, idle: bool = False
) -> subprocess.Popen[bytes]:
    """Start a recorder process whose life is tied to ``parent`` (default: this process).

    ``idle``: it writes nothing until ``Publisher.record_to`` names a file.

    It gets a session of its own: Ctrl-C in the terminal must not end the recording before the run has stopped.
    Follow with ``Publisher.wait_for_recorder``, end with ``Publisher.close``, then ``wait`` on what is returned.
    """
    command = [sys.executable, "-m", "hil.telemetry.recorder", "--endpoint", endpoint]
    command += ["--out", str(out), "--meta", str(meta), "--parent", str(parent or os.getpid())]
    if idle:
        command.append("--idle")
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
