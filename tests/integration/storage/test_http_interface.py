"""The embedded server as its clients see it: curl, clickhouse-connect, hostile input."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import stat
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, StreamFailureError

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings

pytestmark = pytest.mark.clickhouse


def driver(settings: StoreSettings, **options: Any) -> Client:
    parts = urlsplit(settings.url)
    return clickhouse_connect.get_client(
        host=parts.hostname,
        port=parts.port,
        username=settings.user,
        password=settings.password,
        database=settings.database,
        **options,
    )


@pytest.fixture(scope="module")
def plain(store_server: EmbeddedStore) -> Iterator[StoreSettings]:
    """A database without streamgauge's tables: these tests are about the server."""
    settings = store_server.settings("http_interface")
    with connect(settings) as made:
        made.command("CREATE DATABASE http_interface", use_database=False)
        yield settings
        made.command("DROP DATABASE http_interface SYNC", use_database=False)


@pytest.fixture
def store(plain: StoreSettings) -> StoreSettings:
    """Shadows the migrated database."""
    return plain


@pytest.fixture
def store_reader(store_server: EmbeddedStore, store: StoreSettings) -> StoreSettings:
    return store_server.reader_settings(store.database)


@pytest.fixture
def client(store: StoreSettings) -> Iterator[Client]:
    made = driver(store)
    made.command("DROP TABLE IF EXISTS d")
    made.command("CREATE OR REPLACE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a")
    yield made
    made.close()


def post(
    settings: StoreSettings, body: bytes, query: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(settings.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(
            "POST",
            f"/?database={settings.database}&{query}",
            body,
            {
                "X-ClickHouse-User": settings.user,
                "X-ClickHouse-Key": settings.password,
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def code_of(settings: StoreSettings, sql: str | bytes, query: str = "") -> int:
    raw = sql if isinstance(sql, bytes) else sql.encode()
    status, headers, _ = post(settings, raw, query)
    assert status != 200
    return int(headers["X-ClickHouse-Exception-Code"])


def alive(settings: StoreSettings) -> bool:
    return post(settings, b"SELECT 42")[2] == b"42\n"


# -- standard clients -------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_inserts_and_reads_with_every_compression(
    store: StoreSettings, client: Client, compress: str | bool
) -> None:
    other = driver(store, compress=compress)
    other.insert("t", [[1, "it's\t\\"], [2, "ü"]], column_names=["a", "s"])
    other.insert_arrow("t", pa.table({"a": pa.array([3], pa.uint32()), "s": ["x"]}))
    rows = other.query("SELECT a, s FROM t ORDER BY a").result_rows
    assert rows == [(1, "it's\t\\"), (2, "ü"), (3, "x")]
    assert other.query_arrow("SELECT sum(a) AS n FROM t").to_pydict() == {"n": [6]}
    other.close()


def test_clickhouse_connect_parameters_settings_and_sessions(client: Client) -> None:
    found = client.query(
        "SELECT {s:String}, {a:Array(String)}, {d:DateTime}, getSetting('max_threads')",
        parameters={"s": "a'b\t\\", "a": ["x'", "y"], "d": "2026-01-02 03:04:05"},
        settings={"max_threads": 3},
    ).result_rows[0]
    assert found[0] == "a'b\t\\"
    assert found[1] == ["x'", "y"]
    assert str(found[2]).startswith("2026-01-02 03:04:05")
    assert found[3] == 3
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    assert client.command("SELECT count() FROM mine") == 0


def test_clickhouse_connect_streams_a_large_result(client: Client) -> None:
    with client.query_row_block_stream(
        "SELECT number, toString(number) FROM numbers(1000000)"
    ) as blocks:
        assert sum(len(block) for block in blocks) == 1_000_000


def test_a_query_uses_more_than_one_thread_under_the_usual_memory_limit(client: Client) -> None:
    plan = client.query(
        "EXPLAIN PIPELINE SELECT sum(number) FROM numbers_mt(1000000)", settings={"max_threads": 4}
    )
    assert any(re.search(r"NumbersRange \S 4", line) for (line,) in plan.result_rows)


@pytest.mark.parametrize("where", ["url", "statement"])
def test_rows_as_one_json_array_are_one_array_over_many_blocks(
    store: StoreSettings, where: str
) -> None:
    sql = "SELECT number FROM numbers(200000) FORMAT JSONEachRow"
    setting = "output_format_json_array_of_rows=1"
    url = f"{store.url}/?{setting if where == 'url' else ''}"
    body = sql if where == "url" else sql.replace(" FORMAT", f" SETTINGS {setting} FORMAT")
    request = urllib.request.Request(
        url, data=body.encode(),
        headers={"X-ClickHouse-User": store.user, "X-ClickHouse-Key": store.password},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as answer:
        rows = json.loads(answer.read())
    assert [int(row["number"]) for row in rows] == list(range(200_000))


def test_failure_in_mid_stream_is_an_error_and_not_a_short_result(client: Client) -> None:
    sql = "SELECT throwIf(number = 900000) FROM numbers(1000000)"
    with pytest.raises(StreamFailureError, match="throwIf"):
        _ = client.query(sql).result_rows


def curl(settings: StoreSettings, *arguments: str) -> str:
    account = f"{settings.user}:{settings.password}"
    url = f"{settings.url}/?database={settings.database}"
    done = subprocess.run(
        ["curl", "-sS", "-u", account, *arguments, url], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_curl_reads_writes_and_gets_json(store: StoreSettings, client: Client) -> None:
    assert curl(store, "-d", "INSERT INTO t FORMAT CSV\n1,one\n2,two\n") == ""
    assert curl(store, "-d", "INSERT INTO t VALUES (3, 'three')") == ""
    found = json.loads(curl(store, "-d", "SELECT * FROM t ORDER BY a FORMAT JSON"))
    assert [row["s"] for row in found["data"]] == ["one", "two", "three"]
    lines = curl(store, "--compressed", "-d", "SELECT a FROM t ORDER BY a FORMAT JSONEachRow")
    assert [json.loads(line)["a"] for line in lines.splitlines()] == [1, 2, 3]


def test_insert_keeps_the_tables_defaults(store: StoreSettings, client: Client) -> None:
    client.command("CREATE TABLE d (a UInt8, b UInt8 DEFAULT a + 1) ENGINE = MergeTree ORDER BY a")
    post(store, b'INSERT INTO d FORMAT JSONEachRow\n{"a": 1}\n{"a": 5, "b": 9}\n')
    assert client.query("SELECT a, b FROM d ORDER BY a").result_rows == [(1, 2), (5, 9)]


# -- errors in ClickHouse's terms -------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELEC 1", 62),
        ("SELECT nope", 47),
        ("SELECT * FROM nope", 60),
        ("SELECT * FROM nope.t", 81),
        ("SELECT nope(1)", 46),
        ("SELECT 1 FORMAT Nope", 73),
        ("SELECT {x:UInt8}", 456),
        ("", 36),
        (b"SELECT '\xff\xfe", 62),
        ("SELECT 1; SELECT 2; garbage here", 62),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, 306),
    ],
)
def test_bad_sql_gets_clickhouses_error_code(
    store: StoreSettings, sql: str | bytes, code: int
) -> None:
    assert code_of(store, sql) == code
    assert alive(store)


def test_unknown_setting_and_wrong_password_are_named(store: StoreSettings) -> None:
    assert code_of(store, "SELECT 1", "nope=1") == 115
    wrong = StoreSettings(store.url, store.user, "wrong", store.database)
    assert code_of(wrong, "SELECT 1") == 516


def test_statement_is_cancelled_by_its_time_limit(store: StoreSettings) -> None:
    sql = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    assert code_of(store, sql, "max_execution_time=1") == 159
    assert alive(store)


def test_statement_is_cancelled_by_kill_and_by_its_client_leaving(store: StoreSettings) -> None:
    sql = b"SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    running = (
        b"SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%'"
        b" AND query NOT LIKE '%system.processes%'"
    )

    def wait_for(count: bytes) -> None:
        deadline = time.monotonic() + 20
        while post(store, running)[2] != count + b"\n":
            assert time.monotonic() < deadline, f"never {count!r} statements"
            time.sleep(0.05)

    result: list[int] = []
    thread = threading.Thread(
        target=lambda: result.append(code_of(store, sql.decode(), "query_id=slow-1"))
    )
    thread.start()
    wait_for(b"1")
    assert post(store, b"KILL QUERY WHERE query_id = 'slow-1' SYNC")[0] == 200
    thread.join(20)
    assert result == [394]

    parts = urlsplit(store.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as leaving:
        head = f"POST /?user={store.user}&password={store.password} HTTP/1.1\r\nHost: x\r\n"
        leaving.sendall(f"{head}Content-Length: {len(sql)}\r\n\r\n".encode() + sql)
        wait_for(b"1")
    wait_for(b"0")


def test_held_result_over_its_limit_is_refused_with_a_clear_error(store: StoreSettings) -> None:
    sql = b"SELECT repeat(toString(number % 10), 100) FROM numbers(5000000) FORMAT JSON"
    status, headers, body = post(store, sql)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "396")
    assert b"Limit for result exceeded" in body
    assert alive(store)


# -- hostile bodies ---------------------------------------------------------------------------


def test_mutated_and_truncated_bodies_do_not_kill_the_store(
    store: StoreSettings, client: Client
) -> None:
    table = pa.table({"a": pa.array(range(50), pa.uint32()), "s": ["x" * i for i in range(50)]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    arrow = bytes(sink.getvalue())
    native = post(store, b"SELECT toUInt32(number) AS a, 'y' AS s FROM numbers(50) FORMAT Native")[
        2
    ]
    rng = random.Random(20260301)
    for fmt, good in (("ArrowStream", arrow), ("Native", native), ("Parquet", b"PAR1" + native)):
        for _ in range(40):
            body = bytearray(good)
            for _ in range(rng.randint(1, 8)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            cut = bytes(body[: rng.randint(0, len(body))])
            post(store, cut, f"query=INSERT+INTO+t+FORMAT+{fmt}")
    assert alive(store)


def test_body_cut_off_by_its_sender_stores_nothing(store: StoreSettings, client: Client) -> None:
    parts = urlsplit(store.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as half:
        head = (
            f"POST /?user={store.user}&password={store.password}&database={store.database}"
            "&query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        )
        half.sendall(head.encode() + b"1,one\n2,two\n")
    assert alive(store)
    assert client.command("SELECT count() FROM t") == 0


def test_insert_with_one_bad_row_stores_none(store: StoreSettings, client: Client) -> None:
    rows = b"".join(b"%d,x\n" % i for i in range(100_000)) + b"oops,x\n"
    assert code_of(store, b"INSERT INTO t FORMAT CSV\n" + rows) in (27, 117)
    assert client.command("SELECT count() FROM t") == 0


def test_insert_that_runs_out_of_memory_is_not_acknowledged(
    store: StoreSettings, client: Client
) -> None:
    rows = b"".join(b"%d,%0200d\n" % (i, i) for i in range(100_000))
    statuses = set()
    for limit in range(6, 60, 6):  # the commit fails at some of them, parsing at others
        body = b"INSERT INTO t SETTINGS max_memory_usage = %d FORMAT CSV\n" % (limit << 20)
        client.command("TRUNCATE TABLE t")
        status, _, _ = post(store, body + rows)
        stored = client.command("SELECT count() FROM t")
        assert stored == (100_000 if status == 200 else 0)
        statuses.add(status)
    assert statuses == {200, 500}


# -- the reader -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1, 'x')",
        "INSERT INTO t FORMAT CSV\n1,x\n",
        "CREATE TABLE x (a UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a UInt8)",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "ALTER TABLE t DELETE WHERE 1",
        "KILL QUERY WHERE 1",
        "SYSTEM SHUTDOWN",
        "SET readonly = 0",
        "SELECT 1; DROP TABLE t",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "SELECT `fi\\x6ce`('/etc/passwd')",
        "SELECT /* */ \"file\" /* */ ('/etc/passwd')",
        "SELECT * FROM eval('SELECT file(''/etc/passwd'')')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', 'CSV')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM executable('id', 'TSV', 'a String')",
        "SELECT * FROM python('os')",
        "SELECT 1 INTO OUTFILE '{file}'",
        "SELECT 1 into\noutfile '{file}'",
        "EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString')",
    ],
)
def test_reader_can_neither_write_nor_reach_files_and_addresses(
    store_reader: StoreSettings, client: Client, tmp_path: Path, sql: str
) -> None:
    target = tmp_path / "out"
    code = code_of(store_reader, sql.replace("{file}", str(target)))
    assert code in (62, 164, 497)
    assert not target.exists()
    assert client.command("SELECT count() FROM t") == 0


def test_reader_reads_tables_views_and_descriptions(
    store_reader: StoreSettings, client: Client
) -> None:
    client.command("CREATE OR REPLACE VIEW v AS SELECT sum(a) AS n FROM t")
    reader = driver(store_reader)
    assert reader.query("SELECT n FROM v").result_rows == [(0,)]
    assert ("v",) in reader.query("SHOW TABLES").result_rows
    assert len(reader.query("DESCRIBE TABLE t").result_rows) == 2
    assert "sum(a)" in str(reader.command("SHOW CREATE VIEW v"))
    with pytest.raises(ClickHouseError, match="Limit for result exceeded"):
        _ = reader.query("SELECT number FROM numbers(100000000)").result_rows
    reader.close()


def test_reader_cannot_raise_its_limits(store_reader: StoreSettings) -> None:
    sql = b"SELECT getSetting('max_execution_time'), getSetting('readonly')"
    _, _, body = post(store_reader, sql, "max_execution_time=86400&readonly=0")
    assert body == b"60\t1\n"


def test_get_is_for_reading_only(store: StoreSettings, client: Client) -> None:
    parts = urlsplit(store.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    account = f"user={store.user}&password={store.password}&database={store.database}"
    for query, status in (("SELECT+1", 200), ("DROP+TABLE+t", 403)):
        connection.request("GET", f"/?{account}&query={query}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


# -- the process ------------------------------------------------------------------------------


def test_passwords_lie_in_files_of_their_owner_alone(store_server: EmbeddedStore) -> None:
    for path in (store_server.password_file, store_server.reader_password_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_text().strip()) >= 30


def test_second_store_on_a_folder_and_a_taken_port_say_so(
    store_server: EmbeddedStore, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match=f"in use by process {store_server.pid}"):
        EmbeddedStore(store_server.data_dir).start()
    port = urlsplit(store_server.settings().url).port or 0
    with pytest.raises(Misconfigured, match=f"cannot listen on 127.0.0.1:{port}"):
        EmbeddedStore(tmp_path / "other", port).start()
