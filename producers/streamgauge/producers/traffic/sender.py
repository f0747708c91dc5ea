"""Sends traffic to Kafka as a well-behaved client: numbered, keyed, counted, nothing lost.

In: events and beats, one at a time. Out: messages on the events topic, and exact counts. Every
event gets the producer id of this run and the next `seq`, as the contract wants it; heartbeats take
numbers too. Before and after a heartbeat everything sent so far is awaited, so no partition's clock
can run ahead of another's events by more than the time between two heartbeats. Not here: what to
send, and when.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamgauge.contracts.bounds import KEY_SPAN, MAX_EVENT_BYTES
from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.producers._text import clean, cut
from streamgauge.producers.traffic.model import SDK, Event

log = logging.getLogger(__name__)

REACH_S = 10.0
HEARTBEAT_APP = "streamgauge-traffic"
_TEXTS = ("input_text", "output_text", "reference_text")


@dataclass(slots=True)
class Counts:
    """What became of the messages so far. produced = delivered + failed + still on the way."""

    produced: int = 0
    heartbeats: int = 0
    delivered: int = 0
    failed: int = 0
    bytes: int = 0
    first_error: str = ""

    @property
    def waiting(self) -> int:
        """Handed to librdkafka, not confirmed yet."""
        return self.produced - self.delivered - self.failed


class Sender:
    """One run's producer. stop: when set, nothing waits for long any more.

    Unreachable if the broker does not answer, Misconfigured if it has no events topic.
    """

    def __init__(self, kafka: KafkaSettings, producer_id: str, stop: threading.Event) -> None:
        self._kafka = kafka
        self._producer_id = producer_id
        self._stop = stop
        self.topic = kafka.topic(EVENTS)
        self.counts = Counts()
        self._seq = 0
        config = kafka.librdkafka(
            client_id=producer_id,
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            partitioner="murmur2_random",
            linger_ms=5,
            batch_size=1_000_000,
            queue_buffering_max_kbytes=65_536,
            message_timeout_ms=120_000,
        )
        config["log_level"] = 3  # errors; that a broker is asked again is no news
        try:
            self._producer = Producer(config, logger=log)
        except KafkaException as e:
            raise Misconfigured(
                f"Kafka settings: {_reason(e)}", hint="STREAMGAUGE_KAFKA_* are librdkafka's names"
            ) from None
        self.partitions = self._partitions()

    def send(self, event: Event) -> None:
        """Stamp, encode and queue one event. Waits while librdkafka's queue is full."""
        seq = self._next_seq()
        event["producer_id"] = self._producer_id
        event["seq"] = seq
        self._produce(encode(event), self._key(seq))

    def send_raw(self, value: bytes, key: bytes | None) -> None:
        """Queue bytes as they are."""
        self._produce(value, key)

    def beat(self, ts: int) -> bool:
        """Await all that was sent, then send a heartbeat of this event time to every partition.

        False if the run was stopped before.
        """
        self.flush()
        if self._stop.is_set():
            return False
        for partition in range(self.partitions):
            seq = self._next_seq()
            self._produce(encode(self._heartbeat(ts, seq)), self._key(seq), partition)
            self.counts.heartbeats += 1
        self.flush()
        return True

    def poll(self) -> None:
        """Take in delivery reports."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until every message is delivered or given up (2 min), or the run is stopped."""
        while not self._stop.is_set() and self._producer.flush(1.0) > 0:
            pass

    def close(self, timeout_s: float) -> int:
        """Wait for the rest, at most so long; the number of messages whose fate is not known."""
        self._producer.flush(timeout_s)
        return self.counts.waiting

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _key(self, seq: int) -> str:
        return f"{self._producer_id}:{seq // KEY_SPAN}"

    def _heartbeat(self, ts: int, seq: int) -> Event:
        return {
            "v": 1,
            "id": f"{self._producer_id}-h{seq}",
            "type": "client.stats",
            "ts": ts,
            "app": HEARTBEAT_APP,
            "producer_id": self._producer_id,
            "seq": seq,
            "sdk": SDK,
            "accepted": seq,
            "sent": self.counts.delivered,
            "dropped": {"delivery_failed": self.counts.failed} if self.counts.failed else {},
            "queue_events": self.counts.waiting,
            "last_seq": seq,
        }

    def _produce(self, value: bytes, key: str | bytes | None, partition: int = -1) -> None:
        while True:
            try:
                self._producer.produce(
                    self.topic, value, key, partition=partition, on_delivery=self._on_delivery
                )
                break
            except BufferError:
                self._producer.poll(0.1)  # delivery reports make room
            except KafkaException as e:
                if e.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:  # this one, not the rest
                    self.counts.produced += 1
                    self._on_delivery(e.args[0], None)
                    return
                raise Unreachable(
                    f"Kafka at {self._kafka.bootstrap} takes no more messages: {_reason(e)}"
                ) from None
        self.counts.produced += 1
        self.counts.bytes += len(value)
        self._producer.poll(0)

    def _on_delivery(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self.counts.delivered += 1
            return
        self.counts.failed += 1
        if not self.counts.first_error:
            self.counts.first_error = error.str()

    def _partitions(self) -> int:
        try:
            known = self._producer.list_topics(timeout=REACH_S).topics
        except KafkaException as e:
            raise Unreachable(
                f"no Kafka at {self._kafka.bootstrap}: {_reason(e)}",
                hint="start one with `streamgauge up` or `streamgauge kafka start`",
            ) from None
        if self.topic not in known or not known[self.topic].partitions:
            raise Misconfigured(
                f"no topic {self.topic} at {self._kafka.bootstrap}",
                hint="create it with `streamgauge topics create`",
            )
        return len(known[self.topic].partitions)


def encode(event: Event) -> bytes:
    """The event as one JSON message of at most 64 KiB; texts are cut further if they must be."""
    value = _dump(event)
    limit = MAX_EVENT_BYTES // 8
    while len(value) > MAX_EVENT_BYTES and limit >= 64:
        limit //= 2
        event = dict(event, truncated=True)
        for name in _TEXTS:
            if isinstance(event.get(name), str):
                event[name] = cut(clean(event[name]), limit)
        value = _dump(event)
    return value


def _dump(event: Event) -> bytes:
    present: dict[str, Any] = {k: v for k, v in event.items() if v is not None}
    text = json.dumps(present, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def _reason(e: KafkaException) -> str:
    error = e.args[0] if e.args else None
    return error.str() if isinstance(error, KafkaError) else str(e)
