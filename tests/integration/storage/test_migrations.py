"""Migrations: both topologies, twice, cut off, from an older version, at the same time."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import BadInput, Misconfigured, Retryable
from streamgauge.storage.block import build_block
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import Applied, check, migrate, render
from streamgauge.storage.migration_files import Migration, load, shipped
from streamgauge.storage.migration_files import render as render_one
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter

pytestmark = pytest.mark.clickhouse
REQUESTS = {"v_requests", "v_steps", "v_judgements", "v_dead_letters", "v_loss", "v_freshness"}
WINDOWS = {"v_10s", "v_minute", "v_hour", "v_errors", "v_spend", "v_prompts"}
REST = {"v_scores", "v_toxicity", "v_drift", "v_changes", "v_alerts", "v_alert_history"}


@pytest.fixture
def fresh(store_server: EmbeddedStore) -> Iterator[StoreSettings]:
    """A database that does not exist yet."""
    settings = store_server.settings(f"m{uuid.uuid4().hex[:10]}")
    yield settings
    with connect(settings) as client:
        client.command(f"DROP DATABASE IF EXISTS `{settings.database}` SYNC", use_database=False)


def migrations(*statements: str) -> tuple[Migration, ...]:
    return load(
        (f"{n:04}_m.sql", "-- light\n" + statement) for n, statement in enumerate(statements, 1)
    )


def create(name: str) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {{{{DB}}}}.{name} (a UInt8) ENGINE = {{{{ENGINE:MergeTree}}}}"
        " ORDER BY a"
    )


def test_second_run_does_nothing_and_the_check_is_content(fresh: StoreSettings) -> None:
    assert [p.kind for p in check(fresh)] == ["missing"]
    assert migrate(fresh, dry_run=True)
    assert [p.kind for p in check(fresh)] == ["missing"]
    assert len(migrate(fresh)) == sum(len(m.statements) for m in shipped())
    assert migrate(fresh) == []
    assert check(fresh) == []


def test_every_statement_of_both_topologies_parses_in_the_engine(store: StoreSettings) -> None:
    with connect(store) as client:
        for migration in shipped():
            for statement in migration.statements:
                for cluster in (None, "prod"):
                    sql = render_one(statement, database="somewhere", cluster=cluster)
                    assert client.rows(f"EXPLAIN AST {sql}")[1], (migration.name, cluster)
    text = render(database="somewhere", cluster="prod")
    assert "ReplicatedAggregatingMergeTree" in text
    assert "cluster('prod', `somewhere`.`windows`)" in text


def test_every_view_is_there_answers_and_describes_every_column(store: StoreSettings) -> None:
    with connect(store) as client:
        for view in sorted(REQUESTS | WINDOWS | REST):
            assert client.query(f"SELECT * FROM {view}") == []
        bare = client.query(
            "SELECT table, name FROM system.columns"
            " WHERE database = currentDatabase() AND startsWith(table, 'v_') AND comment = ''"
        )
        assert bare == []


def test_run_that_failed_goes_on_at_the_failed_statement(fresh: StoreSettings) -> None:
    wrong = migrations(
        create("a") + ";" + "ALTER TABLE {{DB}}.nope ADD COLUMN IF NOT EXISTS b Int8"
    )
    with pytest.raises(BadInput):
        migrate(fresh, migrations=wrong)
    assert [p.kind for p in check(fresh, migrations=wrong)] == ["pending"]
    with connect(fresh) as client:
        client.command(f"CREATE TABLE `{fresh.database}`.nope (a UInt8) ENGINE = Memory")
    ran = migrate(fresh, migrations=wrong)
    assert [(a.version, a.statement) for a in ran] == [(1, 2)]
    assert migrate(fresh, migrations=wrong) == []


def test_statement_that_had_run_may_not_be_changed(fresh: StoreSettings) -> None:
    migrate(fresh, migrations=migrations(create("a")))
    changed = migrations(create("b"))
    assert [p.kind for p in check(fresh, migrations=changed)] == ["changed"]
    with pytest.raises(Misconfigured, match="0001_m, statement 1, was changed"):
        migrate(fresh, migrations=changed)


def test_newer_database_is_tolerated_and_named(fresh: StoreSettings) -> None:
    migrate(fresh, migrations=migrations(create("a"), create("b")))
    older = migrations(create("a"))
    assert migrate(fresh, migrations=older) == []
    assert [p.kind for p in check(fresh, migrations=older)] == ["newer"]


@pytest.mark.parametrize("dropped", ["TABLE label_values", "TABLE prices", "VIEW v_minute"])
def test_table_or_view_that_was_dropped_is_missed_and_can_be_made_anew(
    fresh: StoreSettings, dropped: str
) -> None:
    migrate(fresh)
    with connect(fresh) as client:
        client.command(f"DROP {dropped} SYNC")
        (problem,) = check(fresh)
        assert (problem.kind, problem.message.split()[0]) == ("missing", dropped.split()[1])
        assert migrate(fresh) == []
        assert "TRUNCATE TABLE migrations" in problem.mend
        client.command("TRUNCATE TABLE migrations")
    migrate(fresh)
    assert check(fresh) == []


def test_heavy_migrations_wait_until_they_are_asked_for(fresh: StoreSettings) -> None:
    heavy = load(
        [
            ("0001_a.sql", "-- light\n" + create("a")),
            ("0002_b.sql", "-- heavy\nINSERT INTO {{DB}}.a SELECT 1"),
            ("0003_c.sql", "-- light\n" + create("c")),
        ]
    )
    assert [a.version for a in migrate(fresh, migrations=heavy)] == [1]
    assert [a.version for a in migrate(fresh, migrations=heavy, heavy=True)] == [2, 3]


def test_migrations_at_the_same_time_run_each_statement_once(fresh: StoreSettings) -> None:
    results: list[list[Applied]] = []
    threads = [threading.Thread(target=lambda: results.append(migrate(fresh))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(map(len, results)) == [0, 0, sum(len(m.statements) for m in shipped())]


def test_lock_of_a_dead_process_is_taken_over_and_of_a_foreign_one_not(
    fresh: StoreSettings,
) -> None:
    one = migrations(create("a"))
    with connect(fresh) as client:
        client.command(f"CREATE DATABASE `{fresh.database}`", use_database=False)
        lock = f"CREATE TABLE `{fresh.database}`._migration_lock (x UInt8) ENGINE = Memory COMMENT"
        client.command(f"{lock} 'elsewhere 1'")
        with pytest.raises(Retryable, match="elsewhere 1"):
            migrate(fresh, migrations=one, lock_wait_s=0.3)
        client.command(f"DROP TABLE `{fresh.database}`._migration_lock")
        client.command(f"{lock} '{socket.gethostname()} 999999999'")
        assert len(migrate(fresh, migrations=one, lock_wait_s=5)) == 1


def test_data_folder_of_an_older_version_is_migrated_with_its_data(tmp_path: Path) -> None:
    """An older version is one that knew only the first migrations."""
    old = EmbeddedStore(tmp_path / "store", memory_mb=1024, fsync=False, die_with_parent=True)
    settings = old.start()
    migrate(settings, migrations=shipped()[:2])
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()
    sink = SinkWriter(settings, instance="w", session_timeout_s=30)
    rows = pa.table({"id": ["a", "b"], "type": ["llm.request"] * 2, "ts": [1_700_000_000_000] * 2})
    sink.insert(
        build_block("events", rows, written_on=today, expected={"t@1/0": 0}, next={"t@1/0": 2})
    )
    sink.close()
    old.stop()

    new = EmbeddedStore(tmp_path / "store", memory_mb=1024, fsync=False, die_with_parent=True)
    settings = new.start()
    assert migrate(settings)
    assert check(settings) == []
    with connect(settings) as client:
        found = client.query("SELECT id FROM v_requests ORDER BY id")
        assert [row["id"] for row in found] == ["a", "b"]
    sink = SinkWriter(settings, instance="w", session_timeout_s=30)
    assert sink.high_water("events") == {"t@1/0": 2}
    sink.close()
    new.stop()


def test_events_of_before_new_codecs_and_an_index_are_read_and_merged_as_they_were(
    tmp_path: Path,
) -> None:
    """Migration 12 changes codecs alone: parts of before and after become one, with every value.

    Migration 13 adds an index, which a part of before gets when it is merged.
    """
    store = EmbeddedStore(tmp_path / "store", memory_mb=1024, fsync=False, die_with_parent=True)
    settings = store.start()
    migrate(settings, migrations=shipped()[:11])
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()
    sink = SinkWriter(settings, instance="w", session_timeout_s=30)

    def insert(first: int) -> None:
        numbers = range(first, first + 3)
        rows = pa.table(
            {
                "offset": list(numbers), "id": [f"c-{i:x}" for i in numbers],
                "type": ["llm.request"] * 3, "ts": [1_700_000_000_000 + i for i in numbers],
                "seq": pa.array([first, None, first + 2], pa.uint64()),
                "status": ["ok", "error", ""],
                "duration_ms": [0.001 * i for i in numbers],
                "cost_nano_usd": pa.array([-first, None, 10**15], pa.int64()),
            }
        )  # fmt: skip
        sink.insert(
            build_block(
                "events", rows, written_on=today,
                expected={"t@1/0": first}, next={"t@1/0": first + 3},
            )
        )  # fmt: skip

    everything = (
        "SELECT * EXCEPT next FROM events WHERE kind = 0 AND offset < {n:UInt64} ORDER BY ts"
    )
    codecs = "SELECT name, compression_codec AS codec FROM system.columns WHERE table = 'events'"
    by_offset = (
        "SELECT data_compressed_bytes > 0 AS indexed FROM system.data_skipping_indices"
        " WHERE table = 'events' AND name = 'by_offset'"
    )
    insert(0)
    with connect(settings) as client:
        before = client.query(everything, {"n": 3})
        old_codecs = {row["name"]: row["codec"] for row in client.query(codecs)}
        assert migrate(settings)
        assert check(settings) == []
        assert client.query(by_offset) == [{"indexed": 0}]
        client.command("OPTIMIZE TABLE events FINAL")
        assert client.query(by_offset) == [{"indexed": 1}]
        insert(3)
        client.command("OPTIMIZE TABLE events FINAL")
        assert client.query(
            "SELECT count() AS n FROM system.parts WHERE active AND table = 'events'"
        )
        assert client.query(everything, {"n": 3}) == before
        after = client.query(everything, {"n": 6})
        assert [row["cost_nano_usd"] for row in after] == [0, None, 10**15, -3, None, 10**15]
        assert [row["seq"] for row in after] == [0, None, 2, 3, None, 5]
        new_codecs = {row["name"]: row["codec"] for row in client.query(codecs)}
    assert new_codecs["seq"] == "CODEC(T64('bit'), ZSTD(1))" != old_codecs["seq"]
    assert new_codecs["duration_ms"] == "CODEC(ZSTD(3))"
    sink.close()
    store.stop()


def test_tables_that_nothing_fills_say_so_where_people_read_what_they_are(
    store: StoreSettings,
) -> None:
    with connect(store) as client:
        rows = client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase()"
            " AND position(comment, 'Nothing fills this yet') > 0 ORDER BY name"
        )
    empty = [row["name"] for row in rows]
    assert empty == ["changes", "directive_log", "prices", "v_changes"]
    root = Path(__file__).resolve().parents[3]
    _, _, missing = (root / "README.md").read_text("utf-8").partition("## What is not there yet")
    assert [name for name in empty if f"`{name}`" not in missing] == []
