"""What helps to read past damage in a log: the content of one chunk, the next chunk, the declarations at the end.

Layouts of the records: https://mcap.dev/spec
"""

from __future__ import annotations

import mmap
import struct
import zlib
from io import BytesIO

import lz4.frame
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Schema

_MAGIC_SIZE = 8
_RECORD = struct.Struct("<BQ")
_CHUNK_HEAD = struct.Struct("<QQQII")  # start, end, uncompressed size, CRC, length of the compression's name
_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of the summary, of its offsets, CRC
_MARK = b"\x03\x00\x00\x00lz4"  # the compression's name with its length, as it stands in every chunk of ours
_MARK_AT = _RECORD.size + _CHUNK_HEAD.size - 4
_FIXED = _CHUNK_HEAD.size + 3 + 8  # bytes of a chunk's body before its records


def chunk_data(body: memoryview) -> bytes | None:
    """The records in a chunk's ``body``, unpacked; None where size or checksum say that it is damaged.

    Raises ValueError for a compression that is none of ours.
    """
    try:
        _, _, size, crc, name_length = _CHUNK_HEAD.unpack_from(body)
        at = _CHUNK_HEAD.size
        compression = bytes(body[at : at + name_length])
        data = bytes(body[at + name_length + 8 :])
        if compression == b"zstd":
            raise ValueError("a chunk is compressed with 'zstd', expected lz4")
        if compression == b"lz4":
            data = bytes(lz4.frame.decompress(data))
        elif compression:
            return None
    except (struct.error, RuntimeError, MemoryError):
        return None
    return data if len(data) == size and (not crc or zlib.crc32(data) == crc) else None


def next_chunk(content: mmap.mmap, after: int) -> int:
    """Byte at which the next chunk record of ours begins, not before ``after``; -1 if there is none."""
    found = after + _MARK_AT - 1
    while (found := content.find(_MARK, found + 1)) >= 0:
        at = found - _MARK_AT
        opcode, length = _RECORD.unpack_from(content, at)
        body = at + _RECORD.size
        if opcode != Opcode.CHUNK or body + _FIXED > len(content) or body + length > len(content):
            continue
        # The records' length stands there a second time: no other bytes of a file fulfil this by chance.
        if int.from_bytes(content[body + _FIXED - 8 : body + _FIXED], "little") == length - _FIXED:
            return at
    return -1


def declarations(view: memoryview) -> tuple[dict[int, Schema], dict[int, Channel]]:
    """Schemas and channels as the summary at the end of a complete file repeats them; none where it is damaged.

    They stand in the first chunk too, which may be the damaged one.
    """
    schemas: dict[int, Schema] = {}
    topics: dict[int, Channel] = {}
    end = len(view) - _MAGIC_SIZE - _FOOTER.size
    if end < _MAGIC_SIZE:
        return {}, {}
    opcode, _, at, _, _ = _FOOTER.unpack_from(view, end)
    if opcode != Opcode.FOOTER or not _MAGIC_SIZE < at <= end:
        return {}, {}
    try:
        while at + _RECORD.size <= end:
            opcode, length = _RECORD.unpack_from(view, at)
            at += _RECORD.size + length
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(ReadDataStream(BytesIO(view[at - length : at])))
                schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(ReadDataStream(BytesIO(view[at - length : at])))
                topics[channel.id] = channel
    except (struct.error, ValueError, McapError):
        return {}, {}
    return schemas, topics
