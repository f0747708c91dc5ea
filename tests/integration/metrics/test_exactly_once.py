"""The metrics worker on a real Kafka and store: counts are exact, whatever dies and when."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from streamgauge.storage.settings import StoreSettings
from tests.support.exact import assert_exact
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    one,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
    worker_that_dies,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
PARTITIONS = 4
STATIC = {"STREAMGAUGE_STATIC_ID": "one"}  # who comes back need not wait for the dead one's session


def test_every_event_is_counted_once_in_every_table_and_a_restart_begins_at_the_end(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(5_000)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: bool(outcomes(store)), "the first flush")
        assert one(store, "SELECT count() FROM spend") == 0, "spend is written every 10 s"
        until(lambda: stored(store) == 5_000, "5,000 events")
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(5_000, 6_000)])
        until(lambda: stored(store) == 6_000, "1,000 more")
        assert worker.stop() == 0
    assert_exact(store, 6_000)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as again:
        until(lambda: bool(again.events_logged("resumed")), "resumed")
        (resumed,) = again.events_logged("resumed")[-1:]
        assert sorted(resumed["positions"].values()) == [1_500] * PARTITIONS
        assert again.stop() == 0


def test_a_static_member_killed_in_mid_run_takes_over_at_once_and_is_exact(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    total, rounds = 8_000, 2
    env = STATIC | {"STREAMGAUGE_SESSION_S": "120"}  # a wait for its end would break the deadline
    for round_ in range(rounds):
        share = range(round_ * total // rounds, (round_ + 1) * total // rounds)
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in share])
        with MetricsWorker(
            kafka.bootstrap, topic_prefix, store, tmp_path, STREAMGAUGE_FLUSH_EVENTS="300", **env
        ) as worker:
            before = stored(store)
            until(lambda: stored(store) > before, f"progress in round {round_}")  # noqa: B023
            worker.kill()
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: outcomes(store).get("stored") == total, "all events", seconds=60)
        assert worker.stop() == 0
    assert_exact(store, total)


@pytest.mark.parametrize(
    "place",
    [
        "between_sinks:3",
        "before_ack:2",
        pytest.param("before_insert", marks=pytest.mark.full),
        pytest.param("between_sinks:9", marks=pytest.mark.full),
    ],
)
def test_death_at_a_fail_point_neither_loses_nor_doubles(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    place: str,
) -> None:
    n = 4_000
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2)])
    dying = MetricsWorker(
        kafka.bootstrap, topic_prefix, store, tmp_path,
        STREAMGAUGE_FAILPOINT=place, STREAMGAUGE_FLUSH_EVENTS="300", **STATIC,
    )  # fmt: skip
    with worker_that_dies(dying):
        pass
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2, n)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **STATIC) as worker:
        until(lambda: outcomes(store).get("stored") == n, "all events accounted for")
        assert worker.stop() == 0
    assert_exact(store, n)


def test_two_workers_share_the_partitions_and_one_takes_over(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    n = 9_000
    with (
        MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as first,
        MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as second,
    ):
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 3)])
        until(lambda: stored(store) == n // 3, "the first third")
        until(
            lambda: (
                any(len(e["positions"]) == 2 for e in second.events_logged("resumed"))
                and any(len(e["positions"]) == 2 for e in first.events_logged("resumed"))
            ),
            "both have two partitions",
        )
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 3, 2 * n // 3)])
        until(lambda: stored(store) == 2 * n // 3, "the second third")
        first.kill()
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(2 * n // 3, n)])
        until(lambda: outcomes(store).get("stored") == n, "the last third, by the survivor")
        assert second.stop() == 0
    assert_exact(store, n)


def test_a_zombie_that_wakes_after_its_partitions_went_to_another_doubles_nothing(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    n = 6_000
    slow = {"STREAMGAUGE_FLUSH_EVENTS": "200"}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **slow) as zombie:
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n)])
        until(lambda: stored(store) > 0, "the first is at work")
        assert zombie.process is not None
        zombie.process.send_signal(signal.SIGSTOP)  # with a block cut, or on its way
        assert stored(store) < n
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as other:
            until(lambda: outcomes(store).get("stored") == n, "the other has taken over")
            zombie.process.send_signal(signal.SIGCONT)
            until(lambda: len(zombie.events_logged("buffers_dropped")) > 2, "it has seen it")
            more = [raw(request(i)) for i in range(n, n + 1_000)]
            produce(kafka.bootstrap, topic, more)
            until(lambda: outcomes(store).get("stored") == n + 1_000, "both go on")
            assert other.stop() == 0
            assert zombie.stop() == 0
    # A drain may be cut short: what the slow tables lack is read again.
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as last:
        for table in ("producers", "spend"):
            whole = f"SELECT sum(n) FROM {table} WHERE kind = 0"
            until(lambda whole=whole: one(store, whole) >= n + 1_000, table)  # type: ignore[misc]
        last.kill()  # it may not have begun
    assert_exact(store, n + 1_000)


@pytest.mark.full
def test_spend_is_written_every_ten_seconds(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(100)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: outcomes(store) == {"stored": 100}, "all events")
        until(
            lambda: one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == 100, "spend",
            seconds=20,
        )  # fmt: skip
        assert worker.running
