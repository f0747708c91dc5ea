"""A disk without room: an insert that is answered is stored, and whoever waits says why.

The engine goes on after a write that failed (chDB 4.4). Here a limit of the store's process keeps
its files from growing, as a full disk would. Merges are stopped, since they would meet it, too: on
a real disk the reserve keeps them away from its end.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import Retryable, Unreachable
from streamgauge.storage.block import Block, build_block
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import InsertOutcome, SinkWriter

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]
KEY = "llm.events.v1@abcdefgh/0"
DAY: date = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()
ROWS = 300
LARGER_THAN_ANY_DISK_MB = 1_000_000_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A store of this test's own."""
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    yield server
    server.stop()


def block(number: int, table: str) -> Block:
    """ROWS rows of some 80 bytes that nothing compresses."""
    if table == "events":
        rows = pa.table({"id": [f"{number}-{i}-{os.urandom(32).hex()}" for i in range(ROWS)]})
    else:
        rows = pa.table(
            {"n": pa.array([1] * ROWS, pa.uint64()), "app": [os.urandom(9).hex()] * ROWS}
        )
    return build_block(table, rows, written_on=DAY, expected={KEY: number}, next={KEY: number + 1})


def has(settings: StoreSettings, table: str) -> int:
    """Blocks whose rows can be read, all columns of them."""
    with connect(settings) as client:
        (row,) = client.query(
            f"SELECT {'sum(n)' if table == 'windows' else 'count()'} AS n, sum(ignore(*)) AS read"
            f" FROM {table} WHERE kind = 0"
        )
    assert int(row["n"]) % ROWS == 0, "a part of a block"
    return int(row["n"]) // ROWS


def limit_files(server: EmbeddedStore, size: int | None) -> None:
    """No file of the store may be larger from now on; None: as large as they like."""
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


@pytest.mark.parametrize("table", ["events", "windows"])
def test_an_insert_that_the_disk_cuts_short_is_an_error_and_can_be_repeated(
    server: EmbeddedStore, table: str
) -> None:
    store = server.settings("full")
    migrate(store)
    sink = SinkWriter(store, instance="w", session_timeout_s=30)
    number = 0
    with connect(store) as client:
        client.command(f"SYSTEM STOP MERGES {table}")
        refused = 0
        for size in (100, 1_000, 2_000, 4_000, 8_000, 12_000, 16_000, 24_000, 1 << 30):
            now = block(number, table)
            limit_files(server, size)
            try:
                stored = sink.insert(now) is InsertOutcome.STORED
            except Retryable:
                stored, refused = False, refused + 1
            finally:
                limit_files(server, None)
            assert has(store, table) == sink.high_water(table).get(KEY, 0) == number + stored, size
            if not stored:
                assert sink.insert(now) is InsertOutcome.STORED
            number += 1
        assert refused > 2
        client.command(f"SYSTEM START MERGES {table}")
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert has(store, table) == number
    server.kill()
    server.start()
    assert has(store, table) == number


def test_a_disk_with_less_free_than_the_reserve_takes_nothing_and_says_so(
    server: EmbeddedStore,
) -> None:
    store = server.settings("full")
    migrate(store)
    server.stop()
    server.reserve_mb = LARGER_THAN_ANY_DISK_MB
    server.start()
    sink = SinkWriter(store, instance="w", session_timeout_s=30)
    with pytest.raises(Unreachable, match="cannot write") as caught:
        sink.insert(block(0, "events"))
    assert "disk full" in caught.value.hint
    server.stop()
    server.reserve_mb = 16
    server.start()
    assert sink.insert(block(0, "events")) is InsertOutcome.STORED
    assert has(store, "events") == 1
