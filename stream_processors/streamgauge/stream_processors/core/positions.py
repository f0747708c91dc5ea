"""What the store has and what has been read: the whole state of a worker. Pure.

`stored[table][key]`: next offset that the table lacks, as its markers say (0 = never stored).
`pos[key]`: next offset to absorb. key = `src/partition`.
In: markers, runs that were absorbed, blocks that landed. Out: where to resume, how to cut a run so
that every table gets each offset once (none gets what is only read back), what a block must expect
and say, what may be acknowledged.
Not here: reading and writing (flusher.py, worker.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MARKER_INTERVAL_MS = 10_000
MARKER_OFFSETS = 200_000


@dataclass(frozen=True, slots=True)
class Move:
    """What one block of one table says about offsets: from `expected` to `next`, per source key."""

    table: str
    expected: Mapping[str, int]
    next: Mapping[str, int]
    marker_due: bool


class Positions:
    """Offsets of the partitions that this worker owns now."""

    def __init__(
        self, tables: Sequence[str], markers: Mapping[str, Mapping[str, int]], keys: Iterable[str]
    ) -> None:
        """markers: `high_water` of each table; keys: the source partitions that are ours now."""
        owned = list(keys)
        self.tables = tuple(tables)
        self.stored: dict[str, dict[str, int]] = {
            table: {key: markers.get(table, {}).get(key, 0) for key in owned} for table in tables
        }
        self.pos: dict[str, int] = {key: self.lowest(key) for key in owned}
        self._marked_ms: dict[str, int] = {}

    def back_to(self, offsets: Mapping[str, int]) -> None:
        """Begin to read at these offsets where they lie below the position: no table lacks them."""
        for key, offset in offsets.items():
            self.pos[key] = min(self.pos[key], offset)

    def read_back(self) -> int:
        """Offsets still to read that no table lacks."""
        return sum(max(0, self.lowest(key) - pos) for key, pos in self.pos.items())

    def lowest(self, key: str) -> int:
        """Everything below it is in every table: the only offsets that may be acknowledged."""
        return min((stored[key] for stored in self.stored.values()), default=0)

    def highest(self, key: str) -> int:
        """No table has anything from here on."""
        return max((stored[key] for stored in self.stored.values()), default=0)

    def first_time(self, key: str) -> bool:
        """No table has ever stored anything of this source partition."""
        return not any(stored[key] for stored in self.stored.values())

    def split(self, key: str, base: int, end: int) -> list[tuple[int, int, frozenset[str]]]:
        """[base, end) in parts, each with the tables that still lack it. Usually one part."""
        edges = {stored[key] for stored in self.stored.values() if base < stored[key] < end}
        bounds = [base, *sorted(edges), end]
        return [
            (low, high, frozenset(t for t in self.tables if self.stored[t][key] <= low))
            for low, high in itertools.pairwise(bounds)
        ]

    def absorbed(self, key: str, end: int) -> None:
        """Everything below `end` is in the processor's hands."""
        self.pos[key] = end

    def moves(self, *, now_ms: int, force: bool = False) -> list[Move]:
        """One per table that lags behind what was absorbed.

        A table without rows writes a bare marker when its turn comes (every MARKER_INTERVAL_MS, or
        far behind, or `force`): else a restart would begin where its last row was.
        """
        moves = []
        for table in self.tables:
            stored = self.stored[table]
            behind = {k: pos for k, pos in self.pos.items() if pos > stored[k]}
            if not behind:
                continue
            since = now_ms - self._marked_ms.setdefault(table, now_ms)
            lag = sum(pos - stored[k] for k, pos in behind.items())
            due = force or since >= MARKER_INTERVAL_MS or lag >= MARKER_OFFSETS
            moves.append(Move(table, {k: stored[k] for k in behind}, behind, due))
        return moves

    def landed(self, table: str, following: Mapping[str, int], *, now_ms: int) -> None:
        """A block of this table is in the store."""
        self.stored[table].update(following)
        self._marked_ms[table] = now_ms
