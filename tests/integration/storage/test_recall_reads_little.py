"""What a worker reads when it takes partitions over depends on its horizon, not on what is stored.

The store holds two days of events of four partitions, written as old days are; the horizon is
shortened. Each answer is compared with that of the queries of before the index, and each query is
run again to see how many rows it reads, with the index and without.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import StoreClient
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core import resume
from streamgauge.stream_processors.core.resume import latest_below
from streamgauge.stream_processors.core.watermark import Latest
from streamgauge.stream_processors.reading import recall as recalling
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.settings import WorkerSettings
from tests.support.sinks import SRC, client

__all__ = ["client"]  # a fixture of this file
pytestmark = pytest.mark.clickhouse

ROWS = 600_000
AT_A_TIME = 100_000
EACH = ROWS // 4
HORIZON, IDS, INTERVALS = 1_000, 10, 12
POSITIONS = {0: EACH, 1: EACH - 300, 2: EACH // 2, 3: 700, 4: 0}
"""Partition 2 lags by a day; of 3 another table lacks nearly all; 4 has brought nothing."""

# Offset by offset in all partitions, four a second. Every fiftieth event is not numbered, so that
# numbers have gaps; every 977th has the number of another, as if a worker had not remembered that.
FILL = """
INSERT INTO events (kind, written_on, src, partition, offset, append_ts, ts, tenant, app, model,
    type, id, producer_id, seq)
SELECT 0, toDate(at), {src:String}, number % 4 AS p, intDiv(number, 4) AS o, at,
    at - toIntervalMillisecond(number % 700), 't', concat('app-', toString(o % 2)), 'm',
    'llm.request', concat('e-', toString(number)),
    if(o % 50 = 0, '', concat('c', toString(p), '-', toString(o % 3))),
    if(o % 50 = 0, NULL, intDiv(o - if(o % 977 = 0, 3, 0), 3))
FROM (
    SELECT number, now64(3, 'UTC') - toIntervalMillisecond(250 * ({rows:UInt32} - number)) AS at
    FROM numbers({first:UInt32}, {n:UInt32})
)
SETTINGS max_insert_threads = 1
"""
OLD_INTERVALS = """
SELECT * FROM (
SELECT producer_id, min(number) AS low, max(number) AS high, max(at) AS last
FROM (
    SELECT producer_id, number, at,
        number - row_number() OVER (PARTITION BY producer_id ORDER BY number) AS island
    FROM (
        SELECT producer_id, assumeNotNull(seq) AS number, max(offset) AS at
        FROM events
        WHERE kind = 0 AND src = {src:String} AND partition = {partition:UInt32}
            AND offset >= {from:UInt64} AND offset < {to:UInt64}
            AND producer_id != '' AND seq IS NOT NULL
        GROUP BY producer_id, number
    )
)
GROUP BY producer_id, island
ORDER BY last DESC
LIMIT {intervals:UInt32}
)
ORDER BY producer_id, low
"""
OLD_IDS = """
SELECT id FROM (
    SELECT id, offset
    FROM events
    WHERE kind = 0 AND src = {src:String} AND partition = {partition:UInt32}
        AND offset >= {from:UInt64} AND offset < {to:UInt64}
        AND (producer_id = '' OR seq IS NULL)
    ORDER BY offset DESC
    LIMIT {limit:UInt32}
)
ORDER BY offset
"""
OLD_LATEST = """
SELECT partition, toUnixTimestamp64Milli(max(ts)), toUnixTimestamp64Milli(max(append_ts))
FROM (
    SELECT partition, offset, ts, append_ts,
        transform(
            partition, {partitions:Array(UInt32)}, {positions:Array(UInt64)}, toUInt64(0)
        ) AS pos
    FROM events
    WHERE kind = 0 AND src = {src:String}
)
WHERE offset < pos AND offset + {horizon:UInt64} >= pos
GROUP BY partition
"""


@dataclass
class Reads:
    """Rows that each query of `events` reads."""

    with_index: list[int] = field(default_factory=list)
    without: list[int] = field(default_factory=list)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Fills with the queries of all clients from now on."""
    found, real = Reads(), StoreClient.rows

    def rows_read(self: StoreClient, sql: str, asked: Mapping[str, Any], **settings: int) -> int:
        told = self._client.raw_query(
            sql,
            parameters=dict(asked),
            settings={"database": self.settings.database, **settings},
            fmt="JSON",
            use_database=False,
        )
        return int(json.loads(told)["statistics"]["rows_read"])

    def rows(
        self: StoreClient,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        if "FROM events" in sql:
            asked = parameters or {}
            found.with_index.append(rows_read(self, sql, asked))
            found.without.append(rows_read(self, sql, asked, use_skip_indexes=0))
        return real(self, sql, parameters, settings=settings)

    monkeypatch.setattr(StoreClient, "rows", rows)
    return found


@pytest.fixture
def settings(store: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Of a worker with a short horizon."""
    for name, value in (("SEQ", HORIZON), ("ID", IDS)):
        monkeypatch.setattr(recalling, f"{name}_HORIZON", value)
    monkeypatch.setattr(recalling, "INTERVALS_KEPT", INTERVALS)
    monkeypatch.setattr(resume, "HORIZON", HORIZON)
    return WorkerSettings(KafkaSettings("nowhere:1", "t."), store)


def old_seen(client: StoreClient, partition: int, position: int) -> Seen:
    seen = Seen()
    if position:
        where = {
            "src": SRC, "partition": partition, "from": max(0, position - HORIZON), "to": position,
            "limit": IDS, "intervals": INTERVALS,
        }  # fmt: skip
        seen.restore(
            client.rows(OLD_INTERVALS, where)[1],  # type: ignore[arg-type]  # rows are tuples
            [row[0] for row in client.rows(OLD_IDS, where)[1]],
            position,
        )
    return seen


def everything(seen: Seen) -> tuple[dict[str, tuple[Any, ...]], list[int]]:
    """What it remembers, in order."""
    return (
        {
            name: (p.low, p.next, p.at, p.lows, p.highs, p.offsets)
            for name, p in seen._producers.items()
        },
        list(seen._ids),
    )


def test_a_takeover_reads_the_rows_near_its_positions_and_finds_what_all_rows_would_tell(
    settings: WorkerSettings, client: StoreClient, reads: Reads
) -> None:
    for src, rows in ((f"{SRC}2", AT_A_TIME), (SRC, ROWS)):
        for first in range(0, rows, AT_A_TIME):
            client.command(FILL, {"src": src, "rows": rows, "first": first, "n": AT_A_TIME})
    keys = {f"{SRC}/{partition}": position for partition, position in POSITIONS.items()}

    seen = recalling.recall(settings, keys).seen
    latest = latest_below(settings.store, keys)
    near, whole = list(reads.with_index), list(reads.without)

    assert set(seen) == set(keys)
    for partition, position in POSITIONS.items():
        remembered = everything(seen[f"{SRC}/{partition}"])
        assert remembered == everything(old_seen(client, partition, position)), partition
        assert bool(remembered[0]) is bool(remembered[1]) is (position > 0)
    positions = {p: position for p, position in POSITIONS.items() if position}
    asked = {
        "src": SRC, "partitions": list(positions), "positions": list(positions.values()),
        "horizon": HORIZON,
    }  # fmt: skip
    old = {f"{SRC}/{p}": Latest(ts, append) for p, ts, append in client.rows(OLD_LATEST, asked)[1]}
    assert latest == old
    assert len(old) == len(positions)

    print(f"rows read by each query: {near} with the index, {whole} without")
    assert len(near) == len(positions) + 2
    assert min(whole) >= ROWS
    assert max(near) < ROWS / 4, near
