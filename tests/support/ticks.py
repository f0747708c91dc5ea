"""What the writers said on the topic of ticks."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from streamgauge.contracts.records import parse_record
from streamgauge.contracts.ticks import Tick


def ticks(bootstrap: str, prefix: str) -> list[Tick]:
    """All of them, in order."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "t", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(f"{prefix}ticks.v1", 0, 0)])
    found = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.append(parse_record(Tick, message.value() or b""))
    consumer.close()
    return found


def completeness(bootstrap: str, prefix: str) -> dict[str, float | None]:
    """By instance: the share of the source that it reads, as its last tick says."""
    return {tick.instance: tick.completeness for tick in ticks(bootstrap, prefix)}
