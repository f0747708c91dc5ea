"""The audit of any period: what retention took of one table is no difference to another.

Blocks of 100 requests are put into the tables as the flushes of a worker, on days of the past; then
the engine applies its retention: raw rows and counts 30 days, windows 7, 90 and 730.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from streamgauge.contracts.clock import ManualClock
from streamgauge.deploy.cli import main
from streamgauge.storage.audit import NotCompared, audit
from streamgauge.storage.audit_kept import POSITION
from streamgauge.storage.client import StoreClient
from tests.support.sinks import SRC, client, put

__all__ = ["client", "put"]  # fixtures of this file
pytestmark = pytest.mark.clickhouse

N = 100
"""Requests of a block: `put` moves its position by so many."""
START = datetime(2026, 1, 31, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
TABLES = ("events", "windows", "ingest_log", "producers")


def flush(
    put: Any, block: int, *, hour: int, days_ago: int, rest_days_ago: int | None = None
) -> None:
    """Block 0, 1, ... of the log, in an hour of event time. rest_days_ago: of all but `events`."""
    first, ts = block * N, START + hour * HOUR
    client_name = f"p{block}"
    rest = days_ago if rest_days_ago is None else rest_days_ago
    raw = {
        "src": SRC, "partition": 0, "type": "llm.request", "ts": ts, "status": "ok",
        "input_tokens": 10, "output_tokens": 1, "cost_nano_usd": 5, "duration_ms": 2.0,
        "producer_id": client_name,
    }  # fmt: skip
    cell = {
        "t": ts, "n": N, "input_tokens": 10 * N, "output_tokens": N, "cost_nano_usd": 5 * N,
        "duration_us_sum": 2_000 * N,
    }  # fmt: skip
    log = {"src": SRC, "partition": 0, "outcome": "stored", "n": N}
    rows = [raw | {"offset": first + i, "id": f"e{first + i}", "seq": i + 1} for i in range(N)]
    put("events", rows, days_ago=days_ago)
    put("windows", [cell | {"resolution": r} for r in (10, 60, 3600)], days_ago=rest)
    put("ingest_log", [log | {"first_offset": first, "last_offset": first + N - 1}], days_ago=rest)
    put("producers", [{"producer_id": client_name, "n": N}], days_ago=rest)


def apply_retention_now(client: StoreClient) -> None:
    for table in TABLES:
        client.command(f"OPTIMIZE TABLE {table} FINAL")


@pytest.fixture
def ago(client: StoreClient) -> Callable[[int], date]:
    """Days ago, by the store's clock."""
    today: date = client.query("SELECT today() AS today")[0]["today"]
    return lambda days: today - timedelta(days=days)


def one_more(client: StoreClient, resolution_s: int, written_on: date) -> None:
    """A window of the third hour that was written on this day has one request more."""
    client.command(
        "INSERT INTO windows SELECT * REPLACE (1 AS n, 0 AS input_tokens, 0 AS output_tokens,"
        " 0 AS cost_nano_usd, 0 AS duration_us_sum) FROM windows WHERE kind = 0"
        f" AND resolution = {resolution_s} AND written_on = '{written_on}'"
        f" AND t = '{START + 2 * HOUR:%Y-%m-%d %H:%M:%S}' LIMIT 1"
    )


def test_what_each_retention_took_is_named_and_the_rest_is_compared(
    client: StoreClient,
    put: Any,
    ago: Callable[[int], date],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flush(put, 0, hour=0, days_ago=735)
    flush(put, 1, hour=0, days_ago=100)
    flush(put, 2, hour=1, days_ago=35)
    flush(put, 3, hour=2, days_ago=8)
    flush(put, 4, hour=3, days_ago=0)
    flush(put, 5, hour=2, days_ago=0)  # late: of an hour that was written long ago
    apply_retention_now(client)
    (left,) = client.query(
        "SELECT count() AS raw, (SELECT sum(n) FROM windows WHERE kind = 0 AND resolution = 10)"
        " AS ten, (SELECT sum(n) FROM windows WHERE kind = 0 AND resolution = 3600) AS hours"
        " FROM events WHERE kind = 0"
    )
    assert left == {"raw": 3 * N, "ten": 2 * N, "hours": 5 * N}, "retention was applied"

    found = audit(client, START, START + 4 * HOUR)
    assert (found.differences, found.unsettled, found.gaps) == ((), (), ())
    assert (found.requests, found.offsets) == (3 * N, 3 * N)
    raw_rows = (ago(29), "raw rows are kept 30 days")
    assert found.not_compared == (
        NotCompared("offsets", "offsets and raw rows", None, None, *raw_rows),
        NotCompared(
            "windows", "10 s", START, START + 3 * HOUR, ago(6), "10 s windows are kept 7 days"
        ),
        NotCompared("windows", "60 s", START, START + 2 * HOUR, *raw_rows),
        NotCompared("windows", "3600 s", START, START + 2 * HOUR, *raw_rows),
        NotCompared("clients", "clients of these days", None, None, *raw_rows),
    )
    recent = audit(client, START + 3 * HOUR, START + 4 * HOUR)
    assert {n.law for n in recent.not_compared} == {"offsets", "clients"}

    for name, value in client.settings.to_env().items():
        monkeypatch.setenv(name, value)
    command = ["audit", "--from", "2026-01-31T22:00", "--to", "2026-02-01T02:00"]
    assert main(command) == 0
    told = capsys.readouterr()
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert lines[0] == "not compared what from to written before why"
    assert lines[1] == f"offsets offsets and raw rows - - {raw_rows[0]} {raw_rows[1]}"
    ten = "windows 10 s 2026-01-31 22:00 2026-02-01 01:00"
    assert lines[2] == f"{ten} {ago(6)} 10 s windows are kept 7 days"
    assert len(lines) == 1 + len(found.not_compared)
    assert told.err.startswith("0 differences in what both sides still have; 300 requests of")
    assert main([*command, "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)["not_compared"]
    assert [(n["law"], n["what"], n["before"]) for n in as_json] == [
        (n.law, n.what, str(n.before)) for n in found.not_compared
    ]

    one_more(client, 60, ago(8))
    one_more(client, 10, ago(0))  # the late part of an hour of which the rest is gone
    differences = audit(client, START, START + 4 * HOUR).differences
    third = f"{START + 2 * HOUR:%Y-%m-%d %H:00}"
    assert [(d.where, d.what, d.expected, d.found) for d in differences] == [
        (f"{third} at 10 s", "n", N, N + 1),
        (f"{third} at 60 s", "n", 2 * N, 2 * N + 1),
    ]

    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    nothing = audit(client, long_ago, long_ago + HOUR)
    assert nothing.requests == 0
    assert [n for n in nothing.not_compared if n.law == "windows"] == [
        NotCompared(
            "windows", "hours that are gone", long_ago, long_ago + HOUR, ago(729),
            "3600 s windows are kept 730 days",
        )
    ]  # fmt: skip


def test_a_worker_that_was_away_over_the_border_of_retention_left_no_difference(
    client: StoreClient, put: Any, ago: Callable[[int], date]
) -> None:
    """It died after `events`, and wrote the other tables two days later: raw rows went first."""
    flush(put, 0, hour=0, days_ago=31, rest_days_ago=29)
    flush(put, 1, hour=1, days_ago=0)
    apply_retention_now(client)
    assert client.query("SELECT count() AS n FROM events WHERE kind = 0") == [{"n": N}]
    assert client.query("SELECT sum(n) AS n FROM ingest_log WHERE kind = 0") == [{"n": 2 * N}]
    found = audit(client, START, START + 2 * HOUR)
    assert (found.differences, found.unsettled) == ((), ())
    assert (found.requests, found.offsets) == (N, N)
    asked = "EXPLAIN " + POSITION.format(table="events")
    steps = [str(row["explain"]) for row in client.query(asked, {"day": ago(1)})]
    assert any("ReadFromMergeTree (positions)" in s for s in steps), "not markers one by one"
    apart = f"blocks of the same events lie on different days until {ago(29)}"
    since = (ago(28), f"raw rows are kept 30 days; {apart}")
    windows = [n for n in found.not_compared if n.law == "windows"]
    assert windows == [
        NotCompared("windows", "10 s", START, START + HOUR, ago(6), "10 s windows are kept 7 days"),
        NotCompared("windows", "60 s", START, START + HOUR, *since),
        NotCompared("windows", "3600 s", START, START + HOUR, *since),
    ]


def test_numbers_that_retention_took_are_not_missing(
    client: StoreClient, put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that lives for long: its first numbers are gone, and of the rest one is missing."""
    row = {"src": SRC, "partition": 0, "type": "llm.request", "ts": START, "producer_id": "p"}

    def numbers(*seqs: int, days_ago: int) -> None:
        put("events", [row | {"offset": s, "seq": s} for s in seqs], days_ago=days_ago)

    numbers(1, 2, 4, days_ago=31)
    numbers(3, 5, days_ago=29)  # 3 came late: the day on which the rows begin cannot be judged
    numbers(6, 7, 10, days_ago=28)
    numbers(8, 11, 12, days_ago=0)
    apply_retention_now(client)
    monkeypatch.setattr("streamgauge.storage.audit.LOOKS", 1)  # the other tables stay behind
    found = audit(client, START, START + HOUR, clock=ManualClock())
    assert [(g.producer_id, g.missing, g.lowest, g.highest) for g in found.gaps] == [("p", 1, 9, 9)]
