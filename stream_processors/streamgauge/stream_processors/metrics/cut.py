"""From accepted events to rows: what the flush thread does while the processor absorbs on.

In: `Delta`, everything since the last cut. Out: the rows of every table: priced, with labels under
their caps. Not here: which events are accepted (processor.py), what a row of a table is (rows.py,
cells.py, accounting.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamgauge.storage.block import REVISION
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import DeadLetter
from streamgauge.stream_processors.metrics import rows
from streamgauge.stream_processors.metrics.accounting import (
    IngestLog,
    Producers,
    count_stored,
    label_rows,
    producer_rows,
    spend_rows,
)
from streamgauge.stream_processors.metrics.capping import capped
from streamgauge.stream_processors.metrics.cells import build_cells
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.groups import Group
from streamgauge.stream_processors.metrics.priced import put_prices
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.revisions import Revisions, under_revisions
from streamgauge.stream_processors.reading.labels import LabelCaps

TEXTS = "texts"


@dataclass(slots=True)
class Delta:
    """Everything since the last cut. Groups by (type, tables that still lack the events)."""

    groups: dict[tuple[str, frozenset[str]], Group] = field(default_factory=dict)
    producers: Producers = field(default_factory=dict)
    ingest: IngestLog = field(default_factory=IngestLog)
    dead_rows: list[DeadLetter] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


class MetricsCut:
    """chunks.Cut of the metrics worker."""

    def __init__(
        self,
        delta: Delta,
        book: PriceBook,
        caps: LabelCaps,
        now_ms: int,
        revisions: Revisions,
        *,
        texts: bool,
    ) -> None:
        self._delta = delta
        self._book = book
        self._caps = caps
        self._now_ms = now_ms
        self._revisions = revisions
        self._texts = texts

    @property
    def fences(self) -> Mapping[str, Mapping[str, int]]:
        """Rows of windows are made by these revisions."""
        return {"windows": {REVISION: self._revisions.number}}

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """Refused inputs."""
        return self._delta.dead_letters

    def build(self) -> Mapping[str, pa.Table]:
        """The rows of every table."""
        made: dict[str, list[pa.Table]] = {}

        def put(table: str, data: pa.Table) -> None:
            if data.num_rows:
                made.setdefault(table, []).append(data)

        for (kind, tables), group in self._delta.groups.items():
            c = group.columns()
            if kind == rows.REQUEST:
                put_prices(c, self._book)
                self._requests(c, tables, put)
            if "events" in tables:
                put("events", rows.event_rows(c))
            if kind in rows.JUDGEMENTS and "judgements" in tables:
                put("judgements", rows.judgement_rows(c))
            if kind == rows.PROMPT and "prompts" in tables:
                put("prompts", rows.prompt_rows(c))
            if self._texts and kind in rows.TEXTED and TEXTS in tables:
                put(TEXTS, rows.text_rows(c))
            if "producers" in tables:
                count_stored(self._delta.producers, c)
        put("producers", producer_rows(self._delta.producers))
        put("dead_letters", rows.dead_letter_rows(self._delta.dead_rows))
        put("ingest_log", self._delta.ingest.rows(self._now_ms))
        return {table: rows.concat(table, parts) for table, parts in made.items()}

    def _requests(self, c: Columns, tables: frozenset[str], put: Any) -> None:
        if "spend" in tables:
            put("spend", spend_rows(c))
        if "windows" not in tables:
            return
        labels, new = capped(c, self._caps)
        cells = build_cells(c, *labels, TABLES["windows"].data)
        put("windows", under_revisions(cells, self._revisions))
        if "label_values" in tables:
            put("label_values", label_rows(new))
