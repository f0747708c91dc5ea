"""Raw rows back to cells of windows, by the code of the live path. Pure.

Prices are those of the book, except where the app stated its own. Labels are those that the store
has admitted, no new ones: what a window was made of is admitted before it is stored.
In: rows of `events` (COLUMNS). Out: cells. Not here: which rows (store.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.metrics.capping import capped
from streamgauge.stream_processors.metrics.cells import LABELS, MAPS, TOKEN_SUMS, build_cells
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.priced import KEY, put_prices
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.revisions import TenantHour, hours_of, stamped
from streamgauge.stream_processors.reading.labels import LabelCaps

COST = "cost_nano_usd"
COLUMNS = tuple(
    dict.fromkeys(
        (
            "ts", "append_ts", *LABELS, *MAPS.values(), *TOKEN_SUMS, *KEY, "status", "duration_ms",
            "ttft_ms", "chunk_gap_max_ms", "retries", "refused", "output_valid", "truncated",
            "cache_status", "stalls",
        )
    )
)  # fmt: skip
"""Columns of `events` that cells and prices are made of; COST only where the app stated it."""
BLOCK_EVENTS = 50_000
"""Events of one block: their cells are at most three times as many."""


class Rebuilder:
    """labels: admitted (tenant, label, value). hours: what is rebuilt."""

    def __init__(
        self,
        book: PriceBook,
        labels: Iterable[tuple[str, str, str]],
        hours: frozenset[TenantHour],
        revision: int,
    ) -> None:
        self._book, self._hours, self._revision = book, hours, revision
        self._caps = LabelCaps(cap=0)
        for tenant, label, value in labels:
            self._caps.know(tenant, label, value)

    def cells(self, events: pa.Table) -> pa.Table:
        """Cells of these events under the new revision, of the hours that are rebuilt."""
        arrays = {
            name: column.combine_chunks()
            for name, column in zip(events.column_names, events.columns, strict=True)
        }
        c = Columns(arrays, events.num_rows)
        put_prices(c, self._book)
        (labels, maps), _ = capped(c, self._caps)
        cells = build_cells(c, labels, maps, TABLES["windows"].data)
        hours = zip(cells["tenant"].to_pylist(), hours_of(cells).tolist(), strict=True)
        ours = np.fromiter((hour in self._hours for hour in hours), bool, cells.num_rows)
        return stamped(cells if ours.all() else cells.filter(pa.array(ours)), self._revision)


def blocks(batches: Iterable[pa.RecordBatch], size: int = BLOCK_EVENTS) -> Iterator[pa.Table]:
    """The rows in tables of at least `size`, but for the last, and less than a batch more."""
    waiting: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        if n >= size:
            yield pa.Table.from_batches(waiting)
            waiting, n = [], 0
    if n:
        yield pa.Table.from_batches(waiting)
