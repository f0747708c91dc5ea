"""What became of every offset and of every producer's events; who spent what.

`ingest_log`: offsets by outcome, per source partition. Outcomes add up to the offsets read:
stored + unknown_type + duplicate + dead + control + lost (control: no message at the offset).
`producers`: per client instance, what was stored, repeated and refused, and its last heartbeat; so
what a client produced = stored + dead + dropped (the client's count). A refused message counts for
the client that it names; one that cannot be read (truncated, NaN) names none.
`spend`: cost per day, app, key, user and model, for budgets.
Integer sums, minima and maxima only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.metrics.cells import combine
from streamgauge.stream_processors.metrics.columns import Columns, Ints, conform, to_column
from streamgauge.stream_processors.reading.labels import Coded

ACCEPTED = ("stored", "unknown_type")
OUTCOMES = (*ACCEPTED, "duplicate", "dead", "control", "lost")
COUNTERS = ("accepted", "sent", "spooled", "errors")
"""Of a heartbeat; they run since the client's start."""
DAY_S = 86_400
SPEND_KEY = ("tenant", "app", "team", "key_id", "user_id", "provider", "model")


@dataclass(slots=True)
class OutcomeCount:
    """Offsets of one source partition with one outcome."""

    n: int = 0
    bytes: int = 0
    first: int | None = None
    last: int = 0
    end: int = 0
    max_ts: int = 0
    last_append: int = 0

    def add(self, n: int, size: int, first: int, last: int) -> None:
        """`n` more offsets in [first, last], values of `size` bytes together."""
        self.n += n
        self.bytes += size
        self.first = first if self.first is None else min(self.first, first)
        self.last = max(self.last, last)


@dataclass(slots=True)
class IngestLog:
    """Counts since the last cut."""

    counts: dict[tuple[str, int, str], OutcomeCount] = field(default_factory=dict)

    def entry(self, src: str, partition: int, outcome: str) -> OutcomeCount:
        """The count to add to."""
        return self.counts.setdefault((src, partition, outcome), OutcomeCount())

    def close(self, chunk: Chunk, max_ts: int | None) -> None:
        """The messages of a chunk are counted: add the offsets without one, and how far it came."""
        begin = chunk.base + chunk.lost
        skipped = chunk.next - begin - len(chunk)
        if chunk.lost:
            self.entry(chunk.src, chunk.partition, "lost").add(chunk.lost, 0, chunk.base, begin - 1)
        if skipped > 0:
            self.entry(chunk.src, chunk.partition, "control").add(skipped, 0, begin, chunk.next - 1)
        last_append = max(chunk.append_ms, default=0)
        for outcome in OUTCOMES:
            entry = self.counts.get((chunk.src, chunk.partition, outcome))
            if entry is not None:
                entry.end = max(entry.end, chunk.end or 0)
                entry.last_append = max(entry.last_append, last_append)
                if outcome in ACCEPTED:
                    entry.max_ts = max(entry.max_ts, max_ts or 0)

    def rows(self, now_ms: int) -> pa.Table:
        """Rows of `ingest_log`."""
        schema = TABLES["ingest_log"].data
        entries = [(key, c) for key, c in self.counts.items() if c.n]
        columns: dict[str, list[Any]] = {
            "src": [k[0] for k, _ in entries],
            "partition": [k[1] for k, _ in entries],
            "outcome": [k[2] for k, _ in entries],
            "n": [c.n for _, c in entries],
            "bytes": [c.bytes for _, c in entries],
            "first_offset": [c.first or 0 for _, c in entries],
            "last_offset": [c.last for _, c in entries],
            "end_offset": [c.end for _, c in entries],
            "max_ts": [c.max_ts for _, c in entries],
            "last_append": [c.last_append for _, c in entries],
            "written_at": [now_ms] * len(entries),
        }
        return pa.table([to_column(columns[f.name], f.type) for f in schema], schema=schema)


@dataclass(slots=True)
class ProducerCount:
    """One client instance since the last cut."""

    tenant: str = ""
    app: str = ""
    sdk: str = ""
    host: str = ""
    n: int = 0
    duplicates: int = 0
    dead: int = 0
    min_seq: int | None = None
    max_seq: int = 0
    first_ts: int | None = None
    last_ts: int = 0
    accepted: int = 0
    sent: int = 0
    spooled: int = 0
    errors: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    last_stats: tuple[int, str] = (0, "")  # of the latest heartbeat: its ts and its JSON

    def stored(self, n: int, first_ts: int, last_ts: int, lowest: int | None, highest: int) -> None:
        """Events of it that were stored, their times in ms and their range of seq."""
        self.n += n
        self.first_ts = first_ts if self.first_ts is None else min(self.first_ts, first_ts)
        self.last_ts = max(self.last_ts, last_ts)
        if lowest is not None:
            self._number(lowest)
            self._number(highest)

    def refused(self, seq: int | None) -> None:
        """A message of it that became a dead letter: its number did not go missing."""
        self.dead += 1
        self._number(seq)

    def _number(self, seq: int | None) -> None:
        if seq is not None:
            self.min_seq = seq if self.min_seq is None else min(self.min_seq, seq)
            self.max_seq = max(self.max_seq, seq)

    def heartbeat(self, event: Any) -> None:
        """A `client.stats` of it. The highest counts are kept, as in the table."""
        for name in COUNTERS:
            setattr(self, name, max(getattr(self, name), getattr(event, name) or 0))
        for reason, n in (event.dropped or {}).items():
            self.dropped[reason] = max(self.dropped.get(reason, 0), n)
        told = (event.ts, msgspec.json.encode(event).decode())
        self.last_stats = max(self.last_stats, told)


Producers = dict[str, ProducerCount]


def count_stored(producers: Producers, c: Columns) -> None:
    """Add events that are stored to the counts of the client instances that sent them."""
    coded, ts = c.coded("producer_id"), c.ts
    order = np.argsort(coded.codes, kind="stable")
    starts = np.flatnonzero(np.diff(coded.codes[order], prepend=-1))
    if not len(starts):
        return
    numbered, seq = c.known("seq"), c.ints("seq")
    n = np.diff(np.append(starts, len(order)))
    first_ts = np.minimum.reduceat(ts[order], starts)
    last_ts = np.maximum.reduceat(ts[order], starts)
    lowest = np.minimum.reduceat(np.where(numbered, seq, _NO_SEQ)[order], starts)
    highest = np.maximum.reduceat(np.where(numbered, seq, 0)[order], starts)
    last_row = order[np.append(starts[1:], len(order)) - 1]
    latest = {name: (c.coded(name), _last_named(c, name, coded)) for name in ("sdk", "host")}
    tenant, app = c.coded("tenant"), c.coded("app")
    for i, code in enumerate(coded.codes[order[starts]].tolist()):
        if not coded.values[code]:
            continue
        producer = producers.setdefault(coded.values[code], ProducerCount())
        low = int(lowest[i])
        producer.stored(
            int(n[i]), int(first_ts[i]), int(last_ts[i]),
            None if low == _NO_SEQ else low, int(highest[i]),
        )  # fmt: skip
        producer.tenant = tenant.values[tenant.codes[last_row[i]]]
        producer.app = app.values[app.codes[last_row[i]]]
        for name, (texts, row) in latest.items():
            if row[code] >= 0:
                setattr(producer, name, texts.values[texts.codes[row[code]]])


_NO_SEQ = np.iinfo(np.int64).max


def _last_named(c: Columns, name: str, producer: Coded) -> Ints:
    """By producer code: the last row in which this text is not empty, -1 if there is none."""
    rows = np.full(len(producer.values), -1, dtype=np.int64)
    named = np.flatnonzero(~c.is_text(name, ""))
    rows[producer.codes[named]] = named  # of repeated indices the last one stays
    return rows


def producer_rows(producers: Mapping[str, ProducerCount]) -> pa.Table:
    """Rows of `producers`; client counters are 0 without a heartbeat."""
    schema = TABLES["producers"].data
    columns: dict[str, list[Any]] = {"producer_id": list(producers)}
    for name in schema.names[1:]:
        columns[name] = [getattr(p, name) for p in producers.values()]
    columns["last_stats"] = [{"ts": ts, "stats": said} for ts, said in columns["last_stats"]]
    return pa.table([to_column(columns[f.name], f.type) for f in schema], schema=schema)


def spend_rows(c: Columns) -> pa.Table:
    """Rows of `spend` for requests that are priced already (`cost_nano_usd`, `unpriced`)."""
    schema = TABLES["spend"].data
    labels = {name: c.coded(name) for name in SPEND_KEY}
    combination, example = combine(list(labels.values()))
    day = c.ts // 1000 // DAY_S * DAY_S
    order = np.lexsort((day, combination))
    key, days = combination[order], day[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (key[1:] != key[:-1]) | (days[1:] != days[:-1])
    starts = np.flatnonzero(new)
    unpriced = c.ints("unpriced")
    tokens_in, tokens_out = c.ints("input_tokens"), c.ints("output_tokens")
    sums = {
        "n": np.ones(len(c), dtype=np.int64),
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cost_nano_usd": c.ints("cost_nano_usd"),
        "unpriced_n": unpriced,
        "unpriced_tokens": (tokens_in + tokens_out) * unpriced,
    }
    arrays = {
        name: pa.array(np.add.reduceat(values[order], starts)) for name, values in sums.items()
    }
    arrays["t"] = pa.array(days[starts])
    rows = example[key[starts]]
    for name, coded in labels.items():
        arrays[name] = pa.array(coded.values, pa.string()).take(pa.array(coded.codes[rows]))
    return pa.table([conform(arrays[f.name], f.type) for f in schema], schema=schema)


def label_rows(
    admitted: Sequence[tuple[str, str, str, int]],
) -> pa.Table:
    """Rows of `label_values`: (tenant, label, value, ts of the first event with it)."""
    schema = TABLES["label_values"].data
    columns: dict[str, list[Any]] = {
        "tenant": [a[0] for a in admitted],
        "label": [a[1] for a in admitted],
        "value": [a[2] for a in admitted],
        "first_ts": [a[3] for a in admitted],
        "block": [""] * len(admitted),
    }
    return pa.table([to_column(columns[f.name], f.type) for f in schema], schema=schema)
