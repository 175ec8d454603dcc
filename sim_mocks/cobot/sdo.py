"""SDO server of a node (CiA 301, 7.2.4): expedited and segmented transfer both ways, abort codes; no block transfer."""

from __future__ import annotations

from sim_mocks.cobot.dictionary import Dictionary, SdoAbort

TOGGLE = 0x05030000
UNKNOWN_COMMAND = 0x05040001
TOO_LONG = 0x06070012
TOO_SHORT = 0x06070013
NO_MEMORY = 0x05040005
_MAX_DOWNLOAD = 889
"""Bytes that a segmented download may have (127 segments)."""


class SdoServer:
    """One transfer at a time, as the one default channel has it; a new initiate replaces an unfinished transfer."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self.reset()

    def reset(self) -> None:
        """Forget a transfer that is under way."""
        self._index = self._sub = self._toggle = self._size = 0
        self._up: bytes | None = None
        self._down: bytearray | None = None

    def request(self, data: bytes) -> bytes | None:
        """Answer (8 bytes) to the client's frame; None where it deserves none (an abort)."""
        if len(data) != 8:
            return _abort(0, 0, UNKNOWN_COMMAND)
        command = data[0] >> 5
        if command in (1, 2):
            self._index, self._sub = int.from_bytes(data[1:3], "little"), data[3]
        try:
            if command == 1:
                return self._initiate_download(data)
            if command == 0:
                return self._download_segment(data)
            if command == 2:
                return self._initiate_upload()
            if command == 3:
                return self._upload_segment(data[0])
            if command == 4:
                self.reset()
                return None
            raise SdoAbort(UNKNOWN_COMMAND)
        except SdoAbort as abort:
            index, sub = self._index, self._sub
            self.reset()
            return _abort(index, sub, abort.code)

    def _initiate_download(self, data: bytes) -> bytes:
        self._up = self._down = None
        first = data[0]
        if first & 0x02:
            size = 4 - (first >> 2 & 3) if first & 0x01 else self._dictionary.size(self._index, self._sub)
            self._dictionary.download(self._index, self._sub, data[4 : 4 + size])
        else:
            self._dictionary.check_writable(self._index, self._sub)
            self._size = int.from_bytes(data[4:8], "little") if first & 0x01 else -1
            if self._size > _MAX_DOWNLOAD:
                raise SdoAbort(NO_MEMORY)
            self._down, self._toggle = bytearray(), 0
        return bytes((0x60, *data[1:4], 0, 0, 0, 0))

    def _download_segment(self, data: bytes) -> bytes:
        if self._down is None:
            raise SdoAbort(UNKNOWN_COMMAND)
        first = data[0]
        if first >> 4 & 1 != self._toggle:
            raise SdoAbort(TOGGLE)
        self._down += data[1 : 8 - (first >> 1 & 7)]
        if len(self._down) > (self._size if self._size >= 0 else _MAX_DOWNLOAD):
            raise SdoAbort(TOO_LONG)
        reply = bytes((0x20 | self._toggle << 4, 0, 0, 0, 0, 0, 0, 0))
        self._toggle ^= 1
        if first & 1:
            down, self._down = bytes(self._down), None
            if 0 <= len(down) < self._size:
                raise SdoAbort(TOO_SHORT)
            self._dictionary.download(self._index, self._sub, down)
        return reply

    def _initiate_upload(self) -> bytes:
        self._up = self._down = None
        value = self._dictionary.upload(self._index, self._sub)
        head = bytes((*self._index.to_bytes(2, "little"), self._sub))
        if len(value) <= 4 and value:
            return bytes((0x43 | (4 - len(value)) << 2,)) + head + value.ljust(4, b"\0")
        self._up, self._toggle = value, 0
        return b"\x41" + head + len(value).to_bytes(4, "little")

    def _upload_segment(self, first: int) -> bytes:
        if self._up is None:
            raise SdoAbort(UNKNOWN_COMMAND)
        if first >> 4 & 1 != self._toggle:
            raise SdoAbort(TOGGLE)
        part, rest = self._up[:7], self._up[7:]
        reply = bytes((self._toggle << 4 | (7 - len(part)) << 1 | (not rest),)) + part.ljust(7, b"\0")
        self._toggle ^= 1
        self._up = rest or None
        return reply


def _abort(index: int, sub: int, code: int) -> bytes:
    return bytes((0x80, index & 0xFF, index >> 8, sub)) + code.to_bytes(4, "little")
