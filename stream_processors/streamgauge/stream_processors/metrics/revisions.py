"""Under which revisions the windows of an hour are written, and the copies that this takes.

Revision 0 is what the stream counted; it is always written, and rules judge it. An hour that was
reprocessed is also written under its active revision, one that is being reprocessed under the new
one, so that late events are in all of them. docs/decisions/0023.
In: cells under revision 0. Out: the same, and copies. Nothing is done while no hour has another
revision. Not here: reading what revisions there are (recall.py), making one (reprocess/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from streamgauge.stream_processors.metrics.columns import Ints, conform
from streamgauge.stream_processors.reading.memory import Memory

HOUR_S = 3_600
TenantHour = tuple[str, int]
"""Tenant as in windows (capped), start of the hour in s since the epoch."""


class Revisions:
    """number: the highest there was when they were read. hours: revisions but 0, by hour."""

    def __init__(
        self, number: int = 0, hours: Iterable[tuple[TenantHour, Iterable[int]]] = ()
    ) -> None:
        self.number = number
        self.hours: Mapping[TenantHour, tuple[int, ...]] = {
            hour: tuple(sorted(set(revisions))) for hour, revisions in hours
        }
        self.starts: Ints = np.array(sorted({t for _, t in self.hours}), dtype=np.int64)


LIVE_ONLY = Revisions()


@dataclass(slots=True)
class MetricsMemory(Memory):
    """What the metrics worker remembers beside seen events and labels."""

    revisions: Revisions = field(default_factory=Revisions)


def hours_of(cells: pa.Table) -> Ints:
    """The hour of each row, s since the epoch."""
    found: Ints = np.asarray(cells["t"].cast(pa.int64())) // HOUR_S * HOUR_S
    return found


def stamped(cells: pa.Table, revision: int) -> pa.Table:
    """The rows under this revision."""
    at = cells.schema.get_field_index("revision")
    column = cells.schema.field(at)
    values = pa.array(np.full(cells.num_rows, revision, dtype=np.int64))
    return cells.set_column(at, column, conform(values, column.type))


def under_revisions(cells: pa.Table, known: Revisions) -> pa.Table:
    """The cells, and a copy of each under every other revision of its hour."""
    if not known.hours:
        return cells
    hours = hours_of(cells)
    rows = np.flatnonzero(np.isin(hours, known.starts))
    if not len(rows):
        return cells
    copies: dict[int, list[int]] = {}
    tenants = cells["tenant"].take(pa.array(rows)).to_pylist()
    for row, tenant in zip(rows.tolist(), tenants, strict=True):
        for revision in known.hours.get((tenant, int(hours[row])), ()):
            copies.setdefault(revision, []).append(row)
    return pa.concat_tables(
        [cells, *(stamped(cells.take(pa.array(at)), r) for r, at in sorted(copies.items()))]
    )
