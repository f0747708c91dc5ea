"""Events of a flush as columns: each attribute is read once, for raw rows and for cells alike.

In: a list of event Structs. Out: Arrow arrays, numpy arrays with 0 for unknown, coded strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamgauge.stream_processors.reading.labels import Coded

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Columns:
    """Column access to events of one Struct type."""

    def __init__(self, events: Sequence[msgspec.Struct]) -> None:
        self.events = events
        self._lists: dict[str, list[Any]] = {}
        self._coded: dict[str, Coded] = {}

    def __len__(self) -> int:
        """Events."""
        return len(self.events)

    def values(self, name: str) -> list[Any]:
        """The attribute of every event, None for unknown."""
        found = self._lists.get(name)
        if found is None:
            found = self._lists[name] = list(map(attrgetter(name), self.events))
        return found

    def empty(self, name: str) -> bool:
        """Whether no event says anything here."""
        values = self.values(name)
        return values.count(None) == len(values)

    def put(self, name: str, values: list[Any]) -> None:
        """Set a column that the events do not carry, or not yet."""
        self._lists[name] = values

    def has(self, name: str) -> bool:
        """A column that was put."""
        return name in self._lists

    def coded(self, name: str) -> Coded:
        """A string column as codes; None is the empty string."""
        found = self._coded.get(name)
        if found is None:
            found = self._coded[name] = self._code(name)
        return found

    def _code(self, name: str) -> Coded:
        if self.empty(name):
            return Coded(np.zeros(len(self), dtype=np.int64), ("",))
        array = pa.array(self.values(name), pa.string()).fill_null("").dictionary_encode()
        return Coded(
            np.asarray(array.indices).astype(np.int64), tuple(array.dictionary.to_pylist())
        )

    def as_text(self, name: str) -> Coded:
        """A number column as codes of its decimal text; None is the empty string."""
        if self.empty(name):
            return Coded(np.zeros(len(self), dtype=np.int64), ("",))
        texts = ["" if v is None else str(v) for v in self.values(name)]
        array = pa.array(texts, pa.string()).dictionary_encode()
        return Coded(
            np.asarray(array.indices).astype(np.int64), tuple(array.dictionary.to_pylist())
        )

    def ints(self, name: str) -> Ints:
        """An integer column, 0 for unknown."""
        if self.empty(name):
            return np.zeros(len(self), dtype=np.int64)
        array: Ints = np.asarray(pa.array(self.values(name), pa.int64()).fill_null(0))
        return array

    def known_floats(self, name: str) -> tuple[NDArray[np.bool_], Floats]:
        """Which values are known, and all values with 0 for unknown."""
        array = pa.array(self.values(name), pa.float64())
        known = np.asarray(array.is_valid())
        return known, np.asarray(array.fill_null(0.0))

    def flags(self, name: str, wanted: bool) -> Ints:
        """1 where a boolean column is known and equals `wanted`."""
        if self.empty(name):
            return np.zeros(len(self), dtype=np.int64)
        return np.fromiter((v is wanted for v in self.values(name)), np.int64, len(self))

    @cached_property
    def ts(self) -> Ints:
        """Event times, ms."""
        return np.fromiter(map(attrgetter("ts"), self.events), np.int64, len(self))
