"""The write path: one block, exactly once, whoever else writes, whatever is killed."""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import BadInput, Retryable, UnknownOutcome, Unreachable
from streamgauge.storage.block import Block, build_block
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import Guard, InsertOutcome
from tests.support.blocks import DAY, KEY, block_of, offsets, writer
from tests.support.sinks import client
from tests.support.store_proxy import Fault, StoreProxy
from tests.support.waiting import until

__all__ = ["client"]  # a fixture of this file
pytestmark = pytest.mark.clickhouse


def test_tables_in_the_engine_have_the_columns_that_writers_know(client: StoreClient) -> None:
    for name, spec in TABLES.items():
        rows = client.query(
            "SELECT name, comment FROM system.columns"
            " WHERE database = currentDatabase() AND table = {t:String}",
            {"t": name},
        )
        assert {row["name"] for row in rows} == set(spec.schema.names), name
        assert not [row["name"] for row in rows if not row["comment"]], name


@pytest.mark.parametrize("guard", ["header", "sql"])
@pytest.mark.parametrize("table", ["events", "windows", "drift_verdicts", "prompts"])
def test_block_is_stored_once_and_a_stale_one_refused(
    store: StoreSettings, client: StoreClient, guard: Guard, table: str
) -> None:
    sink = writer(store, guard=guard)
    column = "n" if table == "windows" else "tenant"
    value = pa.array([3], pa.uint64()) if table == "windows" else pa.array(["a"])

    def made(expected: int, next_: int) -> Block:
        rows = pa.table({column: value})
        return build_block(table, rows, written_on=DAY, expected={KEY: expected}, next={KEY: next_})

    assert sink.high_water(table) == {}
    first = made(0, 7)
    assert sink.insert(first) is InsertOutcome.STORED
    assert sink.insert(first) is InsertOutcome.STORED  # its answer was lost: it had landed
    other = writer(store, "other", guard)
    for _ in range(2):
        assert other.insert(first) is InsertOutcome.REFUSED  # the same, but it is not the other's
    other.close()
    assert sink.insert(made(0, 9)) is InsertOutcome.REFUSED
    assert sink.insert(made(5, 9)) is InsertOutcome.REFUSED
    assert sink.insert(made(8, 9)) is InsertOutcome.REFUSED
    assert sink.high_water(table) == {KEY: 7}
    assert client.query(f"SELECT count() AS n FROM {table} WHERE kind = 0") == [{"n": 1}]
    assert sink.insert(made(7, 8)) is InsertOutcome.STORED
    assert sink.high_water(table) == {KEY: 8}
    sink.close()


@pytest.mark.parametrize("fault", list(Fault))
def test_block_whose_answer_was_lost_is_stored_once_unless_another_was_faster(
    store: StoreSettings, client: StoreClient, fault: Fault
) -> None:
    with StoreProxy(store) as proxy:
        proxy.late_s = 1.0
        sink, other = writer(proxy.settings), writer(store, "other")
        lost = block_of(0, 3)
        proxy.spoil(fault)
        with pytest.raises(UnknownOutcome):
            sink.insert(lost)
        assert sink.insert(lost) is InsertOutcome.STORED
        until(lambda: proxy.spoiled(fault) == 1, "the store has the spoiled one")
        if fault is Fault.LATE:
            assert proxy.last_status == 409
        lost = block_of(3, 3)
        proxy.spoil(fault)
        with pytest.raises(UnknownOutcome):
            sink.insert(lost)
        faster = other.insert(block_of(3, 4)) is InsertOutcome.STORED
        assert sink.insert(lost) is (InsertOutcome.REFUSED if faster else InsertOutcome.STORED)
        until(lambda: proxy.spoiled(fault) == 2, "the store has the spoiled one")
        sink.close()
        other.close()
    assert offsets(client) == list(range(7 if faster else 6))
    if fault is not Fault.CUT_AT_ONCE:  # then either may be
        assert faster is (fault is not Fault.ANSWER_LOST)


def test_block_is_one_part_with_its_marker(store: StoreSettings, client: StoreClient) -> None:
    client.command("SYSTEM STOP MERGES")
    try:
        sink = writer(store)
        sink.insert(block_of(0, 200_000))
        sink.close()
        found = client.query("SELECT uniqExact(_part) AS parts, count() AS n FROM judgements")
        assert found == [{"parts": 1, "n": 200_001}]
    finally:
        client.command("SYSTEM START MERGES")


def test_markers_of_many_flushes_survive_merging_in_every_table(
    store: StoreSettings, client: StoreClient
) -> None:
    sink = writer(store)
    for table in sorted(TABLES):
        for i in range(4):
            key = f"llm.events.v1@abcdefgh/{i % 3}"
            expected = sink.high_water(table).get(key, 0)
            bare = build_block(
                table, pa.table({}), written_on=DAY, expected={key: expected}, next={key: i + 10}
            )
            assert sink.insert(bare) is InsertOutcome.STORED
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        assert sink.high_water(table) == {
            "llm.events.v1@abcdefgh/0": 13,
            "llm.events.v1@abcdefgh/1": 11,
            "llm.events.v1@abcdefgh/2": 12,
        }, table
        assert client.query(f"SELECT count() AS n FROM {table} WHERE kind = 0") == [{"n": 0}]
    sink.close()


def test_racing_writers_store_every_offset_exactly_once(
    store: StoreSettings, client: StoreClient
) -> None:
    """Four writers that all believe to own two partitions; each goes on from what is stored."""
    goal, keys = 300, [KEY, KEY.replace("/0", "/1")]
    refused: list[int] = []

    def run(number: int) -> None:
        rng = random.Random(number)
        sink = writer(store, f"w{number}")
        while True:
            stored = sink.high_water("judgements")
            open_keys = [k for k in keys if stored.get(k, 0) < goal]
            if not open_keys:
                break
            key = rng.choice(open_keys)
            first = stored.get(key, 0)
            count = min(rng.randint(1, 25), goal - first)
            made = block_of(first, count, key=key, name=f"w{number}/{key}")
            if sink.insert(made) is InsertOutcome.REFUSED:
                refused.append(number)
        sink.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    found = client.query(
        "SELECT splitByChar('@', name)[2] AS key, count() AS n, uniqExact(offset) AS u,"
        " max(offset) AS last FROM judgements WHERE kind = 0 GROUP BY key"
    )
    assert [(row["n"], row["u"], row["last"]) for row in found] == [(goal, goal, goal - 1)] * 2
    assert refused, "the writers never met: the race was not tested"


def test_block_that_the_engine_cannot_read_is_bad_input(store: StoreSettings) -> None:
    sink = writer(store)
    good = block_of(0, 3)
    broken = Block(
        good.table, good.columns, good.rows, good.expected, good.next, good.body[:-40], good.token
    )
    with pytest.raises(BadInput):
        sink.insert(broken)
    assert sink.high_water("judgements") == {}
    sink.close()


def test_store_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = StoreSettings(f"http://127.0.0.1:{port}", "streamgauge", "x")
    with pytest.raises(Unreachable, match=f"no store answers at http://127.0.0.1:{port}"):
        writer(nobody).high_water("events")


def test_insert_waits_for_space_and_is_then_stored_once(
    store: StoreSettings, client: StoreClient
) -> None:
    sink = writer(store)
    made = block_of(0, 3)
    setting = "min_free_disk_bytes_to_perform_insert"
    client.command(f"ALTER TABLE judgements MODIFY SETTING {setting} = {1 << 60}")
    with pytest.raises(Unreachable, match="NOT_ENOUGH_SPACE") as caught:
        sink.insert(made)
    assert "disk" in caught.value.hint
    client.command(f"ALTER TABLE judgements RESET SETTING {setting}")
    assert sink.insert(made) is InsertOutcome.STORED
    assert offsets(client) == [0, 1, 2]
    sink.close()


@pytest.mark.slow
def test_kill_9_of_the_store_during_inserts_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The writer only repeats the same block until it is told "stored"; 6 kills in mid-insert."""
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    settings = server.start()
    migrate(settings)
    clock = SystemClock()
    stop = threading.Event()
    acknowledged: list[int] = [0]
    failures: list[str] = []
    problems: list[BaseException] = []

    def write() -> None:
        sink = writer(settings)
        made = block_of(0, 500)
        try:
            while not stop.is_set():
                try:
                    outcome = sink.insert(made)
                except Retryable as error:
                    failures.append(type(error).__name__)
                    clock.sleep(0.02)
                    continue
                assert outcome is InsertOutcome.STORED
                acknowledged[0] = made.next[KEY]
                made = block_of(made.next[KEY], 500)
        except BaseException as error:  # noqa: BLE001 shown by the test
            problems.append(error)
        finally:
            sink.close()

    thread = threading.Thread(target=write)
    thread.start()
    rng = random.Random(7)
    try:
        for _ in range(6):
            before = acknowledged[0]
            deadline = clock.monotonic() + 30
            while acknowledged[0] < before + 1500 and not problems:
                assert clock.monotonic() < deadline, failures
                clock.sleep(0.005)
            clock.sleep(rng.random() * 0.05)
            server.kill()
            assert server.start().url == settings.url
    finally:
        stop.set()
        thread.join(30)
    assert not problems
    with connect(settings) as client:
        stored = offsets(client)
        assert stored == list(range(len(stored)))
        assert len(stored) >= acknowledged[0]
        assert writer(settings).high_water("judgements") == {KEY: len(stored)}
    assert failures, "no insert met a kill: nothing was tested"
    server.stop()


def test_store_ends_in_order_on_sigterm_with_an_insert_in_flight(tmp_path: Path) -> None:
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    settings = server.start()
    migrate(settings)
    outcome: list[object] = []
    sink = writer(settings)
    sink.high_water("judgements")
    big = block_of(0, 300_000)

    def insert() -> None:
        try:
            outcome.append(sink.insert(big))
        except Retryable as error:
            outcome.append(error)

    thread = threading.Thread(target=insert)
    thread.start()
    parts = urlsplit(settings.url)
    with connect(settings) as client:  # wait until it has begun
        deadline = SystemClock().monotonic() + 20
        while (
            client.query(
                "SELECT count() AS n FROM system.processes WHERE query LIKE '%_streamgauge_stage%'"
                " AND query NOT LIKE '%system.processes%'"
            )[0]["n"]
            == 0
            and not outcome
        ):
            assert SystemClock().monotonic() < deadline
    server.stop()
    thread.join(30)
    assert server.start().url.endswith(f":{parts.port}")
    with connect(settings) as client:
        stored = offsets(client)
    assert stored == (list(range(300_000)) if outcome == [InsertOutcome.STORED] else stored[:0])
    server.stop()
