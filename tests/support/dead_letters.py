"""What the workers refused, as it lies on the topic of dead letters."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, TopicPartition

from streamgauge.contracts.dead_letters import DeadLetter, from_headers


def read_dead_letters(bootstrap: str, topic: str) -> list[tuple[DeadLetter, bytes]]:
    """All that are on the topic now, and their bodies."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "t", "enable.partition.eof": True,
         "fetch.message.max.bytes": 4_000_000}
    )  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    found: list[tuple[DeadLetter, bytes]] = []
    ends: set[int | None] = set()
    while len(ends) < len(partitions):
        message = consumer.poll(30)
        assert message is not None, "Kafka does not answer"
        error = message.error()
        if error is None:
            letter = from_headers(cast(Any, message.headers()))
            found.append((letter, message.value() or b""))
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ends.add(message.partition())
    consumer.close()
    return found
