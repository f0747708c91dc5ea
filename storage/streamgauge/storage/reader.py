"""Reading: one function per named query of queries/*.sql, typed rows out.

In: a client, bound parameters. Out: frozen rows, unknown = None, moments aware in UTC.
Not here: ad hoc SQL of people (the CLI), the batched queries of alert rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources

from streamgauge.storage.client import StoreClient


@cache
def named_query(name: str) -> str:
    """Text of queries/<name>.sql."""
    return (resources.files("streamgauge.storage") / "queries" / f"{name}.sql").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Freshness:
    """One source partition as one writer has it. lag: messages; completeness: share read."""

    writer: str
    source: str
    position: int
    end_offset: int | None
    lag: int | None
    completeness: float | None
    watermark: datetime | None
    last_append: datetime | None
    written_at: datetime | None


def freshness(client: StoreClient) -> list[Freshness]:
    """Positions of all writers, by writer and source."""
    return [Freshness(**row) for row in client.query(named_query("freshness"))]


@dataclass(frozen=True, slots=True)
class Loss:
    """What the clients of one app sent and what arrived, in events."""

    tenant: str | None
    app: str | None
    clients: int
    stored: int
    duplicates: int
    dead: int
    missing: int | None
    dropped: int


def loss(client: StoreClient) -> list[Loss]:
    """Loss by tenant and app, over the clients of the last 30 days."""
    return [Loss(**row) for row in client.query(named_query("loss"))]


@dataclass(frozen=True, slots=True)
class TableSize:
    """What a table takes on disk. since, until: first and last day on which it was written."""

    table: str
    rows: int
    parts: int
    bytes: int
    since: date | None
    until: date | None


def table_sizes(client: StoreClient) -> list[TableSize]:
    """Every table of the database, largest first."""
    return [TableSize(**row) for row in client.query(named_query("table_sizes"))]


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour in which windows do not add up to the raw events."""

    t: datetime
    tenant: str
    app: str
    events_n: int
    windows_n: int
    events_tokens: int
    windows_tokens: int


def reconcile(
    client: StoreClient, *, since: datetime, until: datetime, resolution_s: int = 60
) -> list[Difference]:
    """Recount events against windows between two whole hours of event time; [] is good.

    Both within the retention of `events` and of the windows of this resolution.
    """
    rows = client.query(
        named_query("reconcile"), {"since": since, "until": until, "resolution": resolution_s}
    )
    return [Difference(**row) for row in rows]
