"""Accepted events of one type on their way from Structs to columns, some thousand at a time.

In: decoded events with the chunk that they came in. Out: `Columns` of all of them, with where each
came from. Not here: which events are accepted (processor.py), what becomes of columns (rows.py,
cells.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.metrics import rows
from streamgauge.stream_processors.metrics.columns import Columns, Extractor, constant

BATCH_EVENTS = 1_000
"""Events of a kind that are turned into columns at once: thin runs cost no more, and what was
decoded is still in the processor's cache."""


@functools.lru_cache(maxsize=64)  # types of events can be made up
def _extractor(kind: str, texts: bool) -> Extractor:
    return Extractor(rows.wanted(kind, texts=texts))


class Group:
    """Accepted events of one type that go to the same tables."""

    def __init__(self, kind: str, *, texts: bool) -> None:
        self._kind = kind
        self._extractor = _extractor(kind, texts)
        self._parts: list[Columns] = []
        self._empty()

    def _empty(self) -> None:
        self._events: list[Any] = []
        self._origins: list[tuple[str, int, int]] = []  # src, partition, events
        self._offsets: list[int] = []
        self._append_ms: list[int] = []

    def add(
        self, chunk: Chunk, events: list[Any], offsets: Sequence[int], append_ms: Sequence[int]
    ) -> None:
        """Events of one Struct, from this chunk."""
        if self._events and type(self._events[0]) is not type(events[0]):
            self._settle()
        self._events += events
        self._origins.append((chunk.src, chunk.partition, len(events)))
        self._offsets += offsets
        self._append_ms += append_ms
        if len(self._events) >= BATCH_EVENTS:
            self._settle()

    def _settle(self) -> None:
        """Turn what waits into columns; the events and their texts can go."""
        n = len(self._events)
        part = self._extractor.columns(self._events)
        src, partition, counts = zip(*self._origins, strict=True)
        part.put("src", _sources(src, counts))
        part.put("partition", pa.array(np.repeat(np.array(partition, np.uint32), counts)))
        part.put("offset", pa.array(self._offsets, pa.uint64()))
        part.put("append_ts", pa.array(self._append_ms, pa.timestamp("ms", tz="UTC")))
        part.put("type", constant(self._kind, n))
        self._parts.append(part)
        self._empty()

    def columns(self) -> Columns:
        """All of it. The group is at its end."""
        if self._events:
            self._settle()
        return Columns.together(self._parts)


def _sources(src: Sequence[str], counts: Sequence[int]) -> pa.Array:
    """Each source so many times."""
    names = sorted(set(src))
    codes = np.array([names.index(name) for name in src], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(np.repeat(codes, counts)), pa.array(names))
