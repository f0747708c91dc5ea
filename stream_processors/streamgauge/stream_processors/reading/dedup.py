"""Events that come a second time, per source partition.

Our clients number their events (producer_id, seq), and a re-sent event lands in the same partition:
what was seen is a few intervals per producer. Others are known by 64-bit hashes of their ids.
Horizon: the partition's last SEQ_HORIZON offsets, and the last ID_HORIZON ids. Beyond it a repeat
is counted again; that is stated, not hidden.
In: events in offset order. Out: for each, whether it was seen. Refilled after a restart from
`events`, only below the resume offset (recall.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

SEQ_HORIZON = 1_000_000
ID_HORIZON = 100_000
PRUNE_EVERY = 100_000


class _Producer:
    """Disjoint, ascending, never adjacent intervals of seq; `last` = offset of the last event."""

    __slots__ = ("high", "last", "low", "offsets")

    def __init__(self) -> None:
        self.low: list[int] = []
        self.high: list[int] = []
        self.offsets: list[int] = []
        self.last = 0

    def add(self, seq: int, offset: int) -> bool:
        """False if seq is inside an interval already."""
        high = self.high
        self.last = offset
        if high and seq == high[-1] + 1:  # the usual case: the next one
            high[-1] = seq
            self.offsets[-1] = offset
            return True
        i = bisect_right(self.low, seq) - 1
        if i >= 0 and seq <= high[i]:
            return False
        joins_left = i >= 0 and high[i] + 1 == seq
        joins_right = i + 1 < len(self.low) and self.low[i + 1] == seq + 1
        if joins_left and joins_right:
            high[i] = high[i + 1]
            self.offsets[i] = max(self.offsets[i + 1], offset)
            del self.low[i + 1], high[i + 1], self.offsets[i + 1]
        elif joins_left:
            high[i], self.offsets[i] = seq, offset
        elif joins_right:
            self.low[i + 1], self.offsets[i + 1] = seq, offset
        else:
            self.low.insert(i + 1, seq)
            high.insert(i + 1, seq)
            self.offsets.insert(i + 1, offset)
        return True

    def put(self, low: int, high: int, offset: int) -> None:
        """An interval from the store; they come ascending by low."""
        if self.high and low <= self.high[-1] + 1:
            self.high[-1] = max(self.high[-1], high)
            self.offsets[-1] = max(self.offsets[-1], offset)
        else:
            self.low.append(low)
            self.high.append(high)
            self.offsets.append(offset)
        self.last = max(self.last, offset)

    def forget_below(self, offset: int) -> None:
        keep = [i for i, o in enumerate(self.offsets) if o >= offset]
        if len(keep) != len(self.offsets):
            self.low = [self.low[i] for i in keep]
            self.high = [self.high[i] for i in keep]
            self.offsets = [self.offsets[i] for i in keep]


class Seen:
    """What one source partition has brought within the horizon."""

    def __init__(self) -> None:
        self._producers: dict[str, _Producer] = {}
        self._ids: dict[int, None] = {}
        self._pruned_at = 0

    def first_time(self, producer_id: str | None, seq: int | None, id_: str, offset: int) -> bool:
        """Remember an event; False if it was seen within the horizon."""
        if offset - self._pruned_at >= PRUNE_EVERY:
            self._prune(offset)
        if producer_id and seq is not None:
            producer = self._producers.get(producer_id)
            if producer is None:
                producer = self._producers[producer_id] = _Producer()
            return producer.add(seq, offset)
        digest = hash(id_)
        ids = self._ids
        if digest in ids:
            return False
        ids[digest] = None
        if len(ids) > ID_HORIZON:
            del ids[next(iter(ids))]
        return True

    def restore(
        self, intervals: Iterable[tuple[str, int, int, int]], ids: Iterable[str], offset: int
    ) -> None:
        """intervals: (producer_id, low, high, last offset), ascending by low; ids: oldest first."""
        for producer_id, low, high, last in intervals:
            self._producers.setdefault(producer_id, _Producer()).put(low, high, last)
        for id_ in ids:
            self._ids[hash(id_)] = None
        self._pruned_at = offset

    def _prune(self, offset: int) -> None:
        self._pruned_at = offset
        horizon = offset - SEQ_HORIZON
        for producer_id in [p for p, s in self._producers.items() if s.last < horizon]:
            del self._producers[producer_id]
        for producer in self._producers.values():
            producer.forget_below(horizon)
