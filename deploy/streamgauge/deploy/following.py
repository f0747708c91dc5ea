"""Follows one topic: every partition, from its end or its start, committed records only."""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import TopicSpec
from streamgauge.deploy.clients import reader

CONNECT_S = 5.0


def follow(
    settings: KafkaSettings,
    spec: TopicSpec,
    *,
    from_start: bool = False,
    timeout_s: float | None = None,
) -> Iterator[bytes]:
    """Values as they come; ends when nothing came for timeout_s (None: never).

    Raises Unreachable (no broker) or Misconfigured (no such topic). Tombstones are skipped.
    """
    consumer = reader(settings)
    try:
        topic = settings.topic(spec)
        start = OFFSET_BEGINNING if from_start else OFFSET_END
        partitions = _partitions(consumer, settings, topic)
        consumer.assign([TopicPartition(topic, p, start) for p in partitions])
        last = time.monotonic()
        while timeout_s is None or time.monotonic() - last < timeout_s:
            for message in consumer.consume(500, timeout=0.2):
                if message.error() is not None:
                    continue
                last = time.monotonic()
                value = message.value()
                if value is not None:
                    yield value
    finally:
        consumer.close()


def _partitions(consumer: Consumer, settings: KafkaSettings, topic: str) -> list[int]:
    try:
        found = consumer.list_topics(topic, timeout=CONNECT_S).topics[topic]
    except KafkaException as error:
        raise Unreachable(
            f"no Kafka answers at {settings.bootstrap}: {error.args[0].str()}",
            hint="start the stack with `streamgauge up`, or check STREAMGAUGE_BOOTSTRAP",
        ) from error
    if found.error is not None or not found.partitions:
        unknown = found.error is None or found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        what = "does not exist" if unknown else found.error.str()
        raise Misconfigured(
            f"topic {topic} {what} at {settings.bootstrap}",
            hint="create it with `streamgauge topics create`, or check STREAMGAUGE_TOPIC_PREFIX",
        )
    return sorted(found.partitions)
