"""Events that come a second time, per source partition.

Our clients number their events (producer_id, seq), and a re-sent event lands in the same partition:
what was seen is a few intervals per producer. Others are known by 64-bit hashes of their ids.
Horizon: the partition's last SEQ_HORIZON offsets, and of these the last INTERVALS_KEPT intervals
and ID_HORIZON ids. Beyond it a repeat is counted again; that is stated, not hidden. (A worker that
is not restarted remembers a little more.)
In: events in offset order. Out: which of them were seen. Refilled after a restart from
`events`, only below the resume offset (recall.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

SEQ_HORIZON = 1_000_000
ID_HORIZON = 100_000
INTERVALS_KEPT = 10_000
"""A client that starts anew for each call, or numbers with gaps, makes an interval per event."""
PRUNE_EVERY = 100_000


class _Producer:
    """Disjoint, never adjacent intervals of seq, each with the offset of its last event.

    The highest is [low, next) with offset `at`; the others are in ascending lists.
    """

    __slots__ = ("at", "highs", "low", "lows", "next", "offsets")

    def __init__(self, low: int, next_: int, at: int) -> None:
        self.low, self.next, self.at = low, next_, at
        self.lows: list[int] = []
        self.highs: list[int] = []
        self.offsets: list[int] = []

    def begin(self, low: int, next_: int, at: int) -> None:
        """A new highest interval."""
        self.lows.append(self.low)
        self.highs.append(self.next - 1)
        self.offsets.append(self.at)
        self.low, self.next, self.at = low, next_, at

    def add(self, seq: int, offset: int) -> int | None:
        """A seq that is not `next`: intervals more than before (0 or 1), None if it was seen."""
        if seq > self.next:
            self.begin(seq, seq + 1, offset)
            return 1
        if seq >= self.low:
            return None
        i = bisect_right(self.lows, seq) - 1
        if i >= 0 and seq <= self.highs[i]:
            return None
        joins_left = i >= 0 and self.highs[i] + 1 == seq
        highest = i + 1 == len(self.lows)
        if (self.low if highest else self.lows[i + 1]) == seq + 1:
            low = self.lows[i] if joins_left else seq
            if highest:
                self.low, self.at = low, max(self.at, offset)
            else:
                self.lows[i + 1], self.offsets[i + 1] = low, max(self.offsets[i + 1], offset)
            if joins_left:
                del self.lows[i], self.highs[i], self.offsets[i]
            return 0
        if joins_left:
            self.highs[i], self.offsets[i] = seq, offset
            return 0
        self.lows.insert(i + 1, seq)
        self.highs.insert(i + 1, seq)
        self.offsets.insert(i + 1, offset)
        return 1

    def ends(self) -> Iterator[int]:
        """Offsets of all intervals."""
        yield from self.offsets
        yield self.at

    def forget_below(self, offset: int) -> bool:
        """Drop older intervals; False if none is left."""
        keep = [i for i, o in enumerate(self.offsets) if o >= offset]
        if len(keep) != len(self.offsets):
            self.lows = [self.lows[i] for i in keep]
            self.highs = [self.highs[i] for i in keep]
            self.offsets = [self.offsets[i] for i in keep]
        if self.at < offset:
            if not self.lows:
                return False
            self.low, self.next, self.at = self.lows[-1], self.highs[-1] + 1, self.offsets[-1]
            del self.lows[-1], self.highs[-1], self.offsets[-1]
        return True


class Seen:
    """What one source partition has brought within the horizon."""

    def __init__(self) -> None:
        self._producers: dict[str, _Producer] = {}
        self._ids: dict[int, None] = {}
        self._intervals = 0  # at most so many: joined ones are not subtracted before a prune
        self._pruned_at = 0

    def repeats(
        self,
        producer_ids: Sequence[str | None],
        seqs: Sequence[int | None],
        ids: Sequence[str],
        offsets: Sequence[int],
    ) -> list[int]:
        """Remember events, given in offset order; indices of those seen within the horizon."""
        found: list[int] = []
        known = self._producers.get
        for i, producer_id, seq, offset in zip(count(), producer_ids, seqs, offsets, strict=False):
            producer = known(producer_id)  # type: ignore[arg-type]  # None is no key
            if producer is not None and producer.next == seq:  # the usual case: the next one
                producer.next = seq + 1
                producer.at = offset
            elif not self.first_time(producer_id, seq, ids[i], offset):
                found.append(i)
        if offsets and offsets[-1] - self._pruned_at >= PRUNE_EVERY:
            self._prune(offsets[-1])
        return found

    def first_time(self, producer_id: str | None, seq: int | None, id_: str, offset: int) -> bool:
        """Remember one event; False if it was seen within the horizon."""
        if producer_id and seq is not None:
            return self._first_number(producer_id, seq, offset)
        digest = hash(id_)
        ids = self._ids
        if digest in ids:
            return False
        ids[digest] = None
        if len(ids) > ID_HORIZON:
            del ids[next(iter(ids))]
        return True

    def _first_number(self, producer_id: str, seq: int, offset: int) -> bool:
        producer = self._producers.get(producer_id)
        if producer is None:
            self._producers[producer_id] = _Producer(seq, seq + 1, offset)
            more: int | None = 1
        elif producer.next == seq:
            producer.next, producer.at, more = seq + 1, offset, 0
        else:
            more = producer.add(seq, offset)
        if more is None:
            return False
        self._intervals += more
        if self._intervals > 2 * INTERVALS_KEPT:
            self._prune(offset)
        return True

    def restore(
        self, intervals: Iterable[tuple[str, int, int, int]], ids: Iterable[str], offset: int
    ) -> None:
        """intervals: (producer_id, low, high, last offset), ascending by low; ids: oldest first."""
        for producer_id, low, high, last in intervals:
            producer = self._producers.get(producer_id)
            if producer is None:
                self._producers[producer_id] = _Producer(low, high + 1, last)
            elif low <= producer.next:
                producer.next = max(producer.next, high + 1)
                producer.at = max(producer.at, last)
            else:
                producer.begin(low, high + 1, last)
        for id_ in ids:
            self._ids[hash(id_)] = None
        self._prune(offset)

    def _prune(self, offset: int) -> None:
        self._pruned_at = offset
        ends = sorted(end for producer in self._producers.values() for end in producer.ends())
        horizon = offset - SEQ_HORIZON
        if len(ends) > INTERVALS_KEPT:
            horizon = max(horizon, ends[-INTERVALS_KEPT])
        for producer_id, producer in list(self._producers.items()):
            if not producer.forget_below(horizon):
                del self._producers[producer_id]
        self._intervals = sum(len(p.offsets) + 1 for p in self._producers.values())
