"""The worker's side doors to Kafka, beside the consumer: identities, ticks, dead letters, accounts.

All calls block and belong in a thread (except `Publisher.tick`, which only enqueues).
Not here: consuming events (chunk_transport.py).
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streamgauge.contracts import dead_letters
from streamgauge.contracts.errors import BadInput, Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import parse_record, to_json_bytes
from streamgauge.contracts.ticks import PartitionProgress, Tick
from streamgauge.contracts.topics import DEAD_LETTERS, TICKS, source_id
from streamgauge.stream_processors.core.chunks import DeadLetter

log = logging.getLogger(__name__)

ASK_S = 5.0
TICKS_BACK = 1500
HEAD_BYTES = 256 * 1024
"""Kept of a refused message that the dead-letter topic does not take whole."""
TOO_LARGE = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Source:
    """One life of a topic."""

    topic: str
    src: str
    partitions: int


def _quiet(settings: KafkaSettings, **more: object) -> dict[str, Any]:
    """Settings of a client that does not tell every attempt to connect on stderr.

    What failed is in our own errors.
    """
    return {"log_level": 2, **settings.librdkafka(**more)}


class Sources:
    """Who a topic is right now: its id changes when it is deleted and made anew."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._heard = ""
        self._admin = AdminClient(
            cast(
                Any,
                {
                    **_quiet(settings, **{"topic.metadata.refresh.interval.ms": -1}),
                    "error_cb": self._hear,
                },
            )
        )

    def _hear(self, error: KafkaError) -> None:
        """Why the broker does not answer: the requests themselves only time out."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._heard = re.sub(r" \(after [^()]*\)$", "", error.str())

    def describe(self, topics: Sequence[str]) -> dict[str, Source]:
        """Sources by topic name.

        Raises Misconfigured if a topic does not exist, Unreachable if the broker does not answer.
        """
        self._heard = ""
        found = self._admin.describe_topics(TopicCollection(list(topics)), request_timeout=ASK_S)
        sources = {}
        for topic, future in found.items():
            try:
                d = future.result(ASK_S + 1)
            except KafkaException as e:
                raise self._error(topic, e) from e
            except TimeoutError as e:
                raise self._unreachable("") from e
            finally:
                self._admin.poll(0)  # hear; nobody else takes in what the client has to say
            sources[topic] = Source(topic, source_id(topic, str(d.topic_id)), len(d.partitions))
        return sources

    def _error(self, topic: str, e: KafkaException) -> Misconfigured | Unreachable:
        code = e.args[0].code()
        if code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return Misconfigured(
                f"topic {topic} does not exist on {self._settings.bootstrap}",
                hint="create it with `streamgauge topics create`",
            )
        if code in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            KafkaError.SASL_AUTHENTICATION_FAILED,
        ):
            return Misconfigured(f"Kafka refuses topic {topic}: {e.args[0].str()}")
        return self._unreachable(e.args[0].str())

    def _unreachable(self, why: str) -> Unreachable:
        self._admin.poll(0)
        why = self._heard or why
        return Unreachable(
            f"Kafka at {self._settings.bootstrap} does not answer{why and f': {why}'}"
        )


class Publisher:
    """Ticks and dead letters out. One librdkafka producer, its own thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._ticks = settings.topic(TICKS)
        self._dead = settings.topic(DEAD_LETTERS)
        self._bootstrap = settings.bootstrap
        self._producer = Producer(
            _quiet(
                settings,
                **{
                    "acks": "all",
                    "enable.idempotence": True,
                    "linger.ms": 5,
                    "compression.type": "zstd",
                    "message.timeout.ms": 10_000,
                    "message.max.bytes": int(DEAD_LETTERS.config["max.message.bytes"]) + 2**20,
                    "log.connection.close": False,
                },
            )
        )

    def tick(self, tick: Tick) -> None:
        """Enqueue a tick; a lost one is replaced by the next a second later."""
        try:
            self._producer.produce(self._ticks, to_json_bytes(tick), key=tick.writer.value)
        except (BufferError, KafkaException) as e:
            log.warning("tick_not_sent", extra={"error": str(e)})
        self._producer.poll(0)

    def dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Deliver them all; returns when Kafka has them. Raises Unreachable, then repeat all.

        Of a message that is too large for the topic the first HEAD_BYTES go there.
        """
        failed: list[str] = []
        too_large = self._deliver(letters, failed, whole=True)
        if too_large:
            self._deliver(too_large, failed, whole=False)
        if failed:
            raise Unreachable(f"dead letters: {len(failed)} not taken: {failed[0]}")

    def _deliver(
        self, letters: Iterable[DeadLetter], failed: list[str], *, whole: bool
    ) -> list[DeadLetter]:
        """Send and await; returns those that Kafka finds too large."""
        too_large: list[DeadLetter] = []
        expected = 0
        for letter in letters:

            def delivered(error: KafkaError | None, _: Any, letter: DeadLetter = letter) -> None:
                if error is None:
                    return
                if whole and error.code() in TOO_LARGE:
                    too_large.append(letter)
                else:
                    failed.append(error.str())

            expected += 1
            body = letter.raw if whole else letter.raw[:HEAD_BYTES]
            envelope = dead_letters.DeadLetter(
                Reject(letter.reason), letter.src, letter.partition, letter.offset, letter.detail,
                size=None if len(body) == len(letter.raw) else len(letter.raw),
            )  # fmt: skip
            while True:
                try:
                    self._producer.produce(
                        self._dead,
                        body,
                        key=envelope.key,
                        headers=list(envelope.headers()),
                        on_delivery=delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
                except KafkaException as e:
                    delivered(e.args[0], None)
                    break
        if expected and self._producer.flush(15) > 0:
            raise Unreachable(f"dead letters: Kafka at {self._bootstrap} does not answer")
        return too_large

    def close(self, timeout_s: float) -> None:
        """Send what waits, at most this long."""
        self._producer.flush(timeout_s)


def last_progress(
    settings: KafkaSettings, writer: str, stored: Mapping[str, int], *, timeout_s: float = 3.0
) -> dict[str, PartitionProgress]:
    """The farthest progress of each key that a tick of this writer tells and that is stored.

    stored: by key, the next offset that the store lacks; a tick that speaks of more speaks of a
    store that is no more (made anew, or an older copy). Looks TICKS_BACK records back. Only a hint
    (what the store says comes on top): never raises.
    """
    found: dict[str, PartitionProgress] = {}
    partition = TopicPartition(settings.topic(TICKS), 0)
    consumer = Consumer(
        _quiet(
            settings,
            **{
                "group.id": f"sg-ticks-{writer}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
            },
        )
    )
    deadline = time.monotonic() + timeout_s
    try:
        low, high = consumer.get_watermark_offsets(partition, timeout=timeout_s)
        partition.offset = max(low, high - TICKS_BACK)
        consumer.assign([partition])
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is not None:
                break  # the end, or trouble
            try:
                tick = parse_record(Tick, message.value() or b"")
            except BadInput:
                continue
            if tick.writer != writer:
                continue
            for key, p in tick.partitions.items():
                known = found.get(key)
                if p.stored_offset <= stored.get(key, -1) and (
                    known is None or p.stored_offset >= known.stored_offset
                ):
                    found[key] = p
    except KafkaException as e:
        log.warning("last_ticks_not_read", extra={"error": str(e)})
    finally:
        consumer.close()
    return found


def credentials(settings: KafkaSettings) -> CredentialsT | None:
    """librdkafka's security settings as Faust (aiokafka) wants them.

    Raises Misconfigured for a protocol or mechanism that the Python consumer does not speak.
    """
    extra = settings.extra
    protocol = extra.get("security.protocol", "PLAINTEXT").upper()
    if protocol == "PLAINTEXT":
        return None
    context: ssl.SSLContext | None = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=extra.get("ssl.ca.location"))
        if extra.get("ssl.endpoint.identification.algorithm") == "none":
            context.check_hostname = False
        if extra.get("enable.ssl.certificate.verification", "true").lower() == "false":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate := extra.get("ssl.certificate.location"):
            context.load_cert_chain(
                certificate, extra.get("ssl.key.location"), extra.get("ssl.key.password")
            )
    if protocol == "SSL":
        return SSLCredentials(context)
    mechanism = extra.get("sasl.mechanism") or extra.get("sasl.mechanisms") or "PLAIN"
    if not protocol.startswith("SASL_") or mechanism not in (
        "PLAIN",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
    ):
        raise Misconfigured(
            f"security.protocol={protocol}, sasl.mechanism={mechanism}: the stream workers speak "
            "PLAINTEXT, SSL, and SASL with PLAIN or SCRAM-SHA-256/512"
        )
    return SASLCredentials(
        username=extra.get("sasl.username"),
        password=extra.get("sasl.password"),
        mechanism=mechanism,
        ssl_context=context,
    )
