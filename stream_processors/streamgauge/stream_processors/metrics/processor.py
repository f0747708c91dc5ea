"""The metrics processor: what becomes of each message of `llm.events.v1`.

Decode, check against the append time, drop repeats, count the outcome, turn to columns; what is
absorbed goes into a cut (cut.py), which makes the rows in the flush thread. Nothing is done per
event that can be done per run (columns.py).
Pure: the same offsets give the same rows, whatever the cut (below the label cap and within the
duplicate horizon). In: chunks. Out: cuts. Not here: Kafka, store, clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.reasons import Reject
from streamgauge.stream_processors.core.chunks import Chunk, DeadLetter
from streamgauge.stream_processors.metrics.accounting import (
    ProducerCount,
)
from streamgauge.stream_processors.metrics.capping import window_caps
from streamgauge.stream_processors.metrics.cut import TEXTS, Delta, MetricsCut
from streamgauge.stream_processors.metrics.groups import Group
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.revisions import (
    LIVE_ONLY,
    MetricsMemory,
)
from streamgauge.stream_processors.reading.decode import Refusal, RunDecoder, sender_of
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.labels import CAP
from streamgauge.stream_processors.reading.memory import Memory
from streamgauge.stream_processors.reading.structs import kind_of

TABLE_ORDER = (
    "label_values",  # before the windows that use them
    "events",
    "windows",
    "spend",
    "judgements",
    "prompts",
    "producers",
    "dead_letters",
    "ingest_log",
)
SLOW_TABLES = frozenset({"spend", "producers"})
"""A row per user, or per client, and flush would be many; no rule reads them."""
HEARTBEAT = "client.stats"


@dataclass(slots=True)
class _Messages:
    """Messages of a chunk that are still in the running; lists of one length."""

    values: Sequence[bytes]
    events: list[Any]
    offsets: Sequence[int]
    append_ms: Sequence[int]

    def pick(self, rows: Sequence[int]) -> _Messages:
        """These, by index."""
        return _Messages(*([column[i] for i in rows] for column in self._columns()))

    def without(self, rows: Sequence[int]) -> _Messages:
        """All but these."""
        out = set(rows)
        return self.pick([i for i in range(len(self.events)) if i not in out])

    def _columns(self) -> tuple[Sequence[Any], ...]:
        return self.values, self.events, self.offsets, self.append_ms


class MetricsProcessor:
    """chunks.Processor of the metrics worker. texts: also fill the table `texts`."""

    writer = "metrics"

    def __init__(self, book: PriceBook, *, texts: bool = False, label_cap: int = CAP) -> None:
        self._book = book
        self._label_cap = label_cap
        self._texts = texts
        self._decoder = RunDecoder()
        self.tables: tuple[str, ...] = (*TABLE_ORDER, TEXTS) if texts else TABLE_ORDER
        self.reset()

    def reset(self) -> None:
        """Forget everything; `restore` follows."""
        self._delta = Delta()
        self._seen: dict[str, Seen] = {}
        self._caps = window_caps(self._label_cap)
        self._revisions = LIVE_ONLY

    def restore(self, state: object) -> None:
        """Take in a `Memory`."""
        if not isinstance(state, Memory):
            return
        self._seen = state.seen
        for tenant, label, value in state.labels:
            self._caps.know(tenant, label, value)
        if isinstance(state, MetricsMemory):
            self._revisions = state.revisions

    def absorb(self, chunk: Chunk) -> int | None:
        """Take a chunk in; the highest accepted event time, ms."""
        messages = self._decoded(chunk)
        messages = self._refused(chunk, messages)
        messages = self._in_time(chunk, messages)
        messages = self._new(chunk, messages)
        max_ts = max(map(attrgetter("ts"), messages.events), default=None)
        self._accept(chunk, messages)
        if "ingest_log" in chunk.tables:
            self._delta.ingest.close(chunk, max_ts)
        return max_ts

    def _decoded(self, chunk: Chunk) -> _Messages:
        values = [v or b"" for v in chunk.values]
        events: list[Any] = list(self._decoder.decode(values)) if values else []
        if None in chunk.values:  # a tombstone holds no event
            for i, value in enumerate(chunk.values):
                if value is None:
                    events[i] = Refusal(Reject.BAD_JSON, "no value")
        return _Messages(values, events, chunk.offsets, chunk.append_ms)

    def _refused(self, chunk: Chunk, m: _Messages) -> _Messages:
        if Refusal not in set(map(type, m.events)):
            return m
        dead = [i for i, event in enumerate(m.events) if isinstance(event, Refusal)]
        for i in dead:
            self._refuse(chunk, m.events[i], m.offsets[i], m.values[i], m.append_ms[i])
        self._count(chunk, "dead", m.pick(dead))
        return m.without(dead)

    def _in_time(self, chunk: Chunk, m: _Messages) -> _Messages:
        n = len(m.events)
        ts = np.fromiter(map(attrgetter("ts"), m.events), np.int64, n)
        ahead_ms = ts - np.fromiter(m.append_ms, np.int64, n)
        dead = np.flatnonzero(ahead_ms > FUTURE_MS).tolist()
        if not dead:
            return m
        for i in dead:
            why = f"ts is {ahead_ms[i]} ms after the append time, at most {FUTURE_MS} are taken"
            refusal = Refusal(Reject.TS_IN_FUTURE, why)
            self._refuse(chunk, refusal, m.offsets[i], m.values[i], m.append_ms[i])
        self._count(chunk, "dead", m.pick(dead))
        return m.without(dead)

    def _new(self, chunk: Chunk, m: _Messages) -> _Messages:
        repeats = self._seen.setdefault(chunk.key, Seen()).repeats(
            list(map(attrgetter("producer_id"), m.events)),
            list(map(attrgetter("seq"), m.events)),
            list(map(attrgetter("id"), m.events)),
            m.offsets,
        )
        if not repeats:
            return m
        again = m.pick(repeats)
        if "producers" in chunk.tables:
            for event in again.events:
                if event.producer_id:
                    self._producer(event).duplicates += 1
        self._count(chunk, "duplicate", again)
        return m.without(repeats)

    def _accept(self, chunk: Chunk, m: _Messages) -> None:
        if not m.events:
            return
        structs = set(map(type, m.events))
        if len(structs) == 1 and _known(m.events[0]):
            self._keep(chunk, kind_of(m.events[0]), m)
            return
        by: dict[tuple[type, str], list[int]] = {}
        for i, event in enumerate(m.events):
            by.setdefault((type(event), kind_of(event)), []).append(i)
        for (_, kind), indices in by.items():
            self._keep(chunk, kind, m.pick(indices))

    def _keep(self, chunk: Chunk, kind: str, m: _Messages) -> None:
        """Accepted events of one Struct and type."""
        key = (kind, chunk.tables)
        group = self._delta.groups.get(key)
        if group is None:
            group = self._delta.groups[key] = Group(kind, texts=self._texts)
        group.add(chunk, m.events, m.offsets, m.append_ms)
        self._count(chunk, "stored" if _known(m.events[0]) else "unknown_type", m)
        if kind == HEARTBEAT and "producers" in chunk.tables:
            for event in m.events:
                if event.producer_id:
                    self._producer(event).heartbeat(event)

    def _count(self, chunk: Chunk, outcome: str, m: _Messages) -> None:
        if "ingest_log" in chunk.tables:
            size = sum(map(len, m.values))
            entry = self._delta.ingest.entry(chunk.src, chunk.partition, outcome)
            entry.add(len(m.events), size, m.offsets[0], m.offsets[-1])

    def _producer(self, event: Any) -> ProducerCount:
        found = self._delta.producers.get(event.producer_id)
        if found is None:
            found = self._delta.producers[event.producer_id] = ProducerCount(
                event.tenant, event.app
            )
        return found

    def _refuse(
        self, chunk: Chunk, refusal: Refusal, offset: int, raw: bytes, append_ms: int
    ) -> None:
        letter = DeadLetter(
            refusal.reason.value, chunk.src, chunk.partition, offset, raw, append_ms, refusal.detail
        )
        self._delta.dead_letters.append(letter)
        if "dead_letters" in chunk.tables:
            self._delta.dead_rows.append(letter)
        if "producers" in chunk.tables and (sender := sender_of(raw)) is not None:
            self._producer(sender).refused(sender.seq)

    def cut(self, *, now_ms: int) -> MetricsCut:
        """Detach the delta. Label caps go along: build() is their only user until a reset."""
        delta, self._delta = self._delta, Delta()
        return MetricsCut(delta, self._book, self._caps, now_ms, self._revisions, texts=self._texts)


def _known(event: Any) -> bool:
    return event.__struct_config__.tag is not None
