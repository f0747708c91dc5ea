"""A request that is cancelled while the engine inserts keeps the table's lock until it has ended.

aiohttp cancels handlers when the server shuts down slower than its time-out, and, if it is told to,
when a client is gone. Here it is told to, so that the moment can be chosen.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from streamgauge.storage.embedded.config import ServerConfig
from streamgauge.storage.embedded.engine import Engine
from streamgauge.storage.embedded.policy import READER, WRITER, Accounts
from streamgauge.storage.embedded.server import Server
from streamgauge.storage.handshake import EXPECT_HEADER

pytestmark = pytest.mark.clickhouse
DEADLINE_S = 30
SLOW = (
    "CREATE TABLE slow (kind UInt8, next Map(String, UInt64),"
    " late UInt8 MATERIALIZED sleepEachRow(1)) ENGINE = MergeTree ORDER BY kind"
)
"""Storing a row takes a second, in the temporary table of the insert and in this one."""
INSERT = "INSERT INTO slow (kind, next) FORMAT JSONEachRow"
BLOCK = b'{"kind": 0, "next": {}}\n{"kind": 1, "next": {"t/0": 7}}\n'
AUTH = "Basic " + base64.b64encode(f"{WRITER}:secret".encode()).decode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine of this process."""
    engine = Engine(ServerConfig(tmp_path_factory.mktemp("engine") / "data", fsync=False))
    with engine.handle() as handle:
        handle.run(SLOW.encode())
    yield engine
    engine.close()


@pytest.fixture
def config(engine: Engine, tmp_path: Path) -> ServerConfig:
    with engine.handle() as handle:
        handle.run(b"TRUNCATE TABLE slow")
    return ServerConfig(tmp_path / "unused")


class Client:
    """One connection that sends one statement (HTTP/1.0: no chunks, closed after the answer)."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(self, query: str, body: bytes = b"", expected: int | None = None) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        expect = "" if expected is None else f"{EXPECT_HEADER}: {json.dumps({'t/0': expected})}\r\n"
        head = (
            f"POST /?query={quote(query)} HTTP/1.0\r\nHost: x\r\n"
            f"Authorization: {AUTH}\r\n{expect}Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()

    async def answer(self) -> tuple[int, str]:
        text = (await self._reader.read()).decode()
        self.go()
        return int(text.split()[1]), text.rpartition("\r\n\r\n")[2].strip()

    def go(self) -> None:
        """Close the connection, whatever is under way."""
        self._writer.close()


async def ask(port: int, query: str) -> str:
    client = Client(port)
    await client.send(query)
    status, text = await client.answer()
    assert status == 200, text
    return text


async def begun(port: int) -> None:
    """Return when an insert is parsed or moved by the engine."""
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%_streamgauge_stage%'"
        " AND query NOT LIKE '%system.processes%'"
    )
    while await ask(port, running) == "0":
        pass


async def serve(config: ServerConfig, engine: Engine) -> tuple[web.AppRunner, int]:
    server = Server(config, engine, Accounts(config, {WRITER: "secret", READER: "other"}))
    runner = web.AppRunner(
        server.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.2
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


def test_second_insert_with_the_same_expectation_waits_for_a_cancelled_one_and_is_refused(
    config: ServerConfig, engine: Engine
) -> None:
    async def run() -> tuple[tuple[int, str], str]:
        runner, port = await serve(config, engine)
        first, second = Client(port), Client(port)
        await first.send(INSERT, BLOCK, expected=0)
        await begun(port)
        first.go()
        await second.send(INSERT, BLOCK, expected=0)
        answer = await second.answer()
        stored = await ask(port, "SELECT countIf(kind = 0), countIf(kind = 1) FROM slow")
        await runner.cleanup()
        return answer, stored

    (status, text), stored = asyncio.run(asyncio.wait_for(run(), DEADLINE_S))
    assert stored == "1\t1"
    assert status == 409, text
    assert "stored 7, expected 0" in text


def test_shutdown_waits_for_a_cancelled_insert_and_leaves_it_whole_or_not_at_all(
    config: ServerConfig, engine: Engine
) -> None:
    async def run() -> None:
        runner, port = await serve(config, engine)
        client = Client(port)
        await client.send(INSERT, BLOCK, expected=0)
        await begun(port)
        await runner.cleanup()
        client.go()

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))
    with engine.handle() as handle:  # at once: nothing of it may be under way
        before = handle.run(b"SELECT count() FROM slow").body
        left = handle.run(
            b"SELECT count() FROM system.processes WHERE query LIKE '%_streamgauge_stage%'"
            b" AND query NOT LIKE '%system.processes%'"
        ).body
    assert (before, left) in ((b"0\n", b"0\n"), (b"2\n", b"0\n"))
