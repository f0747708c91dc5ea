"""What the events cost on disk: bytes of active parts, by table and by column.

Nothing is forced: `settled` waits for the merges that the store does by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from benchmarks.store.traffic import Traffic
from streamgauge.storage.client import StoreClient

QUIET_S: Final = 10.0
MOST_S: Final = 300.0
_PARTS: Final = """
SELECT table, toInt64(sum(bytes_on_disk)) AS bytes, count() AS parts FROM system.parts
WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC
"""
_COLUMNS: Final = """
SELECT column, toInt64(sum(column_data_compressed_bytes)) AS bytes FROM system.parts_columns
WHERE active AND database = currentDatabase() AND table = {table:String}
GROUP BY column ORDER BY bytes DESC
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by table and by column of `events`, largest first; parts of `events`."""

    tables: dict[str, int]
    columns: dict[str, int]
    parts: int


def settled(client: StoreClient) -> float:
    """Wait until the store has merged what it wants to, MOST_S at most; seconds that it took."""
    began = since = time.monotonic()
    before: object = None
    while (now := time.monotonic()) - began < MOST_S and now - since < QUIET_S:
        parts = client.query(_PARTS)
        if client.query("SELECT 1 FROM system.merges LIMIT 1") or parts != before:
            before, since = parts, now
        time.sleep(0.5)
    return time.monotonic() - began


def measure(client: StoreClient, table: str = "events") -> Sizes:
    """As it is now, in the database of the client."""
    parts = {row["table"]: row for row in client.query(_PARTS)}
    columns = {r["column"]: int(r["bytes"]) for r in client.query(_COLUMNS, {"table": table})}
    return Sizes(
        {name: int(row["bytes"]) for name, row in parts.items()}, columns, parts[table]["parts"]
    )


def as_lines(sizes: Sizes, events: int, most: int = 10) -> Iterable[str]:
    """For people: bytes per event of the tables and of the largest columns."""
    yield "bytes per event, by table:"
    for table, size in sizes.tables.items():
        if size / events >= 0.01:
            yield f"  {table:20} {size / events:7.2f}"
    yield f"the {most} largest columns of events:"
    for column, size in list(sizes.columns.items())[:most]:
        yield f"  {column:20} {size / events:7.2f}"
    rest = sizes.tables["events"] - sum(sizes.columns.values())
    yield f"  {'indices, marks':20} {rest / events:7.2f}"


def json_lines(traffic: Traffic) -> float:
    """Bytes per event of a block of messages as JSON lines under zstd, level 3."""
    values = [v for messages in traffic.block(0) for v in messages.values]
    packed = pa.Codec("zstd", compression_level=3).compress(b"\n".join(values), asbytes=True)
    return len(packed) / len(values)
