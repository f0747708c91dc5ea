"""Blocks of one source partition as a writer makes them, for tests of inserts, and what is stored.

sink = writer(store)
sink.insert(block_of(0, 3))     # rows with the offsets 0, 1, 2
offsets(client) == [0, 1, 2]
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.block import Block, build_block
from streamgauge.storage.client import StoreClient
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import Guard, SinkWriter

KEY = "llm.events.v1@abcdefgh/0"
DAY = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()


def block_of(
    first: int, count: int, *, table: str = "judgements", key: str = KEY, name: str = "x"
) -> Block:
    """Rows with the offsets [first, first + count) of one partition."""
    rows = pa.table({"offset": range(first, first + count), "name": [name] * count})
    return build_block(
        table, rows, written_on=DAY, expected={key: first}, next={key: first + count}
    )


def writer(
    settings: StoreSettings, name: str = "w", guard: Guard | None = None, session_s: float = 30
) -> SinkWriter:
    return SinkWriter(settings, instance=name, session_timeout_s=session_s, guard=guard)


def offsets(client: StoreClient, table: str = "judgements") -> list[int]:
    rows = client.query(f"SELECT offset FROM {table} WHERE kind = 0 ORDER BY offset")
    return [row["offset"] for row in rows]
