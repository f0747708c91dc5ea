"""Ticks (`llm.ticks.v1`): how far each writer has stored, and the clock that follows from it.

Every writer publishes one a second, data or not. In: watermarks per source partition. Out: the
clock of a source, which the evaluator reads (a rule's clock is the lowest of its sources').
Watermark of a partition = min(latest ts, append time) - lateness. A partition that is read to its
end does not hold the clock back.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from streamgauge.contracts.bounds import MAX_INT64
from streamgauge.contracts.records import EpochMs, Label, Major1, Record

Offset = Annotated[int, Field(ge=0, le=MAX_INT64)]
Completeness = Annotated[float, Field(ge=0, le=1)]


class Writer(StrEnum):
    """The writer groups: each owns its sink tables and its consumer group."""

    METRICS = "metrics"
    SCORES = "scores"
    DRIFT = "drift"


class PartitionProgress(Record):
    """How far one source partition is stored. Offsets are positions: the next one to read."""

    stored_offset: Offset = Field(description="Everything below it is stored.")
    end_offset: Offset = Field(description="Last stable offset of the partition.")
    watermark_ms: EpochMs | None = Field(
        None, description="No earlier event is awaited; null before the first event."
    )
    max_ts: EpochMs | None = Field(None, description="Latest event time stored.")
    last_append: EpochMs | None = Field(None, description="Append time of the last event stored.")

    @property
    def lag(self) -> int:
        """Offsets not stored yet; 0 or more."""
        return max(0, self.end_offset - self.stored_offset)


class Tick(Record):
    """One writer instance's progress at one moment."""

    v: Major1 = Field(description="Major version of the record.")
    writer: Writer = Field(description="Writer group.")
    instance: Label = Field(description="Process within the group.")
    generation: Annotated[int, Field(ge=0, le=MAX_INT64)] = Field(
        description="Generation of the consumer group; a higher one fences a lower."
    )
    wall_ms: EpochMs = Field(description="The writer's wall clock; for lag, never for windows.")
    partitions: dict[Label, PartitionProgress] = Field(
        description="By `src/partition`; src = topic@first 8 characters of the topic id."
    )
    completeness: Completeness | None = Field(
        None, description="Share of the source's partitions that this clock speaks for."
    )


def source_clock_ms(
    partitions: Iterable[PartitionProgress], *, live_ms: int | None = None
) -> int | None:
    """The clock of a source: no event before it is awaited any more. None: it does not know yet.

    live_ms: broker time minus lateness, in clock mode `live`; None in `replay`, where only events
    and heartbeats move the clock. It counts only while every partition is read to its end.

    >>> busy = PartitionProgress(stored_offset=5, end_offset=9, watermark_ms=1_000)
    >>> idle = PartitionProgress(stored_offset=7, end_offset=7, watermark_ms=4_000)
    >>> source_clock_ms([busy, idle]), source_clock_ms([idle]), source_clock_ms([idle], live_ms=9)
    (1000, 4000, 4000)
    """
    every = list(partitions)
    behind = [p.watermark_ms for p in every if p.lag > 0]
    if behind:
        known = [w for w in behind if w is not None]
        return min(known) if len(known) == len(behind) else None
    clocks = [p.watermark_ms for p in every if p.watermark_ms is not None]
    if live_ms is not None and every:
        clocks.append(live_ms)
    return max(clocks, default=None)
