"""What the workers say of themselves: each publishes a tick a second on `llm.ticks.v1`.

In: the ticks topic. Out: who does not tick yet, and the last ticks of all.
Not here: what the ticks mean together (contracts.tick_book).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING as BEGINNING
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.ticks import Tick
from streamgauge.contracts.topics import TICKS
from streamgauge.deploy.clients import reader

DEPTH = 200
"""Records looked back: at a tick a second, a dozen instances for a quarter of a minute."""


class Told(NamedTuple):
    """A tick. append_ms: when the broker got it, ms since the epoch."""

    tick: Tick
    append_ms: int


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
    consumer = reader(settings)
    try:
        start = _end(consumer, settings.topic(TICKS))
        consumer.assign([TopicPartition(settings.topic(TICKS), 0, start)])
        deadline = time.monotonic() + timeout_s
        while missing and time.monotonic() < deadline:
            alive()
            message = consumer.poll(0.2)
            tick = None if message is None else _tick(message)
            if tick is not None:
                missing.discard(tick.writer.value)
    finally:
        consumer.close()
    return missing


def last_ticks(
    settings: KafkaSettings, *, depth: int = DEPTH, timeout_s: float = 3.0
) -> list[Told]:
    """The last `depth` ticks, oldest first; as many as could be read."""
    topic = settings.topic(TICKS)
    consumer = reader(settings)
    found: list[Told] = []
    try:
        end = _end(consumer, topic)
        if end <= 0:
            return []
        consumer.assign([TopicPartition(topic, 0, max(0, end - depth))])
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for message in consumer.consume(depth, timeout=0.3):
                tick = _tick(message)
                if tick is not None:
                    found.append(Told(tick, message.timestamp()[1]))
                if message.error() is None and (message.offset() or 0) >= end - 1:
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


def _tick(message: Message) -> Tick | None:
    if message.error() is not None:
        return None
    try:
        return parse_record(Tick, message.value() or b"")
    except BadInput:
        return None  # of a newer major: not ours to read
