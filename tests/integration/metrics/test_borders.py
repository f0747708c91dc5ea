"""Midnight comes between the blocks of one flush, and the events go over the end of a month.

A block lies in the partition of the day on which its flush was cut, never in two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.audit import audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.exact import assert_exact, wait_for_slow_tables
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    ask,
    one,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
    worker_that_dies,
)
from tests.support.store_proxy import StoreProxy
from tests.support.worker_by_clock import SettableClock, WorkerByClock

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
N = 6_000
MONTH = datetime(2026, 9, 1, tzinfo=UTC)
MONTH_MS = round(MONTH.timestamp() * 1000)
FIRST_MS = MONTH_MS - N // 2 * 100
TABLES = ("events", "windows", "ingest_log")


def over_the_month(i: int) -> bytes:
    """Request i; half of N is of August, half of September."""
    return raw(request(i, ts=FIRST_MS + i * 100))


def blocks_by_day(store: StoreSettings, table: str) -> dict[str, int]:
    """Markers, one per block, by the day of their partition."""
    rows = ask(
        store,
        f"SELECT toString(written_on) AS day, count() AS n FROM {table}"
        " WHERE kind = 1 GROUP BY day",
    )
    return {row["day"]: int(row["n"]) for row in rows}


def test_flushes_and_kills_over_midnight_and_over_the_end_of_a_month_are_exact(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    topic = f"{topic_prefix}events.v1"
    clock = SettableClock(tmp_path / "clock")
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()
    tomorrow = today + timedelta(days=1)
    midnight_ms = round(datetime.combine(tomorrow, datetime.min.time(), UTC).timestamp() * 1000)
    env = {"STREAMGAUGE_FLUSH_EVENTS": "300", "STREAMGAUGE_STATIC_ID": "one"}
    with StoreProxy(store) as proxy:

        def worker(**more: str) -> WorkerByClock:
            return WorkerByClock(
                kafka.bootstrap, topic_prefix, proxy.settings, tmp_path, **env, **more
            )

        clock.set(midnight_ms - 600_000)
        produce(kafka.bootstrap, topic, [over_the_month(i) for i in range(N // 3)])
        with worker_that_dies(worker(STREAMGAUGE_FAILPOINT="between_sinks:8")):
            pass
        assert set(blocks_by_day(store, "events")) == {str(today)}
        # The next one begins today, in mid-flush over midnight: each insert takes half a second.
        produce(kafka.bootstrap, topic, [over_the_month(i) for i in range(N // 3, 2 * N // 3)])
        proxy.insert_delay_s = 0.5
        with worker(STREAMGAUGE_FAILPOINT="before_ack:2") as over:
            before = stored(store)
            until(lambda: stored(store) > before, "`events` has the first block of a flush")
            clock.set(midnight_ms + 5_000)
            assert over.wait() == -9
        assert set(blocks_by_day(store, "ingest_log")) == {str(today), str(tomorrow)}
        proxy.insert_delay_s = 0.0
        produce(kafka.bootstrap, topic, [over_the_month(i) for i in range(2 * N // 3, N)])
        with worker() as last:
            until(lambda: outcomes(store).get("stored") == N, "all events")
            wait_for_slow_tables(store, N)
            assert last.stop() == 0
    assert_exact(store, N, first_ms=FIRST_MS)
    for table in TABLES:
        assert set(blocks_by_day(store, table)) == {str(today), str(tomorrow)}, table
    for resolution in (10, 60, 3600):
        rows = ask(
            store,
            f"SELECT toMonth(t) AS month, sum(n) AS n FROM windows"
            f" WHERE kind = 0 AND resolution = {resolution} GROUP BY month",
        )
        assert {r["month"]: int(r["n"]) for r in rows} == {8: N // 2, 9: N // 2}
    start, end = MONTH - timedelta(hours=1), MONTH + timedelta(hours=1)
    with connect(store) as client:  # as retention will
        for table in ("events", "ingest_log"):
            client.command(f"ALTER TABLE {table} DELETE WHERE kind = 0 AND written_on = '{today}'",
                           settings={"mutations_sync": 2})  # fmt: skip
        found = audit(client, start, end)
    assert (found.differences, found.unsettled) == ((), ())
    assert 0 < found.requests == stored(store) < N
    assert one(store, "SELECT sum(n) FROM producers WHERE kind = 0") > stored(store)
    gone = f"no raw rows written before {tomorrow} are there (kept 30 days)"
    assert {(n.before, n.why) for n in found.not_compared} == {(tomorrow, gone)}
    hours = [(n.what, n.start, n.end) for n in found.not_compared if n.law == "windows"]
    assert {what for what, _, _ in hours} == {"10 s", "60 s", "3600 s"}
    assert {begin for _, begin, _ in hours} == {start}
    with connect(store) as client:  # what was written after midnight is still compared
        client.command(
            "INSERT INTO windows SELECT * REPLACE (1 AS n, 0 AS input_tokens) FROM windows"
            f" WHERE kind = 0 AND resolution = 60 AND written_on = '{tomorrow}' LIMIT 1"
        )
        differences = audit(client, start, end).differences
    (n,) = [d for d in differences if d.what == "n"]
    assert (n.where[-5:], n.found - n.expected) == (" 60 s", 1)
