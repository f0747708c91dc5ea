"""What a log may look like: idle, transactional, compacted, two topics, fat and thin fetches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not re-exported for mypy
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.ticks import source_clock_ms
from streamgauge.deploy import topics as topic_admin
from streamgauge.deploy.ports import free_ports
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.chunk_transport import DRAIN_BYTES
from tests.support.audited import assert_audit_is_clean
from tests.support.endpoint import metric
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    T0,
    MetricsWorker,
    ask,
    expected_sums,
    one,
    outcomes,
    produce,
    raw,
    request,
    stored,
    sums,
    until,
)
from tests.support.ticks import ticks
from tests.support.two_topics import ARCHIVE

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
PARTITIONS = 4
LATENESS_MS = 5_000
MIB = 1024 * 1024


def test_partitions_that_are_idle_or_hold_an_open_transaction_hold_nothing_back(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def clock() -> int | None:
        told = ticks(kafka.bootstrap, topic_prefix)
        return source_clock_ms(told[-1].partitions.values()) if told else None

    open_one = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix})
    open_one.init_transactions(30)
    # Partition 1: a message, then silence. 2: an open transaction. 3: never anything.
    produce(kafka.bootstrap, topic, [raw(request(0))], partition=1)
    open_one.begin_transaction()
    for i in range(10):
        open_one.produce(topic, raw(request(1_000 + i)), partition=2)
    assert open_one.flush(30) == 0
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 1, "the first")
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(1, 101)], partition=0)
        until(lambda: stored(store) == 101, "all that can be read")
        until(lambda: clock() == T0 + 10_000 - LATENESS_MS, "the clock is that of the busy one")
        open_one.abort_transaction(30)
        until(lambda: outcomes(store).get("control") == 11, "the aborted ones are passed over")
        produce(kafka.bootstrap, topic, [raw(request(200))], partition=0)
        until(lambda: clock() == T0 + 20_000 - LATENESS_MS, "and it goes on")
        last = ticks(kafka.bootstrap, topic_prefix)[-1]
        assert {p.lag for p in last.partitions.values()} == {0}
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": 102, "control": 11}
    assert_audit_is_clean(store)


@pytest.fixture
def eager_cleaner(kafka: TestKafka) -> Iterator[None]:
    """A broker that looks for logs to compact every 100 ms, not every 15 s."""

    def set_(operation: Any, value: str | None) -> None:
        entry = ConfigEntry("log.cleaner.backoff.ms", value, incremental_operation=operation)
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for broker in admin.list_topics(timeout=10).brokers:
            one_of = ConfigResource(ResourceType.BROKER, str(broker), incremental_configs=[entry])
            for future in admin.incremental_alter_configs([one_of]).values():
                future.result(30)

    set_(AlterConfigOpType.SET, "100")
    yield
    set_(AlterConfigOpType.DELETE, None)


def offsets_in(bootstrap: str, topic: str, partition: int) -> list[int]:
    """Offsets that a plain reader finds there."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "plain", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[int] = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.append(int(message.offset() or 0))
    consumer.close()
    return found


@pytest.mark.usefixtures("eager_cleaner")
def test_a_compacted_topic_is_read_once_and_its_gaps_are_accounted_for(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    topic = f"{topic_prefix}events.v1"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    config = {
        "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001",
        "max.compaction.lag.ms": "1000", "message.timestamp.type": "LogAppendTime",
    }  # fmt: skip
    made = admin.create_topics([NewTopic(topic, 2, 1, config=config)])
    made[topic].result(30)
    create_topics(kafka.bootstrap, topic_prefix)  # the others
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5})
    n = 600

    def send(numbers: range, keys: int) -> None:
        for i in numbers:
            producer.produce(topic, raw(request(i)), key=f"k{i % keys}", partition=1)
        assert producer.flush(30) == 0
        time.sleep(0.2)  # the segment is old enough to be closed by the next write

    for start in range(0, n, 200):
        send(range(start, start + 200), 50)
    send(range(n, n + 1), 1)
    until(lambda: len(offsets_in(kafka.bootstrap, topic, 1)) < 300, "the log is compacted")
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == n + 1, "every offset is accounted for")
        send(range(n + 1, n + 101), 10)  # a log that goes on, and is compacted behind the reader
        until(lambda: sum(outcomes(store).values()) == n + 101, "what came since")
        assert worker.stop() == 0
    kept = {int(r["offset"]) for r in ask(store, "SELECT offset FROM events WHERE kind = 0")}
    there = set(offsets_in(kafka.bootstrap, topic, 1))
    assert there <= kept
    assert len(kept) < 500
    assert outcomes(store) == {"stored": len(kept), "control": n + 101 - len(kept)}
    assert sums(store) == expected_sums([request(i) for i in sorted(kept)])
    assert_audit_is_clean(store)


class OnTwoTopics(MetricsWorker):
    module = "tests.support.two_topics"


def test_several_topics_are_several_sources_shared_by_two_workers(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    settings = KafkaSettings(kafka.bootstrap, topic_prefix)
    topic_admin.create_topics(settings, partitions=2, registry=[ARCHIVE])
    archive = settings.topic(ARCHIVE)
    n = 1_200

    def send(low: int, high: int) -> None:
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(low, high, 2)])
        odd = [raw(request(i)) for i in range(low + 1, high, 2)]
        produce(kafka.bootstrap, archive, odd, partition=1)

    send(0, n // 3)
    with OnTwoTopics(kafka.bootstrap, topic_prefix, store, tmp_path) as first:
        until(lambda: stored(store) == n // 3, "a third, by one worker")
        assert first.owned == PARTITIONS + 2
        with OnTwoTopics(kafka.bootstrap, topic_prefix, store, tmp_path) as second:
            until(lambda: [first.owned, second.owned] == [3, 3], "each has half of the six")
            send(n // 3, 2 * n // 3)
            until(lambda: stored(store) == 2 * n // 3, "a third, by both")
            first.kill()
            send(2 * n // 3, n)
            until(lambda: stored(store) == n, "the rest, by the second")
            assert second.stop() == 0
    by_source = {
        r["topic"]: int(r["n"])
        for r in ask(
            store,
            "SELECT splitByChar('@', src)[1] AS topic, count() AS n FROM events WHERE kind = 0"
            " GROUP BY topic",
        )
    }
    assert by_source == {topic: n // 2, archive: n // 2}
    assert outcomes(store) == {"stored": n}
    assert sums(store) == expected_sums([request(i) for i in range(n)])
    assert_audit_is_clean(store)


def fat(i: int, size: int = 64 * 1024) -> bytes:
    """An event with texts as long as they may be, filled up to `size` bytes; words, so it packs."""
    words = random.Random(i)
    text = " ".join(words.choices(("please", "summarise", "clause", "überall"), k=1_000))
    event = request(i, input_text=text[:8_000], output_text=text[:8_000], content="full", note="")
    value = raw(event)
    return raw(event | {"note": "n" * (size - len(value))})


def most(what: Callable[[], float], while_: Callable[[], bool]) -> float:
    """The highest value seen while a condition holds."""
    highest = what()
    while while_():
        highest = max(highest, what())
        time.sleep(0.01)
    return highest


def test_fat_events_wait_within_a_bound_in_bytes_and_none_is_lost(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    n = 1_600
    for low in range(0, n, 400):  # 100 MiB; the test holds a quarter of it
        produce(kafka.bootstrap, topic, [fat(i) for i in range(low, low + 400)])
    port = free_ports(1)[0]
    env = {"STREAMGAUGE_FLUSH_BYTES": str(MIB), "STREAMGAUGE_METRICS_PORT": str(port)}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        waiting = most(
            lambda: metric(port, "streamgauge_worker_pending_bytes"), lambda: stored(store) < n
        )
        assert 0 < waiting <= 3 * MIB + DRAIN_BYTES + 64 * 1024
        assert metric(port, "streamgauge_worker_flushes_total") > 8
        rss_mb = worker.peak_rss_mb()
        print(f"most resident memory while 100 MiB went through: {rss_mb:.0f} MB")
        assert rss_mb < 400
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": n}
    assert sums(store) == expected_sums([request(i) for i in range(n)])
    assert_audit_is_clean(store)


def test_thin_and_fat_fetches_give_the_same_counts(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: worker.owned == PARTITIONS, "it reads")
        n = 0
        for burst in (1, 1, 1, 3, 10, 1, 5_000, 1, 20_000, 2):
            values = [raw(request(i)) for i in range(n, n + burst)]
            produce(kafka.bootstrap, topic, values, partition=burst % PARTITIONS)
            n += burst
        fat_ones = [fat(i) for i in range(n, n + 100)]
        produce(kafka.bootstrap, topic, fat_ones)
        n += len(fat_ones)
        until(lambda: outcomes(store).get("stored") == n, "all of them")
        assert worker.stop() == 0
    assert one(store, "SELECT uniqExact(id) FROM events WHERE kind = 0") == n
    assert sums(store) == expected_sums([request(i) for i in range(n)])
    assert_audit_is_clean(store)
