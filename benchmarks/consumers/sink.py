"""The worker's own code behind another way to consume: processor, positions, backlog and flusher.

When a flush is due and how large it may get are the worker's rules, too: it grows while the one
before it is written. What the alternatives leave out is only what the worker's transport and
bookkeeping do: group membership and rebalances, epochs, acknowledgements, ticks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime

from benchmarks.consumers.meter import Meter
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.core.backlog import Backlog
from streamgauge.stream_processors.core.chunks import Chunk, source_key
from streamgauge.stream_processors.core.connections import Connections
from streamgauge.stream_processors.core.flusher import Job, Outcome, Result
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.core.worker import PAUSE_S
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.settings import MOST_EVENTS, WorkerSettings


class Sink:
    """Takes messages of a partition; flushes in one thread, as the worker does."""

    def __init__(self, settings: WorkerSettings, meter: Meter) -> None:
        spec = build_spec()
        self.topic = settings.kafka.topic(EVENTS)
        self._settings, self._meter, self._processor = settings, meter, spec.processor
        self._outside = Connections(
            "metrics", settings, [self.topic], spec.processor.tables,
            current_epoch=lambda: 0, halt=threading.Event(), slow=spec.slow,
        )  # fmt: skip
        self._sources = self._outside.sources.describe([self.topic])
        self.partitions = self._sources[self.topic].partitions
        keys = [self._key(p) for p in range(self.partitions)]
        self._positions = Positions(spec.processor.tables, {}, keys)
        self._clock = SystemClock()
        self._thread = ThreadPoolExecutor(1)
        self._flushing: Future[Outcome] | None = None
        self._backlog = Backlog(
            flush_events=settings.flush_events, flush_bytes=settings.flush_bytes,
            most_events=MOST_EVENTS,
        )  # fmt: skip
        self._writing = 0

    def _key(self, partition: int) -> str:
        return source_key(self._sources[self.topic].src, partition)

    def take(self, messages: Iterable[tuple[int, int, bytes, int]]) -> None:
        """(partition, offset, value, append time in ms) in offset order."""
        self._meter.begin()
        by: dict[int, tuple[list[int], list[bytes], list[int]]] = {}
        for partition, offset, value, append_ms in messages:
            offsets, values, appended = by.setdefault(partition, ([], [], []))
            offsets.append(offset)
            values.append(value)
            appended.append(append_ms)
        for partition, (offsets, values, appended) in by.items():
            key = self._key(partition)
            chunk = Chunk(
                src=self._sources[self.topic].src, partition=partition, base=offsets[0],
                next=offsets[-1] + 1, offsets=offsets, values=values, append_ms=appended,
                tables=frozenset(self._processor.tables),
            )  # fmt: skip
            self._processor.absorb(chunk)
            self._positions.absorbed(key, chunk.next)
            self._backlog.add(chunk)
        idle = self._flushing is None or self._flushing.done()
        if self._backlog.full or (idle and self._backlog.due):
            self._flush()

    async def flush_by_time(self) -> None:
        """As the worker does: flush_s after the last one began, and never beside it."""
        took_s = 0.0
        while True:
            await asyncio.sleep(max(PAUSE_S, self._settings.flush_s - took_s))
            started = time.monotonic()
            await self._landed()
            if self._backlog.events:
                self._flush()
                await self._landed()
            took_s = time.monotonic() - started

    async def _landed(self) -> None:
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([asyncio.wrap_future(self._flushing)])

    def finish(self) -> None:
        """Flush what is left and await it."""
        self._flush()
        self._await()

    def _flush(self) -> None:
        self._await()
        if not self._backlog.events:
            return
        now_ms = self._clock.now_ms()
        cut = self._processor.cut(now_ms=now_ms)
        job = Job(0, cut, self._positions.moves(now_ms=now_ms), self._sources, _day(now_ms))
        self._writing = self._backlog.events
        self._backlog.clear()
        self._flushing = self._thread.submit(self._outside.flusher.write, job)

    def _await(self) -> None:
        """The flush before this one has landed."""
        if self._flushing is None:
            return
        outcome = self._flushing.result()
        self._flushing = None
        assert outcome.result is Result.DONE, outcome
        now_ms = self._clock.now_ms()
        for move in outcome.landed:
            self._positions.landed(move.table, move.next, now_ms=now_ms)
        self._meter.landed(self._writing)


def _day(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()
