"""The drift processor: requests -> additive rows of `histograms`.

In: chunks of events. Out: per (tenant, app, feature, cell of event time) what came since the last
cut. Rows are kept per tenant (segment_kind `tenant`): the sum over tenants is the app as a whole,
so both come from the same rows and subtract exactly.
Not here: comparing (detector.py), offsets and flushing (the generic worker).
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from streamgauge.stream_processors.core.chunks import Chunk, Cut, ReadyCut
from streamgauge.stream_processors.drift.histograms import (
    HistogramCell,
    HistogramKey,
    add_request,
)
from streamgauge.stream_processors.drift.rows import histogram_rows
from streamgauge.stream_processors.reading.labels import CAP
from streamgauge.stream_processors.reading.requests import RequestReader

TABLE: Final = "histograms"


class DriftProcessor:
    """chunks.Processor of the writer `drift`. cell_s: width of a stored histogram."""

    writer = "drift"
    tables = (TABLE,)

    def __init__(self, *, cell_s: int, label_cap: int = CAP) -> None:
        self._cell_ms = cell_s * 1000
        self._reader = RequestReader(label_cap=label_cap)
        self._cells: dict[HistogramKey, HistogramCell] = {}

    def absorb(self, chunk: Chunk) -> int | None:
        """Add the requests of a chunk; the latest event time in it."""
        requests, max_ts = self._reader.read(chunk)
        if TABLE not in chunk.tables:
            return max_ts
        for _, r in requests:
            add_request(self._cells, r, cell_ms=self._cell_ms)
        return max_ts

    def cut(self, *, now_ms: int) -> Cut:
        """The rows since the last cut."""
        cells, self._cells = self._cells, {}
        tables: dict[str, pa.Table] = {TABLE: histogram_rows(cells)} if cells else {}
        return ReadyCut(tables)

    def reset(self) -> None:
        """Forget what was not cut, and what was seen."""
        self._cells = {}
        self._reader.reset()

    def restore(self, state: object) -> None:
        """Take in which events were seen below the resume positions."""
        self._reader.restore(state)
