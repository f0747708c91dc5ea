"""One flush: the rows of a cut, as one block per table, into the store. Runs in a thread.

Order, and why:
1. the source still has the topic id under which it was read (else all of it is another log);
2. dead letters are on their topic before anything says that their offsets are done;
3. per table one compare-and-set insert. Refused: another writer was first (a block of ours that had
   landed counts as stored), so nothing more of this flush may be written. Store away or answer
   lost: the very same block again, until it is told to give up.
What a flush leaves unwritten is read again, unless its topic is deleted: then `settle` writes it.
In: `Job`. Out: `Outcome`. Not here: what to flush and when (worker.py), what a block looks like
(streamgauge.storage.writer).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

import pyarrow as pa

from streamgauge.contracts.errors import Misconfigured, Retryable
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import Block, InsertOutcome, SinkWriter, build_block
from streamgauge.stream_processors import telemetry
from streamgauge.stream_processors.core.chunks import Cut
from streamgauge.stream_processors.core.failpoints import FailPoints
from streamgauge.stream_processors.core.health import Vitals
from streamgauge.stream_processors.core.kafka_io import Publisher, Source, Sources
from streamgauge.stream_processors.core.positions import Move
from streamgauge.stream_processors.core.slow_tables import SlowTables

log = logging.getLogger(__name__)

BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)


class Result(Enum):
    """How a flush ended."""

    DONE = "done"
    CONFLICT = "conflict"  # another writer was first: read the markers, start from them
    SOURCE_CHANGED = "source_changed"  # a topic was made anew
    ABANDONED = "abandoned"  # told to give up; what landed is known from the markers


@dataclass(frozen=True, slots=True)
class Job:
    """What to write. moves: per table the offsets; sources: as read under."""

    epoch: int
    cut: Cut
    moves: Sequence[Move]
    sources: Mapping[str, Source]
    written_on: date


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written. landed: the moves that are in the store now."""

    result: Result
    landed: Sequence[Move]
    rows: Mapping[str, int]
    seconds: float


class Flusher:
    """Writes jobs one after another. `current_epoch` tells when a job is no longer wanted."""

    def __init__(
        self,
        *,
        writer_name: str,
        writer: SinkWriter,
        publisher: Publisher,
        sources: Sources,
        failpoints: FailPoints,
        current_epoch: Callable[[], int],
        halt: threading.Event,
        vitals: Vitals,
        slow: frozenset[str] = frozenset(),
    ) -> None:
        self._vitals = vitals
        self._name = writer_name
        self._slow = SlowTables(slow)
        self._writer = writer
        self._publisher = publisher
        self._sources = sources
        self._failpoints = failpoints
        self._current_epoch = current_epoch
        self._halt = halt
        self._due: list[tuple[Move, pa.Table]] = []  # of the last flush, not landed yet
        self._written_on = date.min
        self._fences: Mapping[str, Mapping[str, int]] = {}

    def write(self, job: Job) -> Outcome:
        """Write it. Retries while the store or Kafka is away; raises only for bugs."""
        started = time.monotonic()
        landed: list[Move] = []
        rows: dict[str, int] = {}
        result = self._write(job, landed, rows)
        return Outcome(result, landed, rows, time.monotonic() - started)

    def _write(self, job: Job, landed: list[Move], rows: dict[str, int]) -> Result:
        with self._vitals.stage("build"):
            built = job.cut.build()
        current: dict[str, Source] = {}
        if not self._until(job, "topic id", lambda: current.update(self._describe(job))):
            return Result.ABANDONED
        if current != dict(job.sources):
            return Result.SOURCE_CHANGED
        letters = job.cut.dead_letters
        if not self._until(job, "dead letters", lambda: self._publisher.dead_letters(letters)):
            return Result.ABANDONED
        moves, tables = self._slow.due_now(job.epoch, job.moves, built)
        self._written_on, self._fences = job.written_on, job.cut.fences
        self._due = list(_blocks(moves, tables))
        while self._due:
            move, data = self._due[0]
            self._failpoints.reached("between_sinks" if landed else "before_insert")
            block = self._block(move, data)
            answer: list[InsertOutcome] = []

            def insert(block: Block = block, answer: list[InsertOutcome] = answer) -> None:
                answer[:] = [self._writer.insert(block)]

            if not self._until(job, f"insert into {move.table}", insert):
                return Result.ABANDONED
            if answer[0] is InsertOutcome.REFUSED:
                telemetry.REFUSED.labels(self._name, move.table).inc()
                log.warning("block_refused", extra={"table": move.table})
                return Result.CONFLICT
            del self._due[0]
            landed.append(move)
            rows[move.table] = data.num_rows
        self._failpoints.reached("before_ack")
        _tell(job.cut, tables)
        return Result.DONE

    def settle(self, current: Mapping[str, Source]) -> None:
        """Between two epochs: write what is left of a log that is no more; forget the rest.

        The rest is read again, but of a topic that was deleted these rows are all there is: what
        one table has of it, all shall have. current: the sources as they are now.
        Raises Retryable: call again.
        """
        logs = {source.src for source in current.values()}
        for move, data in [*self._due, *self._slow.left()]:
            if all(key.rpartition("/")[0] in logs for key in move.next):
                continue
            outcome = self._writer.insert(self._block(move, data))
            facts = {"table": move.table, "rows": data.num_rows, "outcome": outcome.value}
            log.info("old_log_settled", extra=facts)
        self._due = []
        self._slow.clear()

    def _block(self, move: Move, data: pa.Table) -> Block:
        """By the date and the fences of the last flush that was begun."""
        fence = self._fences.get(move.table, {})
        return build_block(
            move.table,
            data,
            written_on=self._written_on,
            expected={**move.expected, **fence},
            next={**move.next, **fence},
        )

    def _describe(self, job: Job) -> Mapping[str, Source]:
        try:
            return self._sources.describe(list(job.sources))
        except Misconfigured:
            return {}  # deleted: not the log that was read

    def _given_up(self, job: Job) -> bool:
        return self._halt.is_set() or self._current_epoch() != job.epoch

    def _until(self, job: Job, what: str, attempt: Callable[[], None]) -> bool:
        """Repeat the same attempt until it succeeds (True) or the job is given up (False)."""
        for wait_s in _backoff():
            if self._given_up(job):
                self._vitals.found("flush")
                return False
            try:
                with self._vitals.stage(what):
                    attempt()
                self._vitals.found("flush")
                return True
            except Retryable as e:
                self._vitals.missing("flush", f"{what}: {e}")
                telemetry.RETRIES.labels(self._name, type(e).__name__).inc()
                log.warning("flush_retry", extra={"error": str(e), "wait_s": wait_s})
            self._halt.wait(wait_s)
        raise AssertionError("the back-off never ends")


def _tell(cut: Cut, tables: Mapping[str, pa.Table]) -> None:
    """Outcomes and refusals of a flush that has landed, for Prometheus."""
    for letter in cut.dead_letters:
        telemetry.REJECTS.labels(letter.reason).inc()
    log_rows = tables.get("ingest_log")
    if log_rows is not None:
        for outcome, n in zip(
            log_rows["outcome"].to_pylist(), log_rows["n"].to_pylist(), strict=True
        ):
            telemetry.OUTCOMES.labels(outcome).inc(n)


def _backoff() -> Iterator[float]:
    yield from BACKOFF_S
    while True:
        yield BACKOFF_S[-1]


def _blocks(
    moves: Sequence[Move], tables: Mapping[str, pa.Table]
) -> Iterator[tuple[Move, pa.Table]]:
    """Tables that have rows, and those whose bare marker is due."""
    unknown = tables.keys() - {move.table for move in moves}
    rows_without_move = [t for t in unknown if tables[t].num_rows]
    if rows_without_move:
        raise AssertionError(f"rows for tables that have these offsets: {rows_without_move}")
    for move in moves:
        data = tables.get(move.table)
        if data is not None and data.num_rows:
            yield move, data
        elif move.marker_due:
            yield move, TABLES[move.table].data.empty_table()
