"""What a worker is asked to do. In: nothing. Out: WorkerSpec, for worker.py."""

from __future__ import annotations

from dataclasses import dataclass

from streamgauge.contracts.topics import TopicSpec
from streamgauge.stream_processors.core.chunks import Processor
from streamgauge.stream_processors.core.connections import ReadBack, Recall


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker does.

    read_back: where to begin to read, at most the given resume positions (by `src/partition`): the
    messages below these are only remembered (their chunks have no tables). For writers whose recall
    stands on rows of another writer, who may be behind. None: at the resume positions.
    recall: reads from the store what the processor must remember of the offsets below the given
    positions, where reading begins; its result goes to `Processor.restore`.
    Both run in the flush thread and may raise Retryable.
    slow: tables that are written every 10 s, not with every flush (slow_tables.py).
    """

    processor: Processor
    topics: tuple[TopicSpec, ...]
    recall: Recall | None = None
    slow: frozenset[str] = frozenset()
    read_back: ReadBack | None = None
