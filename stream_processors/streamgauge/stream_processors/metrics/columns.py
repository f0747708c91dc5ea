"""Events as columns: each attribute is read once, soon after decoding, for every table alike.

In: event Structs of one type. Out: `Columns`: Arrow arrays for rows, numpy arrays with 0 for
unknown and coded strings for cells. A column that no event says anything about is not there.
Unknown strings are "", unknown numbers null.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamgauge.stream_processors.reading.labels import Coded

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PLAIN = frozenset(
    {
        "id", "trace_id", "span_id", "parent_span_id", "session_id", "user_id", "key_id",
        "response_id", "input_hash", "output_hash", "call_id", "target_id", "comment", "template",
        "input_text", "output_text", "reference_text",
    }
)  # fmt: skip
"""Strings that differ from event to event; all others are kept as codes of a dictionary."""


def to_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column: None is "" for text, no entries for maps and lists, else null."""
    return _unknown_text_is_empty(_as_told(values, kind))


def _as_told(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column; None is null, but for maps and lists no entries."""
    if pa.types.is_map(kind):
        return pa.array([tuple(v.items()) if v else () for v in values], kind)
    if pa.types.is_list(kind):
        return pa.array([[_plain(item) for item in v] if v else [] for v in values], kind)
    return pa.array(values, kind)


def _unknown_text_is_empty(array: pa.Array) -> pa.Array:
    return array.fill_null("") if array.null_count and pa.types.is_string(array.type) else array


def _plain(item: Any) -> Any:
    if isinstance(item, msgspec.Struct):
        return {
            name: ("" if value is None and name not in _NUMBERS else value)
            for name, value in ((n, getattr(item, n)) for n in item.__struct_fields__)
        }
    return item


_NUMBERS = frozenset({"ok", "duration_ms", "args_chars", "result_chars", "score", "rank"})


def conform(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array in the column's type; integers become times where the column is one."""
    if array.type == kind:
        return array
    if pa.types.is_timestamp(kind) and pa.types.is_integer(array.type):
        return array.cast(pa.int64()).view(kind)
    return array.cast(kind)


class _Field(NamedTuple):
    """How a field of a Struct becomes a column. at: its place in the Struct."""

    name: str
    at: int
    kind: pa.DataType
    nested: bool
    coded: bool


class Extractor:
    """Reads events of any Struct into the wanted columns. What it knows of a Struct it keeps."""

    def __init__(self, wanted: Iterable[pa.Field]) -> None:
        self._wanted = tuple(wanted)
        self._plans: dict[type, tuple[_Field, ...]] = {}

    def columns(self, events: Sequence[Any]) -> Columns:
        """The wanted columns that any of these events, all of one Struct, says something about."""
        struct = type(events[0])
        plan = self._plans.get(struct)
        if plan is None:
            plan = self._plans[struct] = self._plan(struct)
        table = tuple(zip(*map(msgspec.structs.astuple, events), strict=True))
        found = {}
        for field in plan:
            array = _column(table[field.at], field)
            if array is not None:
                found[field.name] = array
        return Columns(found, len(events))

    def _plan(self, struct: type) -> tuple[_Field, ...]:
        places = {name: i for i, name in enumerate(struct.__struct_fields__)}  # type: ignore[attr-defined]
        return tuple(
            _Field(
                column.name, places[column.name], column.type, pa.types.is_nested(column.type),
                pa.types.is_string(column.type) and column.name not in PLAIN,
            )
            for column in self._wanted
            if column.name in places
        )  # fmt: skip


def _column(values: Sequence[Any], field: _Field) -> pa.Array | None:
    """None: no event says anything."""
    first, n = values[0], len(values)
    if field.coded and values[-1] == first and values.count(first) == n:
        return constant(first, n) if first is not None else None
    array = _as_told(values, field.kind)
    if field.nested:
        return array if any(values) else None
    if array.null_count == n:
        return None
    array = _unknown_text_is_empty(array)
    return array.dictionary_encode() if field.coded else array


def repeated(value: str, n: int) -> pa.Array:
    """A string column that says the same n times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([value]))


@functools.lru_cache(maxsize=128)
def constant(value: str, n: int) -> pa.Array:
    """`repeated`, kept: of columns that say the same in batch after batch."""
    return repeated(value, n)


def _unknown(like: pa.DataType, n: int) -> pa.Array:
    if pa.types.is_dictionary(like):
        return repeated("", n)
    return to_column([None], like).take(pa.array(np.zeros(n, np.int32)))


class Columns:
    """Columns of events of one type, all of the same length."""

    def __init__(self, arrays: Mapping[str, pa.Array], n: int) -> None:
        self._arrays = dict(arrays)
        self._n = n
        self._coded: dict[str, Coded] = {}

    @classmethod
    def together(cls, parts: Sequence[Columns]) -> Columns:
        """All rows of the parts, with the columns that any of them has."""
        if len(parts) == 1:
            return parts[0]
        types = {name: a.type for part in parts for name, a in part._arrays.items()}
        arrays = {}
        for name, kind in types.items():
            chunks = [
                part._arrays[name] if name in part._arrays else _unknown(kind, len(part))
                for part in parts
            ]
            if pa.types.is_dictionary(kind):
                unified = pa.chunked_array(chunks).unify_dictionaries()
                arrays[name] = unified.combine_chunks()
            else:
                arrays[name] = pa.concat_arrays(chunks)
        return cls(arrays, sum(map(len, parts)))

    def __len__(self) -> int:
        """Events."""
        return self._n

    def empty(self, name: str) -> bool:
        """Whether no event says anything here."""
        return name not in self._arrays

    def array(self, name: str) -> pa.Array | None:
        """The column, None if it is empty."""
        return self._arrays.get(name)

    def put(self, name: str, array: pa.Array) -> None:
        """Set a column."""
        self._arrays[name] = array
        self._coded.pop(name, None)

    def rows(self, keep: Mask) -> Columns:
        """Only the rows where `keep` is true."""
        mask = pa.array(keep)
        return Columns({n: a.filter(mask) for n, a in self._arrays.items()}, int(keep.sum()))

    def coded(self, name: str) -> Coded:
        """A column as codes of its text; unknown is the empty string. Numbers are decimal."""
        found = self._coded.get(name)
        if found is None:
            found = self._coded[name] = self._code(name)
        return found

    def _code(self, name: str) -> Coded:
        array = self._arrays.get(name)
        if array is None:
            return Coded(np.zeros(self._n, dtype=np.int64), ("",))
        if not pa.types.is_dictionary(array.type):
            array = array.cast(pa.string()).fill_null("").dictionary_encode()
        return Coded(
            np.asarray(array.indices).astype(np.int64), tuple(array.dictionary.to_pylist())
        )

    def ints(self, name: str) -> Ints:
        """An integer column, 0 for unknown."""
        array = self._arrays.get(name)
        if array is None:
            return np.zeros(self._n, dtype=np.int64)
        if array.null_count:
            array = array.fill_null(0)
        found: Ints = np.asarray(array).astype(np.int64, copy=False)
        return found

    def known(self, name: str) -> Mask:
        """Where a column that is no text says something."""
        array = self._arrays.get(name)
        if array is None:
            return np.zeros(self._n, dtype=bool)
        valid: Mask = np.asarray(array.is_valid())
        return valid

    def known_floats(self, name: str) -> tuple[Mask, Floats]:
        """Which values are known, and all values with 0 for unknown."""
        array = self._arrays.get(name)
        if array is None:
            return self.known(name), np.zeros(self._n)
        values = np.asarray(array.fill_null(0) if array.null_count else array)
        return self.known(name), values.astype(np.float64, copy=False)

    def flags(self, name: str, wanted: bool) -> Ints:
        """1 where a boolean column is known and equals `wanted`."""
        array = self._arrays.get(name)
        if array is None:
            return np.zeros(self._n, dtype=np.int64)
        values = np.asarray(array.fill_null(not wanted).cast(pa.int64()))
        found: Ints = (values == int(wanted)).astype(np.int64)
        return found

    def is_text(self, name: str, word: str) -> Mask:
        """Where a text column is exactly this."""
        coded = self.coded(name)
        code = coded.values.index(word) if word in coded.values else -1
        found: Mask = coded.codes == code
        return found

    @property
    def ts(self) -> Ints:
        """Event times, ms."""
        return self.times("ts")

    def times(self, name: str) -> Ints:
        """A column of moments, ms since the epoch."""
        found: Ints = np.asarray(self._arrays[name].cast(pa.int64()))
        return found
