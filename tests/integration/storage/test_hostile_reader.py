"""Whoever may read can neither stop the writer, nor fill the memory, nor look at files."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

PROMPT_S = 3.0


def ask(
    settings: StoreSettings, body: bytes, encoding: str = "", timeout_s: float = 60.0, url: str = ""
) -> tuple[int, int, str]:
    """(HTTP status, ClickHouse's code or 0, text)."""
    http = urllib3.PoolManager(retries=False, timeout=timeout_s)
    headers = {"X-ClickHouse-User": settings.user, "X-ClickHouse-Key": settings.password}
    if encoding:
        headers["Content-Encoding"] = encoding
    answer = http.request("POST", f"{settings.url}/?{url}", body=body, headers=headers)
    return (
        answer.status,
        int(answer.headers.get("X-ClickHouse-Exception-Code", 0)),
        answer.data.decode("utf-8", "replace"),
    )


def seconds_of(settings: StoreSettings, body: bytes) -> float:
    started = time.monotonic()
    status, _, text = ask(settings, body)
    assert status == 200, text
    return time.monotonic() - started


@pytest.fixture
def reader(store_server: EmbeddedStore) -> StoreSettings:
    return store_server.reader_settings("system")


@pytest.fixture
def writer(store_server: EmbeddedStore) -> StoreSettings:
    return store_server.settings("system")


def test_a_readers_statement_is_bounded_packed_or_not(reader: StoreSettings) -> None:
    long = b"SELECT 1 /*" + b" " * 300_000 + b"*/"
    for body, encoding in ((long, ""), (gzip.compress(long), "gzip")):
        status, _, text = ask(reader, body, encoding)
        assert status != 200
        assert "over 262144 bytes" in text
    assert ask(reader, b"SELECT 1 /*" + b" " * 200_000 + b"*/")[0] == 200


def test_a_readers_insert_is_refused_at_its_first_word(reader: StoreSettings) -> None:
    started = time.monotonic()
    status, code, text = ask(reader, b"/* a */ INSERT INTO x " + b"a " * 120_000)
    assert (status, code) != (200, 0)
    assert "readonly" in text
    assert time.monotonic() - started < PROMPT_S


def test_a_statement_without_end_keeps_nobody_else_waiting(writer: StoreSettings) -> None:
    endless = threading.Thread(target=ask, args=(writer, b"INSERT INTO x " + b"a " * 5_000_000))
    endless.start()
    slowest = 0.0
    while endless.is_alive():
        slowest = max(slowest, seconds_of(writer, b"SELECT 1"))
    endless.join()
    assert slowest < PROMPT_S


def test_a_kill_full_of_blanks_does_not_stop_the_server(
    reader: StoreSettings, writer: StoreSettings
) -> None:
    blanks = b"KILL QUERY WHERE query_id = 'a'" + b" " * 2_000 + b"x"
    for account in (reader, writer):
        started = time.monotonic()
        assert ask(account, blanks)[1] == 62
        assert time.monotonic() - started < PROMPT_S


def test_quotes_that_never_close_are_answered_soon(reader: StoreSettings) -> None:
    started = time.monotonic()
    assert ask(reader, b"SELECT 1 " + b"'\\" * 50_000)[1] == 62
    assert time.monotonic() - started < PROMPT_S


def test_an_address_of_thousands_of_fields_is_refused(writer: StoreSettings) -> None:
    status, code, text = ask(writer, b"SELECT 1", url="a=b&" * 2_000)
    assert (status, code) == (400, 36)
    assert "fields" in text


def test_an_insert_whose_data_begin_too_late_is_refused(writer: StoreSettings) -> None:
    for before, after in ((b" " * 70_000, b""), (b"", b" " * 70_000)):
        head = b"INSERT INTO nope /*" + before + b"*/ " + after + b"FORMAT CSV"
        status, code, text = ask(writer, head + b"\n1\n")
        assert (status, code) == (400, 62)
        assert "an INSERT is over 65536 bytes before its data" in text


def test_when_all_threads_are_busy_more_is_refused_and_a_kill_gets_through(
    reader: StoreSettings, writer: StoreSettings
) -> None:
    busy = b"SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    many = 8 + 64  # statements at once, and waiting: config.py
    with ThreadPoolExecutor(many + 10) as crowd:
        killed = [
            crowd.submit(ask, writer, busy, url=f"query_id=busy{i}&max_threads=1") for i in range(8)
        ]
        running = b"SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%sip%'"
        deadline = time.monotonic() + 20
        while int(ask(reader, running)[2]) < 8 + 1:  # and this one
            assert time.monotonic() < deadline
        more = [crowd.submit(ask, writer, b"SELECT 1") for _ in range(64 + 10)]
        started = time.monotonic()
        while sum(answer.done() for answer in more) < 10:
            assert time.monotonic() - started < 10 * PROMPT_S
            time.sleep(0.01)
        started = time.monotonic()
        kills = [ask(writer, b"KILL QUERY WHERE query_id = 'busy%d'" % i)[0] for i in range(8)]
        assert time.monotonic() - started < PROMPT_S
        assert kills == [200] * 8
        assert [answer.result()[1] for answer in killed] == [394] * 8
        codes = [answer.result()[1] for answer in more]
    assert (codes.count(0), codes.count(202)) == (64, 10)


def test_bodies_in_flight_are_bounded_and_given_back(reader: StoreSettings) -> None:
    address = urlsplit(reader.url)
    size = 250_000
    head = (
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n"
        f"X-ClickHouse-User: {reader.user}\r\nX-ClickHouse-Key: {reader.password}\r\n\r\n"
    ).encode()
    with ExitStack() as open_until:
        for _ in range(33):  # 33 * 250,000 is just below 8 MiB; all but the last byte is sent
            half = socket.create_connection((address.hostname or "", address.port or 0), 10)
            open_until.enter_context(half).sendall(head + b" " * (size - 1))
        deadline = time.monotonic() + 20
        while (found := ask(reader, b"SELECT 1 /*" + b" " * size + b"*/"))[0] == 200:
            assert time.monotonic() < deadline
        assert (found[0], found[1]) == (503, 202)
        assert "bodies of other requests" in found[2]
    deadline = time.monotonic() + 20
    while ask(reader, b"SELECT 1 /*" + b" " * size + b"*/")[0] != 200:
        assert time.monotonic() < deadline


def test_readers_that_sleep_do_not_stand_before_the_writer(
    reader: StoreSettings, writer: StoreSettings
) -> None:
    sleep = b"SELECT sleepEachRow(1) FROM numbers(3)"
    with ThreadPoolExecutor(40) as crowd:
        answers = [crowd.submit(ask, reader, sleep) for _ in range(40)]
        time.sleep(0.5)
        assert max(seconds_of(writer, b"SELECT 1") for _ in range(5)) < PROMPT_S
        refused = [a.result() for a in answers if a.result()[0] != 200]
    assert refused, "forty statements waited, more than a reader's queue holds"
    assert {code for _, code, _ in refused} == {202}


@pytest.mark.parametrize(
    "statement",
    [
        "EXISTS TABLE default.`/etc/passwd`",
        "EXISTS TABLE `/etc/passwd`",
        "SELECT hasColumnInTable('default', '/etc/passwd', 'c1')",
    ],
)
def test_no_file_is_a_table(reader: StoreSettings, writer: StoreSettings, statement: str) -> None:
    for account in (reader, writer):
        status, _, text = ask(account, statement.encode())
        assert status != 200 or text.strip() == "0"
        status, _, text = ask(account, b"SELECT * FROM default.`/etc/passwd`")
        assert status != 200
        assert "root:" not in text
        assert "files_of_this_machine" not in ask(account, b"SHOW DATABASES")[2]


@pytest.mark.parametrize("made_by_the_engine", [False, True])
def test_tables_of_the_default_database_are_there_after_a_restart(
    tmp_path: Path, made_by_the_engine: bool
) -> None:
    store = EmbeddedStore(tmp_path / "data", fsync=False)
    settings = store.start()
    try:
        for sql in (
            b"CREATE TABLE default.mine (a UInt8) ENGINE = MergeTree ORDER BY a",
            b"INSERT INTO default.mine VALUES (7)",
        ):
            assert ask(settings, sql)[0] == 200
        store.stop()
        if made_by_the_engine:  # what its folder looked like when it made `default` by itself
            (store.data_dir / "engine" / "metadata" / "default.sql").unlink()
        store.start()
        assert ask(settings, b"SELECT a FROM default.mine")[2] == "7\n"
        assert ask(settings, b"EXISTS TABLE default.`/etc/passwd`")[2] == "0\n"
    finally:
        store.stop()
