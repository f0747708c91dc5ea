"""Rows of `events`, `judgements`, `texts`, `prompts` and `dead_letters`: one per message.

In: accepted events with where they came from (`Origin`), refused messages. Out: Arrow tables with
the columns of streamgauge.storage.tables. Every accepted event has a row in `events`, whatever its
type: the offsets there are the offsets that were stored (dedup and audit stand on it).
Unknown strings are "", unknown numbers null.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import DeadLetter
from streamgauge.stream_processors.metrics.cells import conform
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.reading.decode import STRUCTS, kind_of

RAW_BYTES = 8_192
REQUEST = "llm.request"
JUDGEMENTS = ("llm.feedback", "llm.evaluation")
PROMPT = "llm.prompt"
TEXT_FIELDS = ("input_text", "output_text", "reference_text", "embedding")
TEXTED = (REQUEST, "llm.tool", "llm.retrieval")


@dataclass(slots=True)
class Origin:
    """Where the events of a group came from; lists parallel to the events."""

    src: list[str]
    partition: list[int]
    offset: list[int]
    append_ms: list[int]

    @classmethod
    def empty(cls) -> Origin:
        """Of no events."""
        return cls([], [], [], [])

    def add(self, src: str, partition: int, offset: int, append_ms: int) -> None:
        """One more event."""
        self.src.append(src)
        self.partition.append(partition)
        self.offset.append(offset)
        self.append_ms.append(append_ms)

    def column(self, name: str) -> list[Any] | None:
        """The column of a raw table, None if it is the event's own."""
        lists: dict[str, list[Any]] = {
            "src": self.src,
            "partition": self.partition,
            "offset": self.offset,
            "append_ts": self.append_ms,
        }
        return lists.get(name)


def to_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column: None is "" for text, no entries for maps and lists, else null."""
    if pa.types.is_string(kind):
        return pa.array(values, kind).fill_null("")
    if pa.types.is_map(kind):
        return pa.array([tuple(v.items()) if v else () for v in values], kind)
    if pa.types.is_list(kind):
        return pa.array([[_plain(item) for item in v] if v else [] for v in values], kind)
    if pa.types.is_timestamp(kind):
        return conform(pa.array(values, pa.int64()), kind)
    return pa.array(values, kind)


def _plain(item: Any) -> Any:
    if isinstance(item, msgspec.Struct):
        return {
            name: ("" if value is None and name not in _NUMBERS else value)
            for name, value in ((n, getattr(item, n)) for n in item.__struct_fields__)
        }
    return item


_NUMBERS = frozenset({"ok", "duration_ms", "args_chars", "result_chars", "score", "rank"})


def _build(
    schema: pa.Schema, c: Columns, origin: Origin, special: dict[str, Callable[[], list[Any]]]
) -> pa.Table:
    """The columns of `schema` that any of these events says something about, in its order."""
    arrays, kept = [], []
    fields = c.events[0].__struct_fields__ if c.events else ()
    for column in schema:
        values = origin.column(column.name)
        if values is None and column.name in special:
            values = special[column.name]()
        if values is None:
            known = column.name in fields or c.has(column.name)
            if not known or c.empty(column.name):
                continue  # left out of the block: the table has its default
            values = c.values(column.name)
        arrays.append(to_column(values, column.type))
        kept.append(column)
    return pa.table(arrays, schema=pa.schema(kept))


def concat(table: str, parts: Sequence[pa.Table]) -> pa.Table:
    """Rows of several builds as one table with the columns that any of them has."""
    if len(parts) == 1:
        return parts[0]
    named = {name for part in parts for name in part.column_names}
    schema = pa.schema([f for f in TABLES[table].data if f.name in named])
    return pa.concat_tables(
        pa.table(
            [
                part.column(f.name)
                if f.name in part.column_names
                else _nothing(f.type, part.num_rows)
                for f in schema
            ],
            schema=schema,
        )
        for part in parts
    )


def _nothing(kind: pa.DataType, n: int) -> pa.Array:
    return to_column([None], kind).take(pa.array([0] * n, pa.int32()))


def event_rows(c: Columns, origin: Origin) -> pa.Table:
    """Rows of `events` for events of one type."""
    kinds = [kind_of(e) for e in c.events]
    return _build(TABLES["events"].data, c, origin, {"type": lambda: kinds})


def judgement_rows(c: Columns, origin: Origin) -> pa.Table:
    """Rows of `judgements` for feedback or evaluations."""
    kinds = [kind_of(e) for e in c.events]
    return _build(TABLES["judgements"].data, c, origin, {"type": lambda: kinds})


def text_rows(c: Columns, origin: Origin) -> pa.Table:
    """Rows of `texts` for those events that carry a text."""
    keep = [
        i
        for i, texts in enumerate(zip(c.values("input_text"), c.values("output_text"), strict=True))
        if any(texts)
    ]
    some = Columns([c.events[i] for i in keep])
    where = Origin(
        [origin.src[i] for i in keep],
        [origin.partition[i] for i in keep],
        [origin.offset[i] for i in keep],
        [origin.append_ms[i] for i in keep],
    )
    return _build(TABLES["texts"].data, some, where, {"event_id": lambda: some.values("id")})


def prompt_rows(c: Columns, origin: Origin) -> pa.Table:
    """Rows of `prompts`: the registration with the latest ts counts, then the last in a million
    offsets."""
    revs = [(ts << 20) + o % 2**20 for ts, o in zip(c.ts.tolist(), origin.offset, strict=True)]
    return _build(TABLES["prompts"].data, c, origin, {"rev": lambda: revs})


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
