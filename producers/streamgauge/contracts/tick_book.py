"""The clock of a source: what the ticks of all its writer's instances say together.

In: ticks, in the order of the topic, with the broker's append time. Out: per source the time up to
which everything is stored, how far its open windows reach, and whether something holds it back.
The evaluator, the drift closer and `streamgauge status` read it, so that they never disagree.

A partition that nobody has reported for UNHEARD_MS, while other writers were heard, is taken as
behind: its owner may be dead with events unread. A source with partitions that nobody ever reported
has no new clock. Broker time counts up to the oldest of the last reports: nobody has said yet that
what came later is stored. A topic that was made anew replaces its former life. Clocks never go
back. Pure. Not here: reading the topic.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.ticks import PartitionProgress, Tick, source_clock_ms

UNHEARD_MS = 10_000


@dataclass(slots=True)
class _Seen:
    progress: PartitionProgress
    append_ms: int
    generation: int


@dataclass(frozen=True, slots=True)
class SourceClock:
    """State of one source. All ms; None: not known yet.

    watermark_ms: no earlier event is awaited. open_ms: latest event time stored. stored: sum of the
    positions stored, which moves when data come. lag: offsets not stored yet. held: some partition
    has unread events, or is not heard of. completeness: share of its partitions heard of.
    """

    watermark_ms: int | None
    open_ms: int | None
    held: bool
    completeness: float
    stored: int = 0
    lag: int = 0


@dataclass(slots=True)
class TickBook:
    """Collects ticks. live: clock mode; lateness_ms: as the writers'."""

    live: bool
    lateness_ms: int
    _seen: dict[str, dict[str, _Seen]] = field(default_factory=dict)
    _partitions: dict[str, int] = field(default_factory=dict)
    _newest: int = 0
    _src: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    _clock: dict[str, int] = field(default_factory=dict)

    def absorb(self, tick: Tick, append_ms: int) -> None:
        """Take in a tick. append_ms: when the broker got it, the trusted clock."""
        writer = str(tick.writer)
        seen = self._seen.setdefault(writer, {})
        self._newest = max(self._newest, append_ms)
        if tick.partitions and tick.completeness:
            self._partitions[writer] = round(len(tick.partitions) / tick.completeness)
        for key, progress in tick.partitions.items():
            if max(progress.watermark_ms or 0, progress.max_ts or 0) > append_ms + FUTURE_MS:
                continue  # no event is taken that far ahead: believed once, it stops all rules
            if not self._current(writer, key, append_ms):
                continue
            before = seen.get(key)
            if before is not None and before.generation > tick.generation:
                continue  # a zombie's tick
            seen[key] = _Seen(progress, append_ms, tick.generation)

    def clock(self, source: str, *, keys: Collection[str] | None = None) -> SourceClock:
        """How far a source is. keys: its partitions where the caller knows them, else as ticked."""
        seen = self._seen.get(source, {})
        known = list(seen.values()) if keys is None else [seen[k] for k in keys if k in seen]
        if not known:
            return SourceClock(self._clock.get(source), None, held=True, completeness=0.0)
        asked = self._partitions.get(source, 0) if keys is None else len(keys)
        whole = max(asked, len(known))
        heard, parts = 0, []
        for entry in known:
            # Measured by any writer's tick: a writer that died as a whole must not look idle.
            silent = self._newest - entry.append_ms > UNHEARD_MS
            heard += not silent
            parts.append(_behind(entry.progress) if silent else entry.progress)
        if len(known) == whole:
            self._advance(source, parts, min(entry.append_ms for entry in known))
        latest = [p.max_ts for p in parts if p.max_ts is not None]
        return SourceClock(
            self._clock.get(source),
            max(latest, default=None),
            held=len(known) < whole or any(p.lag > 0 for p in parts),
            completeness=heard / whole,
            stored=sum(p.stored_offset for p in parts),
            lag=sum(entry.progress.lag for entry in known),
        )

    @property
    def sources(self) -> list[str]:
        """Writers heard of, sorted."""
        return sorted(self._seen)

    def _advance(self, source: str, parts: list[PartitionProgress], told_ms: int) -> None:
        live_ms = told_ms - self.lateness_ms if self.live else None
        now = source_clock_ms(parts, live_ms=live_ms)
        before = self._clock.get(source)
        if now is not None and (before is None or now > before):
            self._clock[source] = now

    def _current(self, writer: str, key: str, append_ms: int) -> bool:
        """Whether the key is of the topic's present life; a new life throws the old one out."""
        src, _, _ = key.rpartition("/")
        topic = src.rpartition("@")[0]
        known = self._src.get((writer, topic))
        if known is None or known[0] == src:
            self._src[writer, topic] = (src, known[1] if known else append_ms)
            return True
        if append_ms < known[1]:
            return False
        self._src[writer, topic] = (src, append_ms)
        for old in [k for k in self._seen[writer] if k.startswith(f"{known[0]}/")]:
            del self._seen[writer][old]
        return True


def _behind(progress: PartitionProgress) -> PartitionProgress:
    if progress.lag > 0:
        return progress
    return progress.model_copy(update={"end_offset": progress.stored_offset + 1})
