"""The metrics processor: what becomes of each message of `llm.events.v1`.

absorb: decode, check against the append time, drop repeats, count the outcome, keep the event.
cut/build (in the flush thread): price, cap labels, and make the rows of every table.
Pure: the same offsets give the same rows, whatever the cut (below the label cap and within the
duplicate horizon). In: chunks. Out: cuts. Not here: Kafka, store, clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.reasons import Reject
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import Chunk, DeadLetter
from streamgauge.stream_processors.metrics import rows
from streamgauge.stream_processors.metrics.accounting import (
    IngestLog,
    ProducerCount,
    Producers,
    label_rows,
    producer_rows,
    spend_rows,
)
from streamgauge.stream_processors.metrics.cells import LABELS, MAPS, build_cells
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.priced import put_prices
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.reading.decode import (
    STRUCTS,
    Refusal,
    decode_values,
    kind_of,
    sender_of,
)
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.labels import MAP_CAP, Coded, LabelCaps
from streamgauge.stream_processors.reading.memory import Memory

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
SLOW_TABLES = frozenset({"spend"})  # a row per user and flush would be many; no rule reads it
TEXTS = "texts"
HEARTBEAT = "client.stats"


_BULKY = {
    kind: [f for f in rows.TEXT_FIELDS if f in struct.__struct_fields__]
    for kind, struct in STRUCTS.items()
}


@dataclass(slots=True)
class _Group:
    """Accepted events of one type that go to the same tables."""

    events: list[Any] = field(default_factory=list)
    origin: rows.Origin = field(default_factory=rows.Origin.empty)


@dataclass(slots=True)
class _Delta:
    """Everything since the last cut. Groups by (type, tables that still lack the events)."""

    groups: dict[tuple[str, frozenset[str]], _Group] = field(default_factory=dict)
    producers: Producers = field(default_factory=dict)
    ingest: IngestLog = field(default_factory=IngestLog)
    dead_rows: list[DeadLetter] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


class MetricsProcessor:
    """chunks.Processor of the metrics worker. texts: also fill the table `texts`."""

    writer = "metrics"

    def __init__(self, book: PriceBook, *, texts: bool = False, label_cap: int = 1_000) -> None:
        self._book = book
        self._label_cap = label_cap
        self._texts = texts
        self.tables: tuple[str, ...] = (*TABLE_ORDER, TEXTS) if texts else TABLE_ORDER
        self.reset()

    def reset(self) -> None:
        """Forget everything; `restore` follows."""
        self._delta = _Delta()
        self._seen: dict[str, Seen] = {}
        self._caps = _caps(self._label_cap)

    def restore(self, state: object) -> None:
        """Take in a `Memory`."""
        if not isinstance(state, Memory):
            return
        self._seen = state.seen
        for tenant, label, value in state.labels:
            self._caps.know(tenant, label, value)

    def absorb(self, chunk: Chunk) -> int | None:
        """Take a chunk in; the highest accepted event time, ms."""
        present = [v for v in chunk.values if v is not None]
        decoded = iter(decode_values(present))
        seen = self._seen.setdefault(chunk.key, Seen())
        count = _Outcomes(self._delta.ingest, chunk) if "ingest_log" in chunk.tables else None
        max_ts: int | None = None
        for value, offset, append_ms in zip(
            chunk.values, chunk.offsets, chunk.append_ms, strict=True
        ):
            if value is None:  # a tombstone holds no event
                event: Any = Refusal(Reject.BAD_JSON, "no value")
            else:
                event = _in_time(next(decoded), append_ms)
            if isinstance(event, Refusal):
                outcome = "dead"
                self._refuse(chunk, event, offset, value or b"", append_ms)
            elif not seen.first_time(event.producer_id, event.seq, event.id, offset):
                outcome = "duplicate"
                self._repeat(chunk, event)
            else:
                outcome = self._accept(chunk, event, offset, append_ms)
                if max_ts is None or event.ts > max_ts:
                    max_ts = event.ts
            if count is not None:
                count.add(outcome, offset, len(value or b""))
        if count is not None:
            count.close(max_ts)
        return max_ts

    def _accept(self, chunk: Chunk, event: Any, offset: int, append_ms: int) -> str:
        kind = kind_of(event)
        key = (kind, chunk.tables)
        group = self._delta.groups.get(key)
        if group is None:
            group = self._delta.groups[key] = _Group()
        if not self._texts:
            for name in _BULKY.get(kind, ()):
                setattr(event, name, None)  # half the memory of an event that waits for its flush
        group.events.append(event)
        group.origin.add(chunk.src, chunk.partition, offset, append_ms)
        if event.producer_id and "producers" in chunk.tables:
            producer = self._producer(event)
            producer.stored(event)
            if kind == HEARTBEAT:
                producer.heartbeat(event)
        return "stored" if _known(event) else "unknown_type"

    def _repeat(self, chunk: Chunk, event: Any) -> None:
        if event.producer_id and "producers" in chunk.tables:
            self._producer(event).duplicates += 1

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
        return MetricsCut(delta, self._book, self._caps, now_ms, texts=self._texts)


class MetricsCut:
    """chunks.Cut of the metrics worker."""

    def __init__(
        self, delta: _Delta, book: PriceBook, caps: LabelCaps, now_ms: int, *, texts: bool
    ) -> None:
        self._delta = delta
        self._book = book
        self._caps = caps
        self._now_ms = now_ms
        self._texts = texts

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
            c = Columns(group.events)
            if kind == rows.REQUEST:
                put_prices(c, self._book)
                self._requests(c, group.origin.append_ms, tables, put)
            if "events" in tables:
                put("events", rows.event_rows(c, group.origin))
            if kind in rows.JUDGEMENTS and "judgements" in tables:
                put("judgements", rows.judgement_rows(c, group.origin))
            if kind == rows.PROMPT and "prompts" in tables:
                put("prompts", rows.prompt_rows(c, group.origin))
            if self._texts and kind in rows.TEXTED and TEXTS in tables:
                put(TEXTS, rows.text_rows(c, group.origin))
        put("producers", producer_rows(self._delta.producers))
        put("dead_letters", rows.dead_letter_rows(self._delta.dead_rows))
        put("ingest_log", self._delta.ingest.rows(self._now_ms))
        return {table: rows.concat(table, parts) for table, parts in made.items()}

    def _requests(
        self, c: Columns, append_ms: Sequence[int], tables: frozenset[str], put: Any
    ) -> None:
        if "spend" in tables:
            put("spend", spend_rows(c))
        if "windows" not in tables:
            return
        capped, new = _capped(c, self._caps)
        taken = np.asarray(append_ms, dtype=np.int64)
        put("windows", build_cells(c, *capped, taken, TABLES["windows"].data))
        if "label_values" in tables:
            put("label_values", label_rows(new))


def _caps(cap: int) -> LabelCaps:
    return LabelCaps(cap=cap, caps={name: min(cap, MAP_CAP) for name in MAPS})


def _capped(
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
        values = c.as_text(source) if source == "http_status" else c.coded(source)
        maps[column], new = caps.apply(column, values, tenant)
        admitted += new
    return (labels, maps), [(a.tenant, a.label, a.value, int(c.ts[a.row])) for a in admitted]


def _known(event: Any) -> bool:
    return event.__struct_config__.tag is not None


def _in_time(event: Any, append_ms: int) -> Any:
    if isinstance(event, Refusal) or event.ts - append_ms <= FUTURE_MS:
        return event
    return Refusal(
        Reject.TS_IN_FUTURE,
        f"ts is {event.ts - append_ms} ms after the append time, at most {FUTURE_MS} are taken",
    )


class _Outcomes:
    """Counts the offsets of one chunk, then adds them to the log."""

    def __init__(self, log: IngestLog, chunk: Chunk) -> None:
        self._log = log
        self._chunk = chunk
        self._by: dict[str, list[int]] = {}  # outcome -> [n, bytes, first, last]

    def add(self, outcome: str, offset: int, size: int) -> None:
        found = self._by.get(outcome)
        if found is None:
            self._by[outcome] = [1, size, offset, offset]
        else:
            found[0] += 1
            found[1] += size
            found[3] = offset

    def close(self, max_ts: int | None) -> None:
        chunk = self._chunk
        skipped = chunk.next - chunk.base - len(chunk) - chunk.lost
        if chunk.lost:
            self._by["lost"] = [chunk.lost, 0, chunk.base, chunk.base + chunk.lost - 1]
        if skipped > 0:
            self._by["control"] = [skipped, 0, chunk.base + chunk.lost, chunk.next - 1]
        last_append = max(chunk.append_ms, default=0)
        for outcome, (n, size, first, last) in self._by.items():
            entry = self._log.entry(chunk.src, chunk.partition, outcome)
            entry.add(n, size, first, last)
            entry.end = max(entry.end, chunk.end or 0)
            entry.last_append = max(entry.last_append, last_append)
            if outcome == "stored":
                entry.max_ts = max(entry.max_ts, max_ts or 0)
