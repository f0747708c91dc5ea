"""Tables that are written every 10 s, not with every flush: their rows wait here. Pure.

Their marker stays where the last block was, so reading resumes there and the rows of a process that
dies are made again; the other tables drop what they have. So waiting costs memory, never a row; it
ends early at MOST_BYTES, since a user or a client may be made up anew with each event, and when the
topic is deleted (flusher.py: `settle`), since nobody can make the rows again.
In: the rows of each flush, and its moves. Out: the rows to write now.
Not here: when it is time (positions.py: `Move.marker_due`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from streamgauge.stream_processors.core.positions import Move

MOST_BYTES = 32 * 1024 * 1024
"""Of one table's rows that wait: some 200,000 usual ones."""


class SlowTables:
    """What waits, of one epoch."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._epoch = -1
        self._waiting: dict[str, list[pa.Table]] = {}
        self._moves: dict[str, Move] = {}

    def due_now(
        self, epoch: int, moves: Sequence[Move], tables: Mapping[str, pa.Table]
    ) -> tuple[list[Move], dict[str, pa.Table]]:
        """The moves and rows of a flush, without those that wait on, with those that waited.

        What waited under another epoch is dropped: it is read again. Everything returned must land
        or the epoch ends.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._waiting.clear()
        rows = dict(tables)
        now = []
        for move in moves:
            if move.table in self._names:
                waiting = self._waiting.setdefault(move.table, [])
                if (fresh := rows.pop(move.table, None)) is not None:
                    waiting.append(fresh)
                if not move.marker_due and sum(t.nbytes for t in waiting) < MOST_BYTES:
                    self._moves[move.table] = move
                    continue
                if waiting:
                    rows[move.table] = pa.concat_tables(waiting)
                    waiting.clear()
            now.append(move)
        return now, rows

    def left(self) -> list[tuple[Move, pa.Table]]:
        """What waits, and the offsets that it covers."""
        return [
            (self._moves[table], pa.concat_tables(waiting))
            for table, waiting in self._waiting.items()
            if waiting
        ]

    def clear(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()
