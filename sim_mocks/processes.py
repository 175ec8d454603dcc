"""Faults of processes: killed, or suspended and resumed by the wall clock."""

from __future__ import annotations

import os
import signal
import subprocess


def kill(pid: int) -> None:
    """SIGKILL. Raises OSError."""
    os.kill(pid, signal.SIGKILL)


def suspend(pid: int, seconds: float) -> None:
    """SIGSTOP now, SIGCONT after ``seconds`` of the wall clock; also for the calling process. Raises OSError.

    The alarm clock is a process of its own, in a session of its own: it must run while this process may not. Its
    parent ends at once, so that nobody has to collect it.
    """
    os.kill(pid, 0)  # says whether there is such a process of ours, before an alarm is set for it
    alarm = f"(sleep {seconds:.6f}; kill -CONT {pid}) </dev/null >/dev/null 2>&1 &"
    subprocess.run(["/bin/sh", "-c", alarm], check=True, start_new_session=True, close_fds=True)
    os.kill(pid, signal.SIGSTOP)
