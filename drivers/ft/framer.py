"""Cuts fixed-size frames out of a byte stream, whatever chunks it arrives in."""

from __future__ import annotations

from collections.abc import Callable


class Framer:
    """Finds frames of ``size`` bytes that begin with ``header`` and pass ``check``; no I/O, no clock.

    A candidate that fails the check moves the search on by one byte, not by one frame: the header may occur inside
    a payload, and a search that jumps by whole frames can then miss every real header for ever. Each byte fed is
    accounted for: ``good * size + skipped + tail == fed``.

    ``check`` gets the whole candidate, header included.
    """

    __slots__ = ("_check", "_header", "_size", "_tail", "good", "rejected", "skipped")

    def __init__(self, header: bytes, size: int, check: Callable[[bytes], bool]) -> None:
        """Raises ValueError for an empty header or one longer than the frame."""
        if not 0 < len(header) <= size:
            raise ValueError(
                f"header of {len(header)} bytes for frames of {size} bytes: it must have 1 to {size} bytes"
            )
        self._header = header
        self._size = size
        self._check = check
        self._tail = b""
        self.good = 0
        """Frames handed out."""
        self.rejected = 0
        """Candidates with a header that failed the check; a damaged frame may hold several."""
        self.skipped = 0
        """Bytes that belong to no good frame."""

    @property
    def tail(self) -> int:
        """Bytes kept because they may be the beginning of a frame; always fewer than one frame."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[bytes]:
        """Frames completed by ``data``, oldest first, header included. Never raises for content."""
        header, size, check = self._header, self._size, self._check
        stream = self._tail + data
        end = len(stream)
        frames: list[bytes] = []
        at = 0
        while True:
            start = stream.find(header, at)
            if start < 0:
                # The last bytes may be the first part of a header that is cut by the chunk.
                start = end - self._partial_header(stream, at)
                self.skipped += start - at
                break
            self.skipped += start - at
            if end - start < size:
                break
            candidate = stream[start : start + size]
            if check(candidate):
                frames.append(candidate)
                at = start + size
            else:
                self.rejected += 1
                self.skipped += 1
                at = start + 1
        self._tail = stream[start:]
        self.good += len(frames)
        return frames

    def reset(self) -> None:
        """Forget the tail (counted as skipped), after the stream was interrupted on purpose."""
        self.skipped += len(self._tail)
        self._tail = b""

    def _partial_header(self, stream: bytes, at: int) -> int:
        for length in range(min(len(self._header) - 1, len(stream) - at), 0, -1):
            if stream.endswith(self._header[:length]):
                return length
        return 0
