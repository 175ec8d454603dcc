"""The ring of .blf files: every frame in it, bounded, readable after the supervisor was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import can

from drivers.can.bus import DATA, ERROR
from drivers.can.log import FrameLog, Ring, message_of


def messages(folder: Path) -> list[can.Message]:
    return [message for path in sorted(folder.glob("*.blf")) for message in can.BLFReader(str(path))]


def test_every_frame_with_time_channel_and_direction(tmp_path: Path) -> None:
    begin = time.time()
    log = FrameLog(tmp_path / "log", 5_000_000_000)
    log.sent(5_000_000_000, 0, [(0x201, b"\x0f\0\1\0"), (0x80, b"")])
    log.received(5_500_000_000, 1, [(0x181, b"12345678", DATA), (0, b"", ERROR)])
    log.flush(5_500_000_000)
    log.close(5_500_000_000)
    log.close(5_500_000_000)
    first, sync, answer, error = messages(tmp_path / "log")
    assert (first.arbitration_id, bytes(first.data), first.channel, first.is_rx) == (0x201, b"\x0f\0\1\0", 1, False)
    assert (sync.arbitration_id, sync.dlc) == (0x80, 0)
    assert (answer.arbitration_id, bytes(answer.data), answer.channel, answer.is_rx) == (0x181, b"12345678", 2, True)
    assert error.is_error_frame
    assert abs(answer.timestamp - first.timestamp - 0.5) < 1e-3
    assert abs(first.timestamp - begin) < 5.0
    assert log.dropped == 0


def test_the_ring_is_bounded_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    message = can.Message(arbitration_id=1, data=os.urandom(8), is_extended_id=False)
    for _ in range(2):
        ring = Ring(tmp_path, 4000, 3)
        for k in range(6_000):
            message.timestamp = float(k)
            message.data[:] = os.urandom(8)
            ring.write(message)
        ring.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert names[0] > "can-000003.blf"
    assert all(path.stat().st_size < 200_000 for path in tmp_path.iterdir())


def test_what_was_handed_over_is_readable_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from drivers.can.log import FrameLog\n"
        "log = FrameLog(Path(sys.argv[1]), 0)\n"
        "for k in range(1000): log.sent(k * 1000000, 0, [(0x80, b'')]); log.flush(k * 1000000)\n"
        "print(log._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    while Path(f"/proc/{int(ended.stdout)}").exists() and time.sleep(0.01) is None:
        pass  # the writer ends by itself
    assert 890 <= len(messages(tmp_path)) <= 1000


def test_a_full_pipe_drops_whole_records_and_counts_them(tmp_path: Path) -> None:
    log = FrameLog(tmp_path, 0)
    read, write = os.pipe()
    os.set_blocking(write, False)
    log._fd = write
    log.sent(0, 0, [(0x80, b"")] * 100_000)
    log._finish = lambda rest: None  # type: ignore[method-assign]
    log.flush(0, force=True)
    assert log.dropped > 90_000
    os.close(read)
    os.close(write)
    log._fd = -1
    log.close(0)


def test_records_of_every_kind_become_messages() -> None:
    from drivers.can.log import _RECORD

    extended = message_of(_RECORD.pack(1.5, 0x12345, 3, 0, 2, 0, b"ab"))
    assert extended.is_extended_id
    assert bytes(extended.data) == b"ab"
    assert message_of(_RECORD.pack(1.5, 0x123, 1, 0, 0, 0, b"")).is_remote_frame
