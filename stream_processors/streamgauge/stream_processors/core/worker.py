"""The generic stream worker: Kafka in, a processor's rows out, each offset exactly once per table.

One process = one Faust app with the chunk transport, embedded in an asyncio loop; one flush thread.
What keeps it exact:

- The store is the truth. On every assignment, revocation, refused block and recreated topic the
  buffers are dropped, the markers read again, and reading starts at the lowest (`_restart`).
- Each such restart is an epoch. Runs, flushes and recalls of an older epoch are void.
- A run is taken only where the last one ended; anything else is a restart, not a guess.
- Acknowledgements follow the flush of every table; Kafka's committed offset is only a hint.

In: WorkerSpec (what to do), WorkerSettings (where). Out: exit code; the store, ticks, dead letters.
Not here: offsets (positions.py), writing (flusher.py), fetching (chunk_transport.py), how much may
wait (backlog.py), ticks (ticker.py), what /healthz and /readyz say (health.py), where event time
goes on (resume.py), meaning (metrics/, scores/, drift/).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from datetime import UTC, datetime
from typing import Any, cast

import faust
from faust.types import TP, EventT

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Misconfigured, Retryable
from streamgauge.stream_processors import telemetry
from streamgauge.stream_processors.core import endpoint, footprint
from streamgauge.stream_processors.core.acks import Acks
from streamgauge.stream_processors.core.backlog import Backlog
from streamgauge.stream_processors.core.chunk_transport import ChunkConsumer, Run
from streamgauge.stream_processors.core.chunks import source_key
from streamgauge.stream_processors.core.connections import Connections
from streamgauge.stream_processors.core.daemon import DaemonThread
from streamgauge.stream_processors.core.faust_app import build_app
from streamgauge.stream_processors.core.flusher import Job, Result
from streamgauge.stream_processors.core.health import Vitals
from streamgauge.stream_processors.core.kafka_io import Source
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.core.reaching import reach
from streamgauge.stream_processors.core.runs import chunks_of
from streamgauge.stream_processors.core.spec import WorkerSpec
from streamgauge.stream_processors.core.ticker import Ticker
from streamgauge.stream_processors.core.watermark import Watermarks
from streamgauge.stream_processors.settings import MOST_EVENTS, WorkerSettings

__all__ = ["ChunkWorker", "WorkerSpec", "run_worker"]

log = logging.getLogger(__name__)

TICK_S = 1.0
DRAIN_S, LEAVE_S, CLOSE_S = 1.8, 0.6, 0.2
"""Of an orderly end: to store what is absorbed, to leave the group, to send the last ticks."""
LOOK_S = 3.0
PAUSE_S = 0.05
"""From the end of a flush to the next one at least, however long it took."""


class ChunkWorker:
    """One worker process. `await run()` returns its exit code."""

    def __init__(
        self, spec: WorkerSpec, settings: WorkerSettings, clock: Clock | None = None
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.processor = spec.processor
        self.name = spec.processor.writer
        self.clock = clock or SystemClock()
        self.topics = [settings.kafka.topic(t) for t in spec.topics]
        self.epoch = 0
        self.ready = False  # positions are known and open in this epoch
        self._assigned: frozenset[TP] = frozenset()
        self._sources: dict[str, Source] = {}
        self._positions = Positions((), {}, ())
        self._watermarks = Watermarks({}, {}, 0)
        self._backlog = Backlog(
            flush_events=settings.flush_events,
            flush_bytes=settings.flush_bytes,
            most_events=MOST_EVENTS,
        )
        self._vitals = Vitals(time.monotonic)
        self._acks = Acks()
        self._stop = asyncio.Event()
        self._halt = threading.Event()
        self._failure: BaseException | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._flush_lock = asyncio.Lock()
        self._thread, self._look_thread = DaemonThread("flush"), DaemonThread("look")

    # -- life ------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT; 0, or the exception of a bug.

        Raises Misconfigured (no topic) or Retryable (Kafka or the store away) at start
        (reaching.py); later both are waited for.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._outside = Connections(
            self.name,
            self.settings,
            self.topics,
            self.processor.tables,
            current_epoch=lambda: self.epoch,
            halt=self._halt,
            vitals=self._vitals,
            slow=self.spec.slow,
        )
        self._ticker = Ticker(
            self.name, self.settings.instance, self._outside.publisher, self.clock
        )
        endpoint.serve(
            self.settings.metrics_host,
            self.settings.metrics_port,
            self._vitals,
            {"writer": self.name, "instance": self.settings.instance},
        )
        telemetry.READY.labels(self.name).set_function(lambda: not self._vitals.unready())
        if not await reach(self._outside, self._thread, self._vitals, self._stop):
            return 0
        app = self._app()
        tasks: list[asyncio.Task[None]] = []
        try:
            app.finalize()
            await app.start()
            tasks = [
                asyncio.create_task(self._guard(body()), name=body.__name__)
                for body in (self._flush_loop, self._tick_loop, self._look_loop)
            ]
            log.info("worker_started", extra={"writer": self.name, "topics": self.topics})
            await self._stop.wait()
            stopping = time.monotonic()
            self._vitals.missing("worker", "it is stopping")
            if self._failure is None:
                await self._drain()
        finally:
            self._halt.set()
            self.epoch += 1
            for task in [*tasks, *([self._restarting] if self._restarting else [])]:
                task.cancel()
            await asyncio.wait([asyncio.create_task(app.stop())], timeout=LEAVE_S)
            self._outside.close(CLOSE_S)
        if self._failure is not None:
            raise self._failure
        took_s = round(time.monotonic() - stopping, 2)
        log.info("worker_stopped", extra={"writer": self.name, "took_s": took_s})
        return 0

    def _app(self) -> faust.App:
        app = build_app(self.name, self.settings)
        self._faust = app
        channel = app.topic(*self.topics, key_type=None, value_type=None)
        app.agent(channel, name=f"{self.name}-runs")(self._agent)
        revoked: Any = self._on_revoked
        assigned: Any = self._on_assigned
        app.on_partitions_revoked.connect(revoked)
        app.on_partitions_assigned.connect(assigned)
        return app

    @property
    def _consumer(self) -> ChunkConsumer:
        return cast(ChunkConsumer, self._faust.consumer)

    # -- partitions come and go ------------------------------------------------------------------

    async def _on_revoked(self, _app: Any, revoked: set[TP], **_: Any) -> None:
        self._assigned = self._assigned - revoked
        self._drop("revoked")

    async def _on_assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self._assigned = frozenset(assigned)
        self._restart("assigned")

    def _drop(self, cause: str) -> None:
        """Forget everything that is not in the store."""
        self.epoch += 1
        self.ready = False
        self._vitals.missing("positions", f"read again after: {cause}")
        self.processor.reset()
        self._backlog.clear()
        self._acks.clear()
        telemetry.forget_progress()
        telemetry.RESTARTS.labels(self.name, cause).inc()
        log.info("buffers_dropped", extra={"cause": cause, "epoch": self.epoch})

    def _restart(self, cause: str) -> None:
        """Drop, read the markers, read on from them."""
        self._drop(cause)
        if self._restarting is not None:
            self._restarting.cancel()
        self._restarting = asyncio.create_task(self._guard(self._resume(self.epoch)))

    async def _resume(self, epoch: int) -> None:
        assigned, generation = self._assigned, self._generation()
        await self._consumer.close_all()
        wait_s = 0.1
        while True:
            try:
                recalled = await self._thread.run(
                    lambda: self._outside.recall(
                        assigned, generation, self.spec.recall, self.spec.read_back
                    )
                )
                break
            except (Retryable, Misconfigured) as e:  # away, or the topic is deleted: wait for it
                self._vitals.missing("positions", str(e))
                log.warning("recall_retry", extra={"error": str(e)})
                await asyncio.sleep(wait_s)
                wait_s = min(2.0, wait_s * 2)
        if epoch != self.epoch:
            return
        self._sources, self._positions = recalled.sources, recalled.positions
        self._watermarks = recalled.watermarks
        self.processor.restore(recalled.memory)
        where = {tp: self._positions.pos[self._key(tp)] for tp in assigned}
        if await self._consumer.open_at(where, epoch) and epoch == self.epoch:
            self.ready = True
            self._vitals.found("positions")
            telemetry.ASSIGNED.labels(self.name).set(len(assigned))
            log.info(
                "resumed",
                extra={
                    "epoch": epoch,
                    "positions": dict(self._positions.pos),
                    "read_back": self._positions.read_back(),
                },
            )

    def _generation(self) -> int:
        return max(0, int(self._faust.consumer_generation_id or 0))

    def _key(self, tp: TP) -> str:
        return source_key(self._sources[tp.topic].src, tp.partition)

    # -- runs in -----------------------------------------------------------------------------------

    async def _agent(self, stream: Any) -> None:
        stream.enable_acks = False
        async for run in stream:
            try:
                await self._take(run, stream.current_event)
            except Exception as e:  # noqa: BLE001  # a rim: a bug ends the process, nothing is acked
                self._fail(e)
                await asyncio.sleep(3600)

    async def _take(self, run: Run, event: EventT[Any]) -> None:
        if run.epoch != self.epoch or not self.ready:
            return
        key = self._key(run.tp)
        if run.base != self._positions.pos[key]:
            log.error(
                "run_out_of_place",
                extra={"key": key, "base": run.base, "expected": self._positions.pos[key]},
            )
            self._restart("out_of_place")
            return
        self._absorb(run, key)
        self._acks.add(event)
        run.release()
        # When the flush is behind, Faust's buffer fills and the partition pauses.
        await self._backlog.wait_room(lambda: run.epoch == self.epoch)

    def _absorb(self, run: Run, key: str) -> None:
        for chunk in chunks_of(run, self._sources[run.tp.topic].src, self._positions):
            if chunk.lost and chunk.tables:
                log.warning("log_cut", extra={"key": key, "lost": chunk.lost, "at": chunk.base})
            max_ts = self.processor.absorb(chunk)
            self._backlog.add(chunk)
            self._positions.absorbed(key, chunk.next)
            last_append = max(chunk.append_ms, default=None)
            self._watermarks.absorbed(
                key, position=chunk.next, max_ts=max_ts, last_append=last_append
            )
        self._vitals.moved()
        telemetry.show_run(self.name, len(run.records), self._backlog.events, self._backlog.bytes)

    # -- rows out ----------------------------------------------------------------------------------

    async def _flush_loop(self) -> None:
        took_s = 0.0
        while True:
            await self._backlog.wait_due(max(PAUSE_S, self.settings.flush_s - took_s))
            started = time.monotonic()
            await self._flush()
            took_s = time.monotonic() - started

    async def _flush(self, *, force: bool = False) -> None:
        async with self._flush_lock:
            if self.ready:
                await self._flush_now(force=force)

    async def _flush_now(self, *, force: bool) -> None:
        now_ms, epoch = self.clock.now_ms(), self.epoch
        moves = self._positions.moves(now_ms=now_ms, force=force)
        if not self._backlog.events and not any(move.marker_due for move in moves):
            return
        cut = self.processor.cut(now_ms=now_ms)
        snapshot, n = self._watermarks.snapshot(), self._backlog.events
        written_on = datetime.fromtimestamp(now_ms / 1000, UTC).date()
        job = Job(epoch, cut, moves, dict(self._sources), written_on)
        self._backlog.clear()
        outcome = await self._thread.run(lambda: self._outside.flusher.write(job))
        telemetry.show_flush(self.name, outcome.result.value, outcome.rows, outcome.seconds)
        if epoch != self.epoch:
            return
        if outcome.result is not Result.DONE:
            self._restart(outcome.result.value)
            return
        for move in outcome.landed:
            self._positions.landed(move.table, move.next, now_ms=now_ms)
        self._watermarks.flushed(snapshot)
        self._vitals.moved()
        self._acks.settle(self._consumer, lambda tp: self._positions.lowest(self._key(tp)))
        await self._tick()
        log.debug("flushed", extra={"events": n, "rows": outcome.rows, "s": outcome.seconds})

    # -- ticks -------------------------------------------------------------------------------------

    async def _tick_loop(self) -> None:
        collector = footprint.Collector()
        while True:
            started = time.monotonic()
            self._vitals.beat()
            collector.tick()
            if self._faust.should_stop:
                raise self._faust.crash_reason or RuntimeError("the Kafka consumer has stopped")
            if self.ready:
                await self._tick()
            await asyncio.sleep(max(0.1, TICK_S - (time.monotonic() - started)))

    async def _look_loop(self) -> None:
        """Do Kafka and the store answer? Was a topic made anew? Nobody tells."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = await self._look_thread.run(self._outside.look)
            if now is not None and self.ready and now != self._sources:
                self._restart("source_changed")

    async def _tick(self) -> None:
        epoch = self.epoch
        by_tp = await self._consumer.ends()
        if epoch != self.epoch or not self.ready:
            return
        lag = self._ticker.tick(
            self._watermarks,
            {self._key(tp): end for tp, end in by_tp.items() if tp.topic in self._sources},
            generation=self._generation(),
            partitions=sum(source.partitions for source in self._sources.values()),
        )
        self._vitals.lags(lag)

    # -- end ---------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Store what is absorbed, with markers everywhere, and commit; at most DRAIN_S."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._consumer.pause()
                await self._flush(force=True)
                await self._consumer.commit()
            log.info("drained", extra={"s": round(time.monotonic() - started, 2)})
        except TimeoutError:
            log.warning("drain_cut_short")  # the rest is read again after the next start

    async def _guard(self, body: Any) -> None:
        try:
            await body
        except Exception as e:  # noqa: BLE001  # a rim: the process ends with this error
            self._fail(e)

    def _fail(self, error: BaseException) -> None:
        log.error("worker_failed", exc_info=error)
        self._failure = self._failure or error
        self._stop.set()


def run_worker(spec: WorkerSpec, settings: WorkerSettings) -> int:
    """Run a worker until SIGTERM; its exit code (0). Errors of start-up propagate."""
    footprint.settle()
    return asyncio.run(ChunkWorker(spec, settings).run())
