"""What the generic worker hands to a processor, and what it takes back.

The worker (worker.py) owns Kafka, the store, offsets, ticks and failure; a processor owns meaning.
In: `Chunk`s, one per run of messages of one source partition, in offset order, each offset exactly
once per table. Out: `Cut`s, the additive rows of everything absorbed since the last cut.
Not here: reading Kafka (chunk_transport.py), offsets (positions.py), flushing (flusher.py).

A processor in full:

    class CountProcessor:
        writer = "scores"
        tables = ("score_windows",)
        def absorb(self, chunk): self.n += len(chunk.values); return None
        def cut(self, *, now_ms): n, self.n = self.n, 0; return ReadyCut({"score_windows": rows(n)})
        def reset(self): self.n = 0
        def restore(self, state): pass
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa


def source_key(src: str, partition: int) -> str:
    """Key of a source partition in markers and ticks: `topic@id/partition`."""
    return f"{src}/{partition}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of messages of one source partition.

    src: `topic@first 8 of the topic id` (contracts.topics.source_id). partition: its number.
    base, next: the reading position before and after this run. `next` is a position, not last + 1:
    control records, aborted transactions and compacted records lie between without being here.
    lost: offsets in [base, next) that retention had cut away before they were read.
    end: the partition's last stable offset when this was fetched, None if unknown.
    offsets, values, append_ms: one entry per message, ascending by offset. A value is the raw bytes
    (None for a tombstone); append_ms is the broker's append time, ms since the epoch.
    tables: the sink tables that still lack these offsets. Rows for any other table of the
    processor must not be made: the store has them already. Usually all of `Processor.tables`; fewer
    only while catching up after a crash between two sinks; none where messages are read back, only
    to be remembered. The worker splits runs so that it is the same for all messages of a chunk.
    """

    src: str
    partition: int
    base: int
    next: int
    offsets: Sequence[int]
    values: Sequence[bytes | None]
    append_ms: Sequence[int]
    tables: frozenset[str]
    lost: int = 0
    end: int | None = None

    @property
    def key(self) -> str:
        """`src/partition`."""
        return source_key(self.src, self.partition)

    def __len__(self) -> int:
        """Messages in it."""
        return len(self.values)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Input that was refused: goes to `llm.deadletters.v1` before its offset is acknowledged.

    reason: a word of contracts.reasons.Reject. detail: for people; holds no text of the event.
    """

    reason: str
    src: str
    partition: int
    offset: int
    raw: bytes
    append_ms: int
    detail: str = ""


class Cut(Protocol):
    """Everything absorbed since the last cut, detached from the processor."""

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """Refused inputs of this cut."""

    @property
    def fences(self) -> Mapping[str, Mapping[str, int]]:
        """By table: positions beside those of source partitions that must stand there unchanged.

        What the rows were made by. If a fence has moved, the block is refused, and the worker reads
        anew what `WorkerSpec.recall` gives. Usually empty.
        """

    def build(self) -> Mapping[str, pa.Table]:
        """The rows, per sink table; a table without rows may be left out.

        Called once, in the flush thread, while the processor absorbs on: must not touch the
        processor's live state. May take long (a model that scores texts): the worker's loop and
        group membership live on, un-acknowledged chunks hold the source back. Columns as in
        streamgauge.storage.tables without kind, next and written_on. An exception ends the process.
        """


@dataclass(frozen=True, slots=True)
class ReadyCut:
    """A cut whose rows are built already."""

    tables: Mapping[str, pa.Table]
    dead_letters: Sequence[DeadLetter] = field(default=())
    fences: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def build(self) -> Mapping[str, pa.Table]:
        """The rows."""
        return self.tables


class Processor(Protocol):
    """Meaning of a stream. Pure: knows no Kafka, no store and no clock.

    It must be a function of the chunks alone (plus what `restore` brought): the same offsets give
    the same rows, whatever the cut into chunks and flushes. Called from one thread at a time.
    """

    @property
    def writer(self) -> str:
        """`metrics`, `scores` or `drift`: consumer group, tick writer and store instance."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Sink tables, in the order in which a flush inserts them."""

    def absorb(self, chunk: Chunk) -> int | None:
        """Take a chunk in. Returns the highest accepted event `ts` (ms) or None, for the watermark.

        Must not raise for any bytes: bad input is counted and becomes a dead letter or is skipped.
        An exception is a bug and ends the process; nothing is lost, since nothing was acknowledged.
        """

    def cut(self, *, now_ms: int) -> Cut:
        """Detach everything absorbed since the last cut. Cheap: heavy parts belong in build()."""

    def reset(self) -> None:
        """Forget everything absorbed and not cut, and everything remembered from earlier chunks.

        Called when partitions come or go and after a refused block; `restore` follows.
        """

    def restore(self, state: object) -> None:
        """Take in what `WorkerSpec.recall` read from the store for the positions to resume from."""
