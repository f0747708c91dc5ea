"""Waits until workers do their work: each publishes a tick a second on `llm.ticks.v1`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING as BEGINNING
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import TICKS


def _consumer(settings: KafkaSettings) -> Consumer:
    config: dict[str, Any] = {
        **settings.librdkafka(),
        "group.id": f"streamgauge-look-{uuid.uuid4().hex[:8]}",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "log_level": 0,
        "error_cb": lambda _error: None,
    }
    return Consumer(config)


def wait_ticking(
    settings: KafkaSettings,
    writers: Iterable[str],
    *,
    timeout_s: float,
    alive: Callable[[], None] = lambda: None,
) -> set[str]:
    """Writers that have NOT ticked within timeout_s, counted from now; empty = all work.

    alive is called between polls and may raise to end the wait.
    """
    missing = set(writers)
    if not missing:
        return missing
    consumer = _consumer(settings)
    try:
        start = _end(consumer, settings.topic(TICKS))
        consumer.assign([TopicPartition(settings.topic(TICKS), 0, start)])
        deadline = time.monotonic() + timeout_s
        while missing and time.monotonic() < deadline:
            alive()
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                missing.discard(str((_parse(message.value()) or {}).get("writer")))
    finally:
        consumer.close()
    return missing


def last_ticks(
    settings: KafkaSettings, *, depth: int = 60, timeout_s: float = 3.0
) -> dict[str, dict[str, Any]]:
    """The last tick of each writer among the last `depth` records, by writer; {} if unreachable."""
    topic = settings.topic(TICKS)
    consumer = _consumer(settings)
    found: dict[str, dict[str, Any]] = {}
    try:
        end = _end(consumer, topic)
        if end <= 0:
            return {}
        consumer.assign([TopicPartition(topic, 0, max(0, end - depth))])
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for message in consumer.consume(depth, timeout=0.3):
                if message.error() is not None:
                    continue
                tick = _parse(message.value())
                if tick is not None:
                    found[str(tick.get("writer"))] = tick
                if (message.offset() or 0) >= end - 1:
                    return found
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found


def _end(consumer: Consumer, topic: str) -> int:
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5.0)[1])
    except KafkaException:
        return BEGINNING


def _parse(value: bytes | None) -> dict[str, Any] | None:
    try:
        tick = json.loads(value or b"")
    except ValueError:
        return None
    return tick if isinstance(tick, dict) else None
