"""Rows into sink tables as a writer's flushes put them, for tests of views.

`client`: queries on the test's own database. `put(table, rows)`: one flush of one table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.block import build_block
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import InsertOutcome, SinkWriter

SRC = "llm.events.v1@abcdefgh"
START = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
Row = dict[str, Any]


@pytest.fixture
def client(store: StoreSettings) -> Iterator[StoreClient]:
    with connect(store) as made:
        yield made


@pytest.fixture
def put(store: StoreSettings) -> Iterator[Any]:
    """Insert rows as one flush of one table."""
    sink = SinkWriter(store, instance="w", session_timeout_s=30)
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()

    def insert(
        table: str,
        rows: Sequence[Mapping[str, Any]],
        key: str = f"{SRC}/0",
        *,
        days_ago: int = 0,
    ) -> None:
        names = sorted({name for row in rows for name in row})
        fields = [TABLES[table].data.field(name) for name in names]
        columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in fields]
        at = sink.high_water(table).get(key, 0)
        block = build_block(
            table,
            pa.Table.from_arrays(columns, names=names),
            written_on=today - timedelta(days=days_ago),
            expected={key: at},
            next={key: at + 100},
        )
        assert sink.insert(block) is InsertOutcome.STORED

    yield insert
    sink.close()
