"""Ticks and the store tell the same: a clock is neither behind nor ahead of what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.contracts.ticks import PartitionProgress, Tick, source_clock_ms
from streamgauge.deploy.ports import free_ports
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import MetricsProcessor
from tests.support.endpoint import metric
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    T0,
    MetricsWorker,
    ask,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
    worker_that_dies,
)
from tests.support.ticks import ticks

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

LATENESS_MS = 5_000


def assert_tells_only_what_is_stored(store: StoreSettings, tick: Tick) -> None:
    """Every offset below the tick's is in `events`, and its clock is the one of those."""
    rows = ask(
        store,
        "SELECT concat(src, '/', toString(partition)) AS key, groupArray(offset) AS offsets,"
        " groupArray(toUnixTimestamp64Milli(ts)) AS ts FROM events WHERE kind = 0 GROUP BY key",
    )
    by_key = {r["key"]: dict(zip(r["offsets"], r["ts"], strict=True)) for r in rows}
    for key, progress in tick.partitions.items():
        ts = by_key.get(key, {})
        in_order = [ts[o] for o in range(len(ts))]  # no offset is missing, none comes twice
        below = in_order[: progress.stored_offset]
        assert len(below) == progress.stored_offset, key
        if progress.max_ts is None:
            assert not below
            continue
        assert max(below, default=0) <= progress.max_ts <= max(in_order), key
        assert progress.watermark_ms == progress.max_ts - LATENESS_MS


def test_a_kill_between_the_flush_and_its_tick_leaves_no_partition_behind(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(40)])
    port = free_ports(1)[0]
    dying = MetricsWorker(
        kafka.bootstrap, topic_prefix, store, tmp_path,
        STREAMGAUGE_FAILPOINT="before_ack", STREAMGAUGE_FLUSH_S="8",
        STREAMGAUGE_METRICS_PORT=str(port), STREAMGAUGE_STATIC_ID="one",
    )  # fmt: skip
    with worker_that_dies(dying):
        # The first flush takes all of them, writes every marker, and dies before its tick.
        until(
            lambda: metric(port, "streamgauge_worker_pending_events") == 40,
            "all are absorbed, none is flushed",
        )
    assert outcomes(store) == {"stored": 40}
    before = ticks(kafka.bootstrap, topic_prefix)
    assert all(p.max_ts is None for t in before for p in t.partitions.values())
    again = MetricsWorker(
        kafka.bootstrap, topic_prefix, store, tmp_path, STREAMGAUGE_STATIC_ID="one"
    )
    with again:
        until(lambda: bool(again.events_logged("resumed")), "resumed")
        told: list[Tick] = []

        def caught_up() -> bool:
            told[:] = ticks(kafka.bootstrap, topic_prefix)[len(before) :]
            return any({p.stored_offset for p in t.partitions.values()} == {10} for t in told)

        until(caught_up, "a tick that knows what the dead one stored")
        assert again.stop() == 0
    assert outcomes(store) == {"stored": 40}, "without reading anything again"
    for tick in told:
        assert_tells_only_what_is_stored(store, tick)


def test_no_tick_speaks_of_more_than_is_stored_when_the_worker_is_killed(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    seen = 0
    for start, place in ((0, "between_sinks:9"), (1_200, "before_ack:2")):
        # Each partition's share is a run, and each run a flush of its own.
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(start, start + 1_200)])
        dying = MetricsWorker(
            kafka.bootstrap, topic_prefix, store, tmp_path,
            STREAMGAUGE_FAILPOINT=place, STREAMGAUGE_FLUSH_EVENTS="100",
            STREAMGAUGE_STATIC_ID="one",
        )  # fmt: skip
        with worker_that_dies(dying):
            pass
        told = ticks(kafka.bootstrap, topic_prefix)
        assert len(told) > seen, "it told of its flushes before it died"
        for tick in told[seen:]:
            assert_tells_only_what_is_stored(store, tick)
        seen = len(told)


def test_ticks_of_a_store_that_was_thrown_away_move_no_clock(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(400)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: outcomes(store).get("stored") == 400, "all events")
        assert worker.stop() == 0
    before = ticks(kafka.bootstrap, topic_prefix)
    assert source_clock_ms(before[-1].partitions.values()) == T0 + 39_900 - LATENESS_MS
    with connect(store) as client:
        for table in MetricsProcessor(PriceBook()).tables:
            client.command(f"TRUNCATE TABLE {table}")
    with MetricsWorker(
        kafka.bootstrap, topic_prefix, store, tmp_path, STREAMGAUGE_FLUSH_S="5"
    ) as worker:
        until(lambda: len(ticks(kafka.bootstrap, topic_prefix)) > len(before), "a tick")
        until(lambda: stored(store) == 400, "all events again")
        assert worker.stop() == 0
    after = ticks(kafka.bootstrap, topic_prefix)[len(before) :]
    first: list[PartitionProgress] = list(after[0].partitions.values())
    assert {(p.stored_offset, p.watermark_ms) for p in first} == {(0, None)}
    assert_tells_only_what_is_stored(store, after[-1])
