"""Logs as Apache Parquet: one row per cycle, for pandas, polars, DuckDB, MATLAB.

The file is read and written chunk by chunk, so that an hour of a run needs no more memory than a minute of it. Columns
have the names of the CSV export. What else stands in the log travels as key-value metadata of the file:

=====================  ================================================================================================
``hil.cell``           name of the cell
``hil.channel``        the channel of the log
``hil.source``         name of the log file
``hil.every``          1, or k where each k-th row was kept
``hil.units``          unit by column, JSON
``hil.note``           only for a cut or damaged log: what was found
``hil.meta.NAME``      a table of metadata (run, limits, codes, versions …), JSON
``hil.file.NAME``      a text file that travelled inside the log: the cell file
=====================  ================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hil.telemetry.export import EVENT_COLUMNS, channel_names, column_units, replacing
from hil.telemetry.log import DamagedLogError, Log, Scan, Table, open_scan
from hil.telemetry.row import EVENTS

GROUP_ROWS = 10_000
"""Rows of a row group: 10 s at 1 kHz, some 13 MB in memory."""


class MissingPackageError(Exception):
    """A package of an extra is not installed; the message names the command that installs it."""


def export_parquet(
    source: Path,
    channel: str,
    out: Path,
    *,
    every: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[int, int, Log]:
    """Write ``channel`` of the log ``source`` to ``out``, which appears whole or not at all.

    Returns the numbers of rows and columns, and the log without its rows. Every number keeps its bits: floats are
    float64 (NaN for what is unknown), integers int64. ``progress`` is told the share of the log that was read.
    Raises LogError, KeyError for a channel that the log does not have, MissingPackageError without pyarrow, OSError if
    the file cannot be written.
    """
    pa, pq = _pyarrow()
    scan = open_scan(source, every=every, only=channel)
    with replacing(out) as part:
        writer = _Writer(pa, pq, part, channel)
        try:
            for rows in _groups(scan, channel, progress):
                writer.write(rows, scan)
            log = scan.result()
            if channel not in channel_names(log):
                raise KeyError(channel)
            writer.finish(log, {"hil.source": source.name, "hil.every": str(every)})
        finally:
            writer.close()
    return writer.rows, writer.columns, log


def _groups(scan: Scan, channel: str, progress: Callable[[float], None]) -> Iterator[Table]:
    """The rows of ``channel`` in blocks of :data:`GROUP_ROWS`, the last one shorter."""
    kept: list[Table] = []
    count = 0
    for at in scan.walk():
        for rows in scan.rows(channel):
            if kept and rows.dtype != kept[0].dtype:
                raise DamagedLogError(f"the fields of {channel} change within the log; a table needs one set of them")
            kept.append(rows)
            count += len(rows)
        while count >= GROUP_ROWS:
            joined = np.concatenate(kept)
            yield joined[:GROUP_ROWS]
            kept, count = [joined[GROUP_ROWS:]], count - GROUP_ROWS
        progress(at / scan.size)
    if count:
        yield np.concatenate(kept)


class _Writer:
    """One Parquet file, opened when the first rows say what its columns are."""

    def __init__(self, pa: Any, pq: Any, path: Path, channel: str) -> None:
        self._pa, self._pq, self._path, self._channel = pa, pq, path, channel
        self._file: Any = None
        self._units: dict[str, str] = {}
        self.rows = 0

    @property
    def columns(self) -> int:
        return len(self._units)

    def write(self, rows: Table, scan: Scan) -> None:
        """Append a row group. Raises DamagedLogError where its fields are not those of the first."""
        if self._file is None:
            self._open(rows.dtype, scan.result())
        columns: list[Any] = []
        for name in rows.dtype.names or ():
            values = rows[name]
            columns += [values] if values.ndim == 1 else list(values.T)
        if [column.dtype for column in columns] != self._dtypes:
            raise DamagedLogError(f"the fields of {self._channel} change within the log; a table needs one set of them")
        arrays = [self._pa.array(np.ascontiguousarray(column)) for column in columns]
        self._file.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=GROUP_ROWS)
        self.rows += len(rows)

    def finish(self, log: Log, more: dict[str, str]) -> None:
        """Write what no row group has carried: the events, or the columns of a channel without rows; metadata."""
        if self._channel == EVENTS:
            self._events(log)
        elif self._file is None:
            self._open(log.channels[self._channel].dtype, log)
        metadata = {"hil.channel": self._channel, "hil.units": _json(self._units), **more}
        if cell := log.meta("run", "cell"):
            metadata["hil.cell"] = str(cell)
        if log.note:
            metadata["hil.note"] = log.note
        metadata |= {f"hil.meta.{name}": _json(entries) for name, entries in log.metadata.items()}
        for name, data in log.attachments.items():
            metadata[f"hil.file.{name}"] = data.decode(errors="replace")
        self._file.add_key_value_metadata(metadata)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, dtype: np.dtype[Any], log: Log) -> None:
        pa = self._pa
        self._units = column_units(dtype, log.units.get(self._channel, {}))
        self._dtypes = [
            dtype[name].base for name in dtype.names or () for _ in range(int(np.prod(dtype[name].shape, dtype=int)))
        ]
        fields = [
            pa.field(name, pa.from_numpy_dtype(kind), metadata={"unit": unit} if unit else None)
            for (name, unit), kind in zip(self._units.items(), self._dtypes, strict=True)
        ]
        floats = [name for name, kind in zip(self._units, self._dtypes, strict=True) if kind.kind == "f"]
        self._begin(pa.schema(fields), floats)

    def _events(self, log: Log) -> None:
        pa = self._pa
        self._units = dict.fromkeys(EVENT_COLUMNS, "") | {"t_ns [ns]": "ns"}
        kinds = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.string())
        self._begin(pa.schema([pa.field(*field) for field in zip(EVENT_COLUMNS, kinds, strict=True)]), [])
        rows = [(e.tick, e.t_ns, e.kind, e.text, _json(e.data)) for e in log.events]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(kinds)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self.rows = len(rows)

    def _begin(self, schema: Any, floats: list[str]) -> None:
        self._schema = schema
        # Floats of a measurement never repeat, so a dictionary only costs; their bytes compress better side by side.
        self._file = self._pq.ParquetWriter(
            self._path, schema, compression="zstd", use_dictionary=False, use_byte_stream_split=floats
        )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError(
            f"Parquet needs pyarrow ({error}); install the extra: pip install 'hil-lab[parquet]'. CSV needs nothing."
        ) from error
    return pyarrow, pyarrow.parquet
