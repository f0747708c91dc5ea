"""The client on a real Kafka: what is logged arrives once, numbered, keyed and valid."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict

import pytest

from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers import Client, Stats
from tests.support.client_app import assert_gapless, read_events, read_topic
from tests.support.kafka import TestKafka, create_topics
from tests.support.waiting import until

pytestmark = pytest.mark.kafka


def balanced(stats: Stats) -> bool:
    return stats.accepted == stats.sent + sum(stats.dropped.values()) + stats.queue_events


def test_what_is_logged_arrives_once_and_valid(kafka: TestKafka, topic_prefix: str) -> None:
    create_topics(kafka.bootstrap, topic_prefix)
    client = Client(app="shop", bootstrap=kafka.bootstrap, topic_prefix=topic_prefix)
    ids = [client.log(model="m", duration_ms=1, input_text=f"text {i}") for i in range(5000)]
    assert client.flush(30) == 0
    assert client.close(10) == 0
    records = read_topic(kafka.bootstrap, topic_prefix + "events.v1")
    events = [parse_event(value) for _, _, value in records]
    requests = [event for event in events if isinstance(event, LlmRequest)]
    assert Counter(event.id for event in requests) == Counter(ids)
    assert assert_gapless([json.loads(value) for _, _, value in records]) == {
        client.stats().producer_id: 5001
    }
    by_key = defaultdict(set)
    for partition, key, value in records:
        event = json.loads(value)
        assert key == f"{event['producer_id']}:{event['seq'] // 1024}".encode()
        by_key[key].add(partition)
    assert len(by_key) == 5  # 5001 events in blocks of 1024
    assert all(len(partitions) == 1 for partitions in by_key.values())


def test_an_unknown_topic_is_counted_by_that_name(kafka: TestKafka, topic_prefix: str) -> None:
    client = Client(
        app="shop",
        bootstrap=kafka.bootstrap,
        topic_prefix=topic_prefix,
        kafka={"topic.metadata.propagation.max.ms": 500, "allow.auto.create.topics": False},
    )
    for _ in range(5):
        client.log(model="m", duration_ms=1)
    assert client.flush(20) == 0
    assert client.stats().dropped == {"unknown_topic": 5}
    client.close()


def test_an_event_that_the_broker_refuses_is_counted_and_its_neighbours_arrive(
    kafka: TestKafka, topic_prefix: str
) -> None:
    """The client's own limit is set below an event's size: librdkafka refuses it at once."""
    create_topics(kafka.bootstrap, topic_prefix)
    client = Client(
        app="shop",
        bootstrap=kafka.bootstrap,
        topic_prefix=topic_prefix,
        capture="full",
        kafka={"message.max.bytes": 5000, "batch.size": 5000},
    )
    client.log(model="m", duration_ms=1, input_text="small")
    client.log(model="m", duration_ms=1, input_text="x" * 8000)
    client.log(model="m", duration_ms=1, input_text="small")
    assert client.flush(20) == 0
    assert client.stats().dropped == {"refused": 1}
    client.close()
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    assert sorted(e["seq"] for e in events) == [1, 3, 4]  # a gap where the refused one was


def test_a_hung_broker_blocks_nothing_and_loses_nothing(
    kafka: TestKafka, topic_prefix: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix)
    client = Client(app="shop", bootstrap=kafka.bootstrap, topic_prefix=topic_prefix)
    client.log(model="m", duration_ms=1)
    assert client.flush(20) == 0
    assert kafka.pid is not None
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        slowest = 0.0
        for _ in range(3000):
            start = time.perf_counter()
            client.log(model="m", duration_ms=1, input_text="text " * 50)
            slowest = max(slowest, time.perf_counter() - start)
        start = time.monotonic()
        assert client.flush(1) > 0
        assert time.monotonic() - start < 1.5
        assert slowest < 0.5  # microseconds by rights; the machine is shared
        assert balanced(client.stats())
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    assert client.flush(60) == 0
    assert client.close(20) == 0
    assert client.stats().dropped == {}
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    assert assert_gapless(events) == {client.stats().producer_id: 3002}


@pytest.mark.slow
def test_a_broker_that_is_killed_and_comes_back_loses_and_doubles_nothing(
    kafka: TestKafka, topic_prefix: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix)
    client = Client(
        app="shop",
        bootstrap=kafka.bootstrap,
        topic_prefix=topic_prefix,
        kafka={"reconnect.backoff.max.ms": 500},
    )
    stop = threading.Event()
    ids = []

    def keep_logging() -> None:
        while not stop.is_set():
            ids.append(client.log(model="m", duration_ms=1))
            time.sleep(0.001)

    thread = threading.Thread(target=keep_logging)
    thread.start()
    try:
        until(lambda: client.stats().sent > 100, "a hundred sent")
        kafka.kill()
        before = len(ids)
        until(
            lambda: len(ids) > before + 300, "more logged"
        )  # logging goes on while the broker is away
        kafka.restart()
        sent = client.stats().sent
        until(lambda: client.stats().sent > sent + 300, "sent after its return")
    finally:
        stop.set()
        thread.join()
    assert client.flush(60) == 0
    assert client.close(20) == 0
    assert client.stats().dropped == {}
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    assert Counter(e["id"] for e in events if e["type"] == "llm.request") == Counter(ids)
    assert_gapless(events)
