"""The metrics processor: what becomes of each message of `llm.events.v1`.

absorb: decode, check against the append time, drop repeats, count the outcome, turn to columns.
cut/build (in the flush thread): price, cap labels, and make the rows of every table.
Nothing is done per event that can be done per run (columns.py).
Pure: the same offsets give the same rows, whatever the cut (below the label cap and within the
duplicate horizon). In: chunks. Out: cuts. Not here: Kafka, store, clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.reasons import Reject
from streamgauge.storage.block import REVISION
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import Chunk, DeadLetter
from streamgauge.stream_processors.metrics import rows
from streamgauge.stream_processors.metrics.accounting import (
    IngestLog,
    ProducerCount,
    Producers,
    count_stored,
    label_rows,
    producer_rows,
    spend_rows,
)
from streamgauge.stream_processors.metrics.cells import LABELS, MAPS, build_cells
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.groups import Group
from streamgauge.stream_processors.metrics.priced import put_prices
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.revisions import (
    LIVE_ONLY,
    MetricsMemory,
    Revisions,
    under_revisions,
)
from streamgauge.stream_processors.reading.decode import Refusal, RunDecoder, sender_of
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.labels import MAP_CAP, Coded, LabelCaps
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
TEXTS = "texts"
HEARTBEAT = "client.stats"


@dataclass(slots=True)
class _Delta:
    """Everything since the last cut. Groups by (type, tables that still lack the events)."""

    groups: dict[tuple[str, frozenset[str]], Group] = field(default_factory=dict)
    producers: Producers = field(default_factory=dict)
    ingest: IngestLog = field(default_factory=IngestLog)
    dead_rows: list[DeadLetter] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


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

    def __init__(self, book: PriceBook, *, texts: bool = False, label_cap: int = 1_000) -> None:
        self._book = book
        self._label_cap = label_cap
        self._texts = texts
        self._decoder = RunDecoder()
        self.tables: tuple[str, ...] = (*TABLE_ORDER, TEXTS) if texts else TABLE_ORDER
        self.reset()

    def reset(self) -> None:
        """Forget everything; `restore` follows."""
        self._delta = _Delta()
        self._seen: dict[str, Seen] = {}
        self._caps = _caps(self._label_cap)
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
        delta, self._delta = self._delta, _Delta()
        return MetricsCut(delta, self._book, self._caps, now_ms, self._revisions, texts=self._texts)


class MetricsCut:
    """chunks.Cut of the metrics worker."""

    def __init__(
        self,
        delta: _Delta,
        book: PriceBook,
        caps: LabelCaps,
        now_ms: int,
        revisions: Revisions,
        *,
        texts: bool,
    ) -> None:
        self._delta = delta
        self._book = book
        self._caps = caps
        self._now_ms = now_ms
        self._revisions = revisions
        self._texts = texts

    @property
    def fences(self) -> Mapping[str, Mapping[str, int]]:
        """Rows of windows are made by these revisions."""
        return {"windows": {REVISION: self._revisions.number}}

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """Refused inputs."""
        return self._delta.dead_letters

    def build(self) -> Mapping[str, pa.Table]:
        """The rows of every table."""
        made: dict[str, list[pa.Table]] = {}

        def put(table: str, data: pa.Table) -> None:
            if data.num_rows:
                made.setdefault(table, []).append(data)

        for (kind, tables), group in self._delta.groups.items():
            c = group.columns()
            if kind == rows.REQUEST:
                put_prices(c, self._book)
                self._requests(c, tables, put)
            if "events" in tables:
                put("events", rows.event_rows(c))
            if kind in rows.JUDGEMENTS and "judgements" in tables:
                put("judgements", rows.judgement_rows(c))
            if kind == rows.PROMPT and "prompts" in tables:
                put("prompts", rows.prompt_rows(c))
            if self._texts and kind in rows.TEXTED and TEXTS in tables:
                put(TEXTS, rows.text_rows(c))
            if "producers" in tables:
                count_stored(self._delta.producers, c)
        put("producers", producer_rows(self._delta.producers))
        put("dead_letters", rows.dead_letter_rows(self._delta.dead_rows))
        put("ingest_log", self._delta.ingest.rows(self._now_ms))
        return {table: rows.concat(table, parts) for table, parts in made.items()}

    def _requests(self, c: Columns, tables: frozenset[str], put: Any) -> None:
        if "spend" in tables:
            put("spend", spend_rows(c))
        if "windows" not in tables:
            return
        labels, new = capped(c, self._caps)
        cells = build_cells(c, *labels, TABLES["windows"].data)
        put("windows", under_revisions(cells, self._revisions))
        if "label_values" in tables:
            put("label_values", label_rows(new))


def _caps(cap: int) -> LabelCaps:
    return LabelCaps(cap=cap, caps={name: min(cap, MAP_CAP) for name in MAPS})


def capped(
    c: Columns, caps: LabelCaps
) -> tuple[tuple[dict[str, Coded], dict[str, Coded]], list[tuple[str, str, str, int]]]:
    """Labels and map values under their caps, and what was admitted now with its first ts."""
    everybody = Coded(c.coded("tenant").codes * 0, ("",))
    tenant, admitted = caps.apply("tenant", c.coded("tenant"), everybody)
    labels = {"tenant": tenant}
    for name in LABELS[1:]:
        labels[name], new = caps.apply(name, c.coded(name), tenant)
        admitted += new
    maps = {}
    for column, source in MAPS.items():
        maps[column], new = caps.apply(column, c.coded(source), tenant)
        admitted += new
    ts = c.ts
    return (labels, maps), [(a.tenant, a.label, a.value, int(ts[a.row])) for a in admitted]


def _known(event: Any) -> bool:
    return event.__struct_config__.tag is not None
