"""From a fetched run to chunks: each says which tables still lack its offsets.

In: a Run, what the store has. Out: Chunks in offset order; usually one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamgauge.stream_processors.core.chunk_transport import Run
from streamgauge.stream_processors.core.chunks import Chunk, source_key
from streamgauge.stream_processors.core.positions import Positions


def chunks_of(run: Run, src: str, positions: Positions) -> Iterator[Chunk]:
    """The chunks of a run of the source `src`."""
    key = source_key(src, run.tp.partition)
    # A log that nobody has read before does not begin at 0: that is not a loss.
    lost = 0 if run.base == 0 and positions.first_time(key) else run.lost
    base = run.base + (run.lost - lost)
    for low, high, tables in positions.split(key, base, run.next):
        part = run.records
        if low != base or high != run.next:
            part = [r for r in run.records if low <= r.offset < high]
        yield Chunk(
            src=src,
            partition=run.tp.partition,
            base=low,
            next=high,
            offsets=[r.offset for r in part],
            values=[r.value for r in part],
            append_ms=[r.timestamp for r in part],
            tables=tables,
            lost=max(0, min(high, base + lost) - low),
            end=run.end,
        )
