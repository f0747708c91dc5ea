"""Rows of `events`, `judgements`, `texts`, `prompts` and `dead_letters`: one per message.

In: columns of accepted events, with where they came from; refused messages. Out: Arrow tables with
the columns of streamgauge.storage.tables. Every accepted event has a row in `events`, whatever its
type: the offsets there are the offsets that were stored (dedup and audit stand on it).
Unknown strings are "", unknown numbers null; a column that no event fills is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import DeadLetter
from streamgauge.stream_processors.metrics.columns import Columns, to_column
from streamgauge.stream_processors.reading.structs import STRUCTS

RAW_BYTES = 8_192
REQUEST = "llm.request"
JUDGEMENTS = ("llm.feedback", "llm.evaluation")
PROMPT = "llm.prompt"
TEXT_FIELDS = ("input_text", "output_text", "reference_text")
TEXTED = (REQUEST, "llm.tool", "llm.retrieval")
ORIGIN = frozenset({"src", "partition", "offset", "append_ts", "type"})
"""Columns that say where an event came from, not what it says."""


def wanted(kind: str, *, texts: bool) -> tuple[pa.Field, ...]:
    """The columns that the tables of this type of event need from the events themselves."""
    tables = ["events"]
    if kind in JUDGEMENTS:
        tables.append("judgements")
    if kind == PROMPT:
        tables.append("prompts")
    if texts and kind in TEXTED:
        tables.append("texts")
    fields = {f.name: f for table in tables for f in TABLES[table].data}
    return tuple(f for name, f in fields.items() if name not in ORIGIN)


def concat(table: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Rows of several builds as one table with the columns that any of them has."""
    if len(parts) == 1:
        return parts[0]
    together = Columns.together(
        [
            Columns(dict(zip(p.column_names, map(_whole, p.columns), strict=True)), p.num_rows)
            for p in parts
        ]
    )
    return _rows(table, together)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _rows(table: str, c: Columns, special: Mapping[str, pa.Array] | None = None) -> pa.Table:
    """The columns of the table that there are, in its order."""
    arrays, fields = [], []
    for column in TABLES[table].data:
        array = special.get(column.name) if special else None
        if array is None:
            array = c.array(column.name)
        if array is not None:
            arrays.append(array)
            fields.append(column.with_type(array.type))
    return pa.table(arrays, schema=pa.schema(fields))


def event_rows(c: Columns) -> pa.Table:
    """Rows of `events` for events of one type."""
    return _rows("events", c)


def judgement_rows(c: Columns) -> pa.Table:
    """Rows of `judgements` for feedback or evaluations."""
    return _rows("judgements", c)


def text_rows(c: Columns) -> pa.Table:
    """Rows of `texts` for those events that carry a text."""
    there = np.zeros(len(c), dtype=bool)
    for name in ("input_text", "output_text"):
        array = c.array(name)
        if array is not None:
            there |= np.asarray(pa.compute.not_equal(array, ""))
    some = c.rows(there)
    return _rows("texts", some, {"event_id": some.array("id")})


def prompt_rows(c: Columns) -> pa.Table:
    """Rows of `prompts`: the registration with the latest ts counts, then the last in a million
    offsets."""
    revs = (c.ts << 20) + c.ints("offset") % 2**20
    return _rows("prompts", c, {"rev": pa.array(revs.astype(np.uint64))})


def dead_letter_rows(letters: Sequence[DeadLetter]) -> pa.Table:
    """Rows of `dead_letters`; the first RAW_BYTES of the message, base64."""
    schema = TABLES["dead_letters"].data
    columns: dict[str, list[Any]] = {
        "src": [d.src for d in letters],
        "partition": [d.partition for d in letters],
        "offset": [d.offset for d in letters],
        "append_ts": [d.append_ms for d in letters],
        "reason": [d.reason for d in letters],
        "detail": [d.detail for d in letters],
        "size": [len(d.raw) for d in letters],
        "raw": [base64.b64encode(d.raw[:RAW_BYTES]).decode() for d in letters],
        "block": [""] * len(letters),
    }
    return pa.table([to_column(columns[f.name], f.type) for f in schema], schema=schema)


assert STRUCTS.keys() >= {REQUEST, PROMPT, *JUDGEMENTS}
