"""One flush of one sink table, as the bytes of one INSERT.

A block holds the data rows (kind 0) and one marker row (kind 1) whose `next` says up to where the
source partitions are in it. Data and position are stored together or not at all.
In: rows, positions. Out: a Block that can be sent again, byte for byte. Not here: sending
(writer.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from streamgauge.storage.tables import TABLES

REVISION = "revision"
"""A position that is no source partition: the highest revision that a writer of `windows` knows.
The column of this name carries it in the marker, so markers tell apart who knew of a revision."""
MAX_ROWS = 1_000_000
"""An INSERT is atomic for one engine block; more rows than this would be two."""


@dataclass(frozen=True, slots=True)
class Block:
    """An INSERT in waiting.

    expected: what must be stored now for each of the partitions. next: what is stored after it.
    body: an Arrow IPC stream of one record batch. token: hash of all of that.
    """

    table: str
    columns: tuple[str, ...]
    rows: int
    expected: Mapping[str, int]
    next: Mapping[str, int]
    body: bytes = field(repr=False)
    token: str


def build_block(
    table: str,
    data: pa.Table | pa.RecordBatch,
    *,
    written_on: date,
    expected: Mapping[str, int],
    next: Mapping[str, int],
) -> Block:
    """Block of these rows and one marker.

    data: columns of `TABLES[table].data`; columns left out get the table's default; no rows make a
    bare marker. Types are cast when nothing is lost. expected: position stored now for each source
    partition named, 0 = never stored. next: position after this block, for the same partitions.
    ValueError: unknown column or table, other partitions in `next` than in `expected`, a position
    that goes back, none that moves (nobody could tell whether such a block is stored), too many
    rows. pa.ArrowInvalid: a value that does not fit its column.
    """
    spec = TABLES.get(table)
    if spec is None:
        raise ValueError(f"{table!r} is no sink table; there are {', '.join(sorted(TABLES))}")
    if set(expected) != set(next) or any(next[key] < expected[key] for key in expected):
        raise ValueError(f"{table}: next {dict(next)} does not follow expected {dict(expected)}")
    if all(next[key] == expected[key] for key in expected):
        raise ValueError(f"{table}: next {dict(next)} moves no position")
    if data.num_rows > MAX_ROWS:
        raise ValueError(f"{table}: {data.num_rows} rows in one block, at most {MAX_ROWS}")
    rows = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else data
    marker: dict[str, str | int] = {
        "block": _digest(table, expected, next, b""),
        REVISION: next.get(REVISION, 0),
    }
    columns, names = [], []
    for column in spec.schema:
        if column.name == "kind":
            array = _zeros_then(1, rows.num_rows, column.type)
        elif column.name == "written_on":
            array = pa.repeat(pa.scalar(written_on, column.type), rows.num_rows + 1)
        elif column.name == "next":
            array = _only_last(next, rows.num_rows, column.type)
        elif column.name in rows.column_names or column.name in marker:
            array = _with_marker(rows, column, marker.get(column.name))
        else:
            continue
        columns.append(array)
        names.append(column.name)
    if unknown := set(rows.column_names) - set(names):
        raise ValueError(f"{table}: unknown columns {', '.join(sorted(unknown))}")
    body = _stream(pa.RecordBatch.from_arrays(columns, names))
    return Block(
        table=table,
        columns=tuple(names),
        rows=rows.num_rows,
        expected=dict(expected),
        next=dict(next),
        body=body,
        token=_digest(table, expected, next, body),
    )


def _zeros_then(last: int, n: int, kind: pa.DataType) -> pa.Array:
    """0 n times, then `last`."""
    return pa.concat_arrays([pa.repeat(pa.scalar(0, kind), n), pa.array([last], kind)])


def _only_last(position: Mapping[str, int], n: int, kind: pa.MapType) -> pa.Array:
    """No entries n times, then the position."""
    keys = sorted(position)
    offsets = _zeros_then(len(keys), n + 1, pa.int32())
    return pa.MapArray.from_arrays(
        offsets, pa.array(keys, kind.key_type), pa.array(map(position.get, keys), kind.item_type)
    )


def _with_marker(rows: pa.Table, column: pa.Field, marker: str | int | None) -> pa.Array:
    if column.name not in rows.column_names:
        return pa.array([_default(column.type)] * rows.num_rows + [marker], column.type)
    found = rows.column(column.name)
    wanted = column.type
    if pa.types.is_dictionary(found.type) and found.type.value_type == wanted:
        wanted = found.type
    elif found.type != wanted:
        found = found.cast(wanted)
    last = pa.array([_default(column.type) if marker is None else marker], column.type)
    both = pa.chunked_array([*found.chunks, last.cast(wanted)], wanted)
    if pa.types.is_dictionary(wanted):
        both = both.unify_dictionaries()  # the engine wants unique values
    combined = both.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # older pyarrow gives one chunk
        combined = combined.chunk(0)
    if not column.nullable and combined.null_count:
        combined = combined.fill_null(_default(column.type))
    return combined


def _default(kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return ""
    if pa.types.is_map(kind) or pa.types.is_list(kind):
        return []
    if pa.types.is_struct(kind):
        return {f.name: _default(f.type) for f in kind}
    if pa.types.is_boolean(kind):
        return False
    return 0


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as out:
        out.write_batch(batch)
    return bytes(sink.getvalue())


def _digest(table: str, expected: Mapping[str, int], next_: Mapping[str, int], body: bytes) -> str:
    head = json.dumps([table, sorted(expected.items()), sorted(next_.items())])
    return hashlib.sha256(head.encode() + b"\n" + body).hexdigest()[:32]
