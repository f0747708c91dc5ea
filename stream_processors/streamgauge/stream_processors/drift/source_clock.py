"""The clock of the drift source, read from the ticks of all drift writers.

In: `llm.ticks.v1`. Out: event time up to which every histogram is stored. None until each partition
of the events topic has told its progress: a clock over a part of them would close windows early.
None, too, until this process itself has ticked: it has then read what the store holds, so older
ticks no longer speak of a store that is no more.
Not here: what ticks mean together (contracts.tick_book), closing windows (closer.py).
"""

from __future__ import annotations

import logging
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.tick_book import TickBook
from streamgauge.contracts.ticks import Tick, Writer
from streamgauge.contracts.topics import EVENTS, TICKS
from streamgauge.stream_processors.core.chunks import source_key
from streamgauge.stream_processors.core.kafka_io import Sources

log = logging.getLogger(__name__)

TICKS_BACK: Final = 600
POLL_S: Final = 0.2
DESCRIBE_EVERY_S: Final = 30.0
ASK_S: Final = 5.0


class TickClock:
    """SourceClock over the ticks topic.

    instance: the process whose first tick is awaited.
    live: clock mode `live`, where broker time minus lateness moves the clock while nothing comes.
    """

    def __init__(
        self, settings: KafkaSettings, *, instance: str, clock: Clock, lateness_ms: int, live: bool
    ) -> None:
        self._settings = settings
        self._instance = instance
        self._clock = clock
        self._book = TickBook(live, lateness_ms)
        self._resumed = False
        self._sources = Sources(settings)
        self._consumer: Consumer | None = None
        self._begins = 0
        self._keys: frozenset[str] = frozenset()
        self._described_s: float | None = None

    def read_ms(self) -> int | None:
        """The clock now. Unreachable while the broker is away, Misconfigured without a topic."""
        self._describe()
        self._drain()
        if not self._resumed:
            return None
        return self._book.clock(Writer.DRIFT, keys=self._keys).watermark_ms

    def close(self) -> None:
        """Leave the broker."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _describe(self) -> None:
        """Which partitions there are, now and then: the topic may be made anew."""
        now_s = self._clock.monotonic()
        if self._described_s is not None and now_s - self._described_s < DESCRIBE_EVERY_S:
            return
        topic = self._settings.topic(EVENTS)
        source = self._sources.describe([topic])[topic]
        self._keys = frozenset(source_key(source.src, p) for p in range(source.partitions))
        self._described_s = now_s

    def _drain(self) -> None:
        consumer = self._connected()
        while (message := consumer.poll(POLL_S)) is not None:
            if message.error() is not None:
                log.debug("ticks_not_read", extra={"error": str(message.error())})
                return
            try:
                tick = parse_record(Tick, message.value() or b"")
            except BadInput:
                continue
            self._book.absorb(tick, message.timestamp()[1])
            if tick.writer is Writer.DRIFT and tick.instance == self._instance:
                self._resumed = self._resumed or (message.offset() or 0) >= self._begins

    def _connected(self) -> Consumer:
        if self._consumer is not None:
            return self._consumer
        consumer = Consumer(
            self._settings.librdkafka(
                **{
                    "group.id": "streamgauge-drift-clock",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                }
            )
        )
        partition = TopicPartition(self._settings.topic(TICKS), 0)
        try:
            low, high = consumer.get_watermark_offsets(partition, timeout=ASK_S)
            if not self._begins:
                self._begins = high
            partition.offset = max(low, high - TICKS_BACK)
            consumer.assign([partition])
        except (KafkaException, TypeError) as e:
            consumer.close()
            raise Unreachable(
                f"topic {partition.topic} on {self._settings.bootstrap} cannot be read: {e}"
            ) from e
        self._consumer = consumer
        return consumer
