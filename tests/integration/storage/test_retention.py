"""Retention: counted from the day of writing, markers for good, days that can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.block import build_block
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.retention import DEFAULT_DAYS, Retention, apply_retention, read_days
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def client(store: StoreSettings) -> Iterator[StoreClient]:
    with connect(store) as made:
        yield made


@pytest.fixture
def sink(store: StoreSettings) -> Iterator[SinkWriter]:
    made = SinkWriter(store, instance="w", session_timeout_s=30)
    yield made
    made.close()


def days_ago(days: int) -> date:
    now = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    return now.date() - timedelta(days=days)


def write(sink: SinkWriter, table: str, rows: pa.Table, written_on: date) -> None:
    at = sink.high_water(table).get("t@1/0", 0)
    sink.insert(
        build_block(
            table, rows, written_on=written_on, expected={"t@1/0": at}, next={"t@1/0": at + 1}
        )
    )


def test_old_event_times_are_kept_and_old_blocks_go_but_their_markers_stay(
    client: StoreClient, sink: SinkWriter
) -> None:
    old = pa.table({"id": ["of 2016"], "ts": [1_460_000_000_000], "type": ["llm.request"]})
    write(sink, "events", old, days_ago(0))
    write(sink, "events", pa.table({"id": ["expired"]}), days_ago(31))
    write(sink, "events", pa.table({"id": ["kept"]}), days_ago(29))
    client.command("OPTIMIZE TABLE events FINAL")
    found = client.query("SELECT id FROM events WHERE kind = 0 ORDER BY id")
    assert [row["id"] for row in found] == ["kept", "of 2016"]
    assert client.query("SELECT count() AS n FROM events WHERE kind = 1") == [{"n": 3}]
    assert sink.high_water("events") == {"t@1/0": 3}
    assert [r["id"] for r in client.query("SELECT id FROM v_requests")] == ["of 2016"]


def test_windows_are_kept_by_their_resolution(client: StoreClient, sink: SinkWriter) -> None:
    rows = pa.table(
        {"resolution": pa.array([10, 60, 3600], pa.uint16()), "n": pa.array([1] * 3, pa.uint64())}
    )
    for days, left in ((6, [10, 60, 3600]), (8, [60, 3600]), (91, [3600]), (731, [])):
        client.command("TRUNCATE TABLE windows")
        write(sink, "windows", rows, days_ago(days))
        client.command("OPTIMIZE TABLE windows FINAL")
        found = client.query("SELECT resolution FROM windows WHERE kind = 0 ORDER BY resolution")
        assert [row["resolution"] for row in found] == left, days


def test_days_can_be_changed_and_only_what_differs_is_altered(
    client: StoreClient, sink: SinkWriter
) -> None:
    assert apply_retention(client, Retention()) == []
    as_shipped = read_days(client)
    assert {name: days for (_, name), days in as_shipped.items()} == DEFAULT_DAYS
    assert as_shipped["ingest_log", "ingest"] == as_shipped["producers", "ingest"] == 30
    shorter = Retention({"events": 3, "windows_10s": 1})
    assert apply_retention(client, shorter) == ["events", "windows"]
    assert apply_retention(client, shorter) == []
    changed = {("events", "events"): 3, ("windows", "windows_10s"): 1}
    assert read_days(client) == as_shipped | changed
    write(sink, "events", pa.table({"id": ["expired"]}), days_ago(4))
    client.command("OPTIMIZE TABLE events FINAL")
    assert client.query("SELECT count() AS n FROM events WHERE kind = 0") == [{"n": 0}]
