"""What a worker is asked to do. In: nothing. Out: WorkerSpec, for worker.py."""

from __future__ import annotations

from dataclasses import dataclass

from streamgauge.contracts.topics import TopicSpec
from streamgauge.stream_processors.core.chunks import Processor
from streamgauge.stream_processors.core.connections import Recall


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker does.

    recall: reads from the store what the processor must remember of the offsets below the given
    resume positions (by `src/partition`); runs in the flush thread; its result goes to
    `Processor.restore`. May raise Retryable.
    slow: tables that are written every 10 s, not with every flush (slow_tables.py).
    """

    processor: Processor
    topics: tuple[TopicSpec, ...]
    recall: Recall | None = None
    slow: frozenset[str] = frozenset()
