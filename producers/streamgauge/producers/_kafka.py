"""Kafka through librdkafka: settings, delivery outcomes, forks and fatal errors.

The Producer is made at the first event, in the worker's thread (it would not survive a fork).
Settings of the app (STREAMGAUGE_KAFKA_*) win over DEFAULTS. A fatal error (idempotence broken) ends
the Producer: what it held is counted as lost, the next event gets a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.producers._counts import Drop
from streamgauge.producers._guard import REPEAT_S, log
from streamgauge.producers._sink import Done, SinkFullError

DEFAULTS: Final[dict[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 50,
    "batch.size": 1_000_000,
    "batch.num.messages": 10_000,
    "compression.type": "zstd",
    "compression.level": 1,
    "partitioner": "murmur2_random",
    "queue.buffering.max.kbytes": 32_768,
    "queue.buffering.max.messages": 100_000,
    "message.timeout.ms": 300_000,
    "socket.keepalive.enable": True,
    "reconnect.backoff.max.ms": 5_000,
}

_REASON: Final[dict[int, Drop]] = {
    KafkaError._MSG_TIMED_OUT: Drop.DELIVERY_TIMEOUT,
    KafkaError._TIMED_OUT: Drop.DELIVERY_TIMEOUT,
    KafkaError._UNKNOWN_TOPIC: Drop.UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART: Drop.UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION: Drop.UNKNOWN_TOPIC,
    KafkaError._PURGE_QUEUE: Drop.PURGED,
    KafkaError._PURGE_INFLIGHT: Drop.UNCONFIRMED,
    KafkaError.MSG_SIZE_TOO_LARGE: Drop.REFUSED,
    KafkaError.INVALID_MSG: Drop.REFUSED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Drop.REFUSED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Drop.REFUSED,
    KafkaError.POLICY_VIOLATION: Drop.REFUSED,
    KafkaError.INVALID_RECORD: Drop.REFUSED,
}


class RateLimitedLog:
    """librdkafka's log lines to Python's logging: per kind of line at most one a minute."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[float, int]] = {}

    def log(self, level: int, message: str, *args: object) -> None:
        """What confluent_kafka calls for each line: `args` are facility, client and text."""
        kind = str(args[0]) if args else message
        now = time.monotonic()
        last, held = self._kinds.get(kind, (-REPEAT_S, 0))
        if now - last < REPEAT_S:
            self._kinds[kind] = (last, held + 1)
            return
        self._kinds[kind] = (now, 0)
        text = message % args if args else message
        before = f" ({held} like it held back)" if held else ""
        log.log(min(level, 30), "kafka: %s%s", text, before)


def settings_of(kafka: KafkaSettings, *, client_id: str) -> dict[str, Any]:
    """librdkafka's configuration: our defaults, the app's settings over them."""
    return {**DEFAULTS, "client.id": client_id, **kafka.librdkafka()}


def check(config: dict[str, Any]) -> None:
    """Raise Misconfigured if librdkafka refuses a setting. Connects to nothing (about 2 ms)."""
    probe = {
        k: v for k, v in config.items() if k not in ("bootstrap.servers", "metadata.broker.list")
    }
    try:
        Producer({**probe, "log_level": 0})
    except (KafkaException, TypeError, ValueError) as error:
        detail = error.args[0] if error.args else error
        text = detail.str() if isinstance(detail, KafkaError) else str(detail)
        raise Misconfigured(
            f"Kafka client settings are refused: {text}",
            hint="see STREAMGAUGE_KAFKA_* and the kafka= argument; names are librdkafka's own",
        ) from error


class KafkaSink:
    """Sends events to one topic."""

    def __init__(self, config: dict[str, Any], topic: str) -> None:
        self._topic = topic
        self._fatal = False
        self._done: Done | None = None
        self._on_delivery: Callable[[KafkaError | None, Message], None] | None = None
        self._config = {**config, "error_cb": self._on_error}
        self._logger = RateLimitedLog()
        self._producer = self._make()

    def _make(self) -> Producer:
        return Producer(self._config, logger=self._logger)

    def send(self, key: bytes, value: bytes, done: Done) -> None:
        """Hand one event to librdkafka. Raises SinkFullError while its queue is full."""
        if self._fatal:
            self._replace()
        if done is not self._done:
            self._done, self._on_delivery = done, _adapter(done)
        try:
            self._producer.produce(self._topic, value, key, on_delivery=self._on_delivery)
        except BufferError as error:
            raise SinkFullError from error
        except KafkaException as error:
            detail = error.args[0]
            if detail.fatal() or detail.code() == KafkaError._FATAL:
                self._fatal = True
                raise SinkFullError from error
            done(_REASON.get(detail.code(), Drop.DELIVERY_FAILED), len(value))

    def poll(self, timeout_s: float) -> None:
        """Serve delivery reports and log lines."""
        self._producer.poll(timeout_s)

    def purge(self) -> None:
        """Give up what librdkafka still holds."""
        self._producer.purge()
        self._producer.poll(0)

    def close(self) -> None:
        """Nothing: librdkafka's threads end when the Producer is collected."""

    def _replace(self) -> None:
        self.purge()
        self._producer = self._make()
        self._fatal = False

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = True


def _adapter(done: Done) -> Callable[[KafkaError | None, Message], None]:
    def on_delivery(error: KafkaError | None, message: Message) -> None:
        reason = None if error is None else _REASON.get(error.code(), Drop.DELIVERY_FAILED)
        done(reason, len(message))

    return on_delivery
