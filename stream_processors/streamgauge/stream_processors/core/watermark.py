"""How far event time is complete, per source partition. Pure (docs/decisions/0006).

Watermark = min(latest event time, latest append time) - lateness, of what is STORED; never goes
back. The append time is the broker's clock: one sender with a clock ahead cannot push it.
After a restart it goes on where the store is: not behind, though the tick of the last flush may
never have left; not ahead, though a tick may speak of a store that is no more (resume.py).
In: what the store has, what each flush stored. Out: `PartitionProgress` for ticks.
Not here: the clock of a whole source (contracts.ticks.source_clock_ms), publishing (ticker.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from streamgauge.contracts.ticks import PartitionProgress


class Latest(NamedTuple):
    """Latest event time and latest append time of some stored events, ms since the epoch."""

    max_ts: int
    last_append: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What was read of one partition, up to `position`. ms since the epoch; None = nothing yet."""

    position: int
    max_ts: int | None = None
    last_append: int | None = None
    watermark_ms: int | None = None

    def with_run(self, position: int, max_ts: int | None, last_append: int | None) -> Progress:
        """After one more run; what is read back lies below the position."""
        return replace(
            self,
            position=max(self.position, position),
            max_ts=_later(self.max_ts, max_ts),
            last_append=_later(self.last_append, last_append),
        )

    def at_watermark(self, lateness_ms: int) -> Progress:
        """With the watermark that follows; it never goes back."""
        if self.max_ts is None or self.last_append is None:
            return self
        mark = max(0, min(self.max_ts, self.last_append) - lateness_ms)
        return replace(self, watermark_ms=_later(self.watermark_ms, mark))


def _later(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)


class Watermarks:
    """Progress of the partitions that this worker owns: what is absorbed, what is stored."""

    def __init__(
        self,
        positions: Mapping[str, int],
        ticked: Mapping[str, PartitionProgress],
        lateness_ms: int,
        below: Mapping[str, Latest] | None = None,
    ) -> None:
        """positions: where reading resumes. below: the latest that the store has below them.

        ticked: what the last tick said that speaks of nothing but what is stored.
        """
        self._lateness_ms = lateness_ms
        self.stored: dict[str, Progress] = {}
        for key, position in positions.items():
            p, seen = ticked.get(key), Progress(position)
            if p is not None:
                seen = Progress(position, p.max_ts, p.last_append, p.watermark_ms)
            if below is not None and key in below:
                seen = seen.with_run(position, below[key].max_ts, below[key].last_append)
            self.stored[key] = seen.at_watermark(lateness_ms)
        self._absorbed = dict(self.stored)

    def absorbed(
        self, key: str, *, position: int, max_ts: int | None, last_append: int | None
    ) -> None:
        """A run is in the processor's hands."""
        self._absorbed[key] = self._absorbed[key].with_run(position, max_ts, last_append)

    def snapshot(self) -> Mapping[str, Progress]:
        """What a flush that is cut now will have stored."""
        return dict(self._absorbed)

    def flushed(self, snapshot: Mapping[str, Progress]) -> None:
        """That flush has landed in every table."""
        for key, seen in snapshot.items():
            self.stored[key] = replace(
                seen, watermark_ms=self.stored[key].watermark_ms
            ).at_watermark(self._lateness_ms)

    def progress(self, ends: Mapping[str, int | None]) -> dict[str, PartitionProgress]:
        """For a tick. An end that no fetch has told yet counts as lag: it holds the clock back."""
        result = {}
        for key, seen in self.stored.items():
            end = ends.get(key)
            result[key] = PartitionProgress(
                stored_offset=seen.position,
                end_offset=seen.position + 1 if end is None else max(end, seen.position),
                watermark_ms=seen.watermark_ms,
                max_ts=seen.max_ts,
                last_append=seen.last_append,
            )
        return result

    def oldest(self) -> int | None:
        """Lowest watermark of all partitions that have one, ms."""
        return min(_known(s.watermark_ms for s in self.stored.values()), default=None)


def _known(values: Iterable[int | None]) -> list[int]:
    return [v for v in values if v is not None]
