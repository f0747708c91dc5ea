"""What the engine's loops share on Kafka: clients, topic identity, reading a topic back.

The only module of the engine that builds Kafka clients. Errors become the tree's: Unreachable for
a broker that does not answer, Misconfigured for topics that are not there and what the broker does
not allow, Fenced for a successor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from streamgauge.alerting.watchdog import CALL_TIMEOUT_S
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import TopicSpec

TRANSACTION_TIMEOUT_MS = 10_000
SESSION_TIMEOUT_MS = 10_000
QUIET: Mapping[str, Any] = {"log_level": 2}
"""librdkafka tells every attempt to connect; that the broker is away is told by our own errors."""
_FENCED = frozenset(
    {
        KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
    }
)  # fmt: skip
_FORBIDDEN = {
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "Write and Describe on its transactional ids",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Read, Write and Describe on its topics",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "Read on its consumer groups",
}


class Fenced(StreamgaugeError):
    """Another engine of the same name has taken over: this one must end and write nothing more."""


class Restart(Exception):
    """What is in memory cannot be trusted any more: read it back from the topics and go on."""


def consumer(
    settings: KafkaSettings,
    *,
    group: str,
    instance: str = "",
    more: Mapping[str, Any] | None = None,
) -> Consumer:
    """A read_committed consumer that commits nothing by itself."""
    config = settings.librdkafka(
        group_id=group, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_wait_max_ms=20, enable_partition_eof=False,
        session_timeout_ms=SESSION_TIMEOUT_MS, heartbeat_interval_ms=2000,
        allow_auto_create_topics=False, reconnect_backoff_max_ms=1000,
    )  # fmt: skip
    if instance:
        config["group.instance.id"] = instance
    return Consumer({**QUIET, **config, **(more or {})}, logger=_log())


def transactional_producer(settings: KafkaSettings, transactional_id: str) -> Producer:
    """A producer of transactions; fences older ones of the same id and ends what they left open."""
    config = settings.librdkafka(
        transactional_id=transactional_id, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        linger_ms=2, partitioner="murmur2_random", compression_type="zstd",
        allow_auto_create_topics=False, reconnect_backoff_max_ms=1000,
    )  # fmt: skip
    producer = Producer({**QUIET, **config}, logger=_log())
    try:
        producer.init_transactions(CALL_TIMEOUT_S)
    except KafkaException as e:
        raise translated(e, f"Kafka at {settings.bootstrap}") from e
    return producer


def take(member: Consumer, at_most: int, timeout_s: float) -> list[Message]:
    """What has come, at once; waits for the first message only (`consume` waits for the last)."""
    first = member.poll(timeout_s)
    return [] if first is None else [first, *member.consume(at_most - 1, 0)]


def _log() -> Any:
    logger = logging.getLogger("streamgauge.alerting.librdkafka")
    logger.setLevel(logging.ERROR)
    return logger


def translated(error: KafkaException, what: str) -> Exception:
    """The error of the tree, or Restart (abort and read back), for one of Kafka."""
    cause: KafkaError = error.args[0]
    if cause.code() in _FENCED:
        return Fenced(f"{what}: another alert engine of this name has taken over")
    if cause.code() in _FORBIDDEN:
        return Misconfigured(
            f"{what}: Kafka does not allow it: {cause.str()}",
            hint=f"the engine's user needs {_FORBIDDEN[cause.code()]}",
        )
    if cause.txn_requires_abort() or cause.fatal():
        return Restart(f"{what}: {cause.str()}")
    return Unreachable(f"{what}: {cause.str()}")


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """One life of a topic."""

    name: str
    id: str
    partitions: int


def identities(settings: KafkaSettings, *specs: TopicSpec) -> list[TopicIdentity]:
    """Ids of topics; Misconfigured if one is missing, Unreachable if nobody answers."""
    config: dict[str, Any] = {**QUIET, **settings.librdkafka()}
    admin = AdminClient(config, logger=_log())
    names = [settings.topic(s) for s in specs]
    found = []
    for name, future in admin.describe_topics(
        TopicCollection(names), request_timeout=CALL_TIMEOUT_S
    ).items():
        try:
            described = future.result()
        except KafkaException as e:
            if e.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise Misconfigured(
                    f"topic {name} does not exist at {settings.bootstrap}",
                    hint="`streamgauge topics create`",
                ) from e
            raise Unreachable(f"Kafka at {settings.bootstrap}: {e.args[0].str()}") from e
        found.append(TopicIdentity(name, str(described.topic_id), len(described.partitions)))
    order = {name: i for i, name in enumerate(names)}
    return sorted(found, key=lambda t: order[t.name])


def read_back(
    settings: KafkaSettings,
    topic: str,
    partition: int,
    *,
    clock: Clock,
    start: int = OFFSET_BEGINNING,
    end: int | None = None,
    timeout_s: float = 60.0,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[Message]:
    """Committed messages of a partition from `start` up to `end` (or what is its end now).

    Waits for open transactions below the end to be decided: they are, within their timeout.
    timeout_s: how long nothing may come, however long the whole takes. alive: told whenever
    something has come.
    """
    tail = consumer(
        settings, group="streamgauge-read-back", more={"enable.partition.eof": True}
    )  # never joins the group: assign only
    try:
        low, high = _range(settings, topic, partition)
        stop = high if end is None else min(end, high)
        begin = low if start < low else start
        if begin >= stop:
            return
        tail.assign([TopicPartition(topic, partition, begin)])
        deadline = clock.monotonic() + timeout_s
        while True:
            if clock.monotonic() > deadline:
                raise Unreachable(
                    f"{topic}/{partition}: nothing came for {timeout_s:g} s, expected up to {stop}",
                    hint="a hung transaction holds it; it ends by itself",
                )
            messages = tail.consume(1000, 0.2)
            if messages:
                alive()
                deadline = clock.monotonic() + timeout_s
            for message in messages:
                error = message.error()
                if error is None:
                    if (message.offset() or 0) >= stop:
                        return
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    if (message.offset() or 0) >= stop:
                        return
                elif error.code() != KafkaError._ALL_BROKERS_DOWN and not error.retriable():
                    raise Restart(f"{topic}/{partition}: {error.str()}")
            position = tail.position([TopicPartition(topic, partition)])[0].offset
            if position >= stop:
                return
    finally:
        tail.close()


def _range(settings: KafkaSettings, topic: str, partition: int) -> tuple[int, int]:
    """First offset, and the one after the last, undecided transactions included."""
    raw = consumer(
        settings, group="streamgauge-read-back", more={"isolation.level": "read_uncommitted"}
    )
    try:
        found = raw.get_watermark_offsets(TopicPartition(topic, partition), CALL_TIMEOUT_S)
    except KafkaException as e:
        raise Unreachable(f"{topic}/{partition}: {e.args[0].str()}") from e
    finally:
        raw.close()
    assert found is not None, "watermarks of an existing partition"
    return found


def end_of(settings: KafkaSettings, topic: str, partition: int) -> int:
    """The offset after the last."""
    return _range(settings, topic, partition)[1]


def commit(producer: Producer, *, alive: Callable[[], None] = lambda: None) -> None:
    """Commit; after a timeout the same call asks for the outcome. alive: told before each call."""
    for attempt in range(3):
        alive()
        try:
            producer.commit_transaction(CALL_TIMEOUT_S)
        except KafkaException as e:
            if not e.args[0].retriable() or attempt == 2:
                raise
        else:
            return
