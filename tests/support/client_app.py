"""Small apps that embed the client, run as processes of their own; and what arrived of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

HEAD = """
import multiprocessing, os, sys, threading, time
from streamgauge.producers import Client, close, feedback, flush, init, log, stats, track

def log_many(n, tag):
    for i in range(n):
        log(model="m", duration_ms=1.0, tags={"tag": tag, "i": str(i)})
"""
Event = dict[str, Any]
_ELECTING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


def run_app(
    code: str, *, bootstrap: str, prefix: str, timeout_s: float = 60.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run an app to its end. It finds `log_many` and the client's functions, and must call init."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + code],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={
            **os.environ,
            "STREAMGAUGE_APP": "shop",
            "STREAMGAUGE_BOOTSTRAP": bootstrap,
            "STREAMGAUGE_TOPIC_PREFIX": prefix,
            **env,
        },
    )


def read_topic(bootstrap: str, topic: str) -> list[tuple[int, bytes, bytes]]:
    """All records of a topic now: (partition, key, value)."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {p: _end_offset(consumer, TopicPartition(topic, p)) for p in partitions}
        consumer.assign([TopicPartition(topic, p, 0) for p, end in ends.items() if end])
        records: list[tuple[int, bytes, bytes]] = []
        deadline = time.monotonic() + 30
        while len(records) < sum(ends.values()):
            assert time.monotonic() < deadline, f"{len(records)} of {sum(ends.values())} read"
            for message in consumer.consume(10_000, timeout=0.5):
                assert message.error() is None, message.error()
                partition, key, value = message.partition(), message.key(), message.value()
                assert partition is not None
                assert isinstance(key, bytes)
                assert isinstance(value, bytes)
                records.append((partition, key, value))
        return records
    finally:
        consumer.close()


def _end_offset(consumer: Consumer, partition: TopicPartition) -> int:
    """The next offset; a broker that has just come back may still be electing leaders."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return int(consumer.get_watermark_offsets(partition, timeout=10)[1])
        except KafkaException as error:
            if time.monotonic() >= deadline or error.args[0].code() not in _ELECTING:
                raise
            time.sleep(0.1)


def read_events(bootstrap: str, topic: str) -> list[Event]:
    """All events of a topic now, heartbeats included."""
    return [json.loads(value) for _, _, value in read_topic(bootstrap, topic)]


def logged(events: list[Event]) -> dict[str, list[int]]:
    """What `log_many` logged, by tag: the sorted numbers that arrived."""
    found: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["type"] == "llm.request":
            found[event["tags"]["tag"]].append(int(event["tags"]["i"]))
    return {tag: sorted(numbers) for tag, numbers in found.items()}


def assert_gapless(events: list[Event]) -> dict[str, int]:
    """Every producer's seq is 1 .. n, each once; n by producer id."""
    by_producer: dict[str, list[int]] = defaultdict(list)
    for event in events:
        by_producer[event["producer_id"]].append(event["seq"])
    for producer_id, seqs in by_producer.items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), producer_id
    return {producer_id: len(seqs) for producer_id, seqs in by_producer.items()}
