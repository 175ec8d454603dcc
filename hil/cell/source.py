"""YAML text to plain values, with the line of every key kept.

The subset is the one a cell file needs, read as YAML 1.2 reads it: ``1e-3`` is a number, ``yes`` and ``on`` are
words, ``012`` is twelve. Keys are strings and stand once. Anchors and aliases work; tags of one's own do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hil.cell.faults import CellFault

Loc = tuple[str | int, ...]
"""Path into the data: keys and list positions."""

MAX_BYTES = 256 * 1024
"""A cell file is a few kilobytes; anything longer is the wrong file."""
_MAX_VALUES = 20_000
"""Bounds what aliases of aliases can grow to."""

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAG = "tag:yaml.org,2002:"
_WORDS = frozenset(_TAG + name for name in ("str", "null", "bool", "int", "float", "timestamp", "merge", "value"))
"""What YAML 1.1 takes an untagged word for; we read the words anew."""


def key_path(loc: Loc) -> str:
    """``("sensors", 0, "mount")`` as ``sensors[0].mount``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(slots=True)
class Source:
    """A file as it was read: its values (lists as tuples), where each stands, and what was wrong with it as YAML."""

    file: str
    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    faults: list[CellFault] = field(default_factory=list)

    def fault(self, loc: Loc, read: str, allowed: str, line: int | None = None) -> None:
        """Note a fault at ``loc``; the line is that of the key, or of the nearest section that exists."""
        self.faults.append(CellFault(self.file, line or self.line(loc), key_path(loc), read, allowed))

    def line(self, loc: Loc) -> int:
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def get(self, *loc: str | int) -> Any:
        """The value at ``loc`` whatever its type, ``None`` where there is none."""
        value = self.data
        for part in loc:
            if isinstance(part, str) and isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(part, int) and isinstance(value, tuple) and part < len(value):
                value = value[part]
            else:
                return None
        return value


def read_source(path: Path) -> Source:
    """Read a file. What is wrong with it goes into ``faults``; raises nothing for what the file holds.

    Raises ``OSError`` where it cannot be read at all.
    """
    source = Source(str(path))
    raw = path.read_bytes()
    if len(raw) > MAX_BYTES:
        source.fault((), f"{len(raw)} bytes", f"a cell file has at most {MAX_BYTES} bytes: is this the right file?")
        return source
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        source.fault((), f"byte 0x{raw[error.start]:02x}", "the file must be UTF-8: save it with that encoding", line)
        return source
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        rows = text.splitlines()
        row = rows[line] if line < len(rows) else ""
        indent = row[: len(row) - len(row.lstrip())]
        hint = f"valid YAML ({error.problem}); often it is the indentation of this line or of the one above"
        if "\t" in indent:
            hint = "indent with spaces, YAML allows no tab there"
        source.fault((), repr(row.strip()[:60]) + f" (column {column + 1})", f"expected: {hint}", line + 1)
        return source
    except RecursionError:
        source.fault((), "values nested hundreds deep", "a cell file nests a few levels: is this the right file?")
        return source
    except yaml.YAMLError as error:  # a reader error: a control character in the text
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        source.fault((), repr(text[position : position + 1]), "a control character is not allowed here", line)
        return source
    if node is None:
        source.fault((), "an empty file", "a mapping with the sections of a cell (`hil cells` lists examples)")
        return source
    _Reader(source).read(node)
    return source


class _Reader:
    """Walks the nodes once, filling in values, lines and faults."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open: set[int] = set()
        self._count = 0

    def read(self, root: yaml.Node) -> None:
        self._source.data = self._value(root, ())

    def _value(self, node: yaml.Node, loc: Loc, line: int | None = None) -> Any:
        self._source.lines[loc] = line or node.start_mark.line + 1
        self._count += 1
        if id(node) in self._open or self._count > _MAX_VALUES:
            if self._count <= _MAX_VALUES + 1:
                self._source.fault(loc, "an alias that contains itself or grows without end", "write the values out")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._tag(node, loc)
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return tuple(self._value(child, (*loc, i)) for i, child in enumerate(node.value))
            return dict(self._items(node, loc))
        finally:
            self._open.discard(id(node))

    def _items(self, node: yaml.Node, loc: Loc) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._source.fault(loc, "a list or mapping as a key", "keys are plain words", line)
                continue
            key = key_node.value
            if key in seen:
                where = (*loc, key)
                self._source.fault(where, "the key a second time", f"it stands in line {seen[key]} already", line)
                continue
            seen[key] = line
            yield key, self._value(child, (*loc, key), line)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        text: str = node.value
        if node.tag not in _WORDS:
            self._tag(node, loc)
            return None
        return _plain(text) if node.style is None else text  # quoted and block text stays text

    def _tag(self, node: yaml.Node, loc: Loc) -> None:
        self._source.fault(loc, f"the tag {node.tag}", "plain YAML values without tags", node.start_mark.line + 1)


def _plain(text: str) -> Any:
    """The value of an unquoted word."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text) if len(text) < 40 else float(text)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".", "") if text[-1] in "fFnN" else text)  # .inf and .nan
    return text
