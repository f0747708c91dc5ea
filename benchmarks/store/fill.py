"""Fourteen days of traffic into a store by the metrics worker's own code, without Kafka.

In: `Traffic`, a migrated database. Out: a filled one. Processor, row making, compare-and-set blocks
and markers are the worker's; only the messages come from memory, with append times and days of
writing as if they had been taken live, which no broker would put on them now. One flush a block of
events. Goes on where the markers say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import cast

from benchmarks.store.traffic import Traffic
from benchmarks.store.world import BLOCK, PARTITIONS
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter
from streamgauge.stream_processors.core.chunks import Chunk, DeadLetter, source_key
from streamgauge.stream_processors.core.failpoints import FailPoints
from streamgauge.stream_processors.core.flusher import Flusher, Job, Outcome, Result
from streamgauge.stream_processors.core.health import Vitals
from streamgauge.stream_processors.core.kafka_io import Publisher, Source, Sources
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.metrics.processor import MetricsProcessor
from streamgauge.stream_processors.metrics.recall import recall_metrics
from streamgauge.stream_processors.settings import WorkerSettings

SOURCE = Source("bench.events.v1", "bench.events.v1@00000000", PARTITIONS)
KEYS = [source_key(SOURCE.src, p) for p in range(PARTITIONS)]
SESSION_S = 120.0


class _NoBroker:
    """What the flusher asks Kafka for: the topic is as it was, and nothing was refused."""

    def describe(self, topics: Sequence[str]) -> dict[str, Source]:
        return dict.fromkeys(topics, SOURCE)

    def dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        assert not letters, letters[0]


class Filling:
    """One life of the writing of one database: of the first blocks of the traffic, or of all."""

    def __init__(self, store: StoreSettings, traffic: Traffic, blocks: int | None = None) -> None:
        self._traffic = traffic
        self._blocks = traffic.blocks if blocks is None else min(blocks, traffic.blocks)
        spec = build_spec({})
        assert isinstance(spec.processor, MetricsProcessor)
        self._processor = spec.processor
        self._writer = SinkWriter(store, instance="metrics-bench", session_timeout_s=SESSION_S)
        no_broker = _NoBroker()
        self._flusher = Flusher(
            writer_name="metrics", writer=self._writer,
            publisher=cast(Publisher, no_broker), sources=cast(Sources, no_broker),
            failpoints=FailPoints(), current_epoch=lambda: 0, halt=threading.Event(),
            vitals=Vitals(time.monotonic), slow=spec.slow,
        )  # fmt: skip
        markers = {table: self._writer.high_water(table) for table in self._processor.tables}
        self._positions = Positions(self._processor.tables, markers, KEYS)
        settings = WorkerSettings(KafkaSettings("none:9092"), store, instance="bench")
        self._processor.restore(recall_metrics(settings, self._positions.pos))

    @property
    def events(self) -> int:
        """How many are to be stored."""
        return self._blocks * BLOCK

    def steps(self) -> Iterator[int]:
        """Events that are stored, again and again until all are.

        RuntimeError: the store refused a block, so somebody else writes there.
        """
        first = self._first()
        yield first * BLOCK
        with ThreadPoolExecutor(1) as thread:
            flushing: Future[Outcome] | None = None
            for number in range(first, self._blocks):
                last_ms = self._absorb(number)
                if flushing is not None:
                    self._landed(flushing.result(), last_ms)
                    yield number * BLOCK
                flushing = thread.submit(self._flusher.write, self._job(number, last_ms))
            if flushing is not None:
                self._landed(flushing.result(), 0)
        self._writer.close()
        yield self.events

    def _first(self) -> int:
        """The first block that any table lacks; ValueError: the store has no whole blocks."""
        at = [self._positions.pos[key] for key in KEYS]
        for number, offsets in enumerate(self._traffic.offsets()):
            if offsets == at:
                return number
        raise ValueError(f"the store is at {at}: it was filled otherwise")

    def _absorb(self, number: int) -> int:
        """Take in a block; the time of its last message."""
        last_ms = 0
        for partition, messages in enumerate(self._traffic.block(number)):
            key, n = KEYS[partition], len(messages.values)
            base = self._positions.pos[key]
            ((_, _, lacking),) = self._positions.split(key, base, base + n)
            self._processor.absorb(
                Chunk(
                    src=SOURCE.src, partition=partition, base=base, next=base + n,
                    offsets=list(range(base, base + n)), values=messages.values,
                    append_ms=messages.append_ms, tables=lacking, end=base + n,
                )
            )  # fmt: skip
            self._positions.absorbed(key, base + n)
            last_ms = max([last_ms, *messages.append_ms])
        return last_ms

    def _job(self, number: int, now_ms: int) -> Job:
        last = number + 1 == self._blocks
        moves = self._positions.moves(now_ms=now_ms, force=last)
        cut = self._processor.cut(now_ms=now_ms)
        day = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        return Job(0, cut, moves, {SOURCE.topic: SOURCE}, day)

    def _landed(self, outcome: Outcome, now_ms: int) -> None:
        if outcome.result is not Result.DONE:
            raise RuntimeError(f"a flush ended as {outcome.result.value}")
        for move in outcome.landed:
            self._positions.landed(move.table, move.next, now_ms=now_ms)
