"""ClickHouse's HTTP interface over the engine (aiohttp).

One event loop takes requests, reads each body whole within a time-out and a size, and hands the
statement to a thread. Inserts into one table run one after the other under that table's lock; a
guarded insert is checked and stored inside it, so compare-and-set is exact. Reads stream.
Not here: what may run (policy.py), the engine (engine.py), process and signals (__main__.py).
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp import BasicAuth, web

from streamgauge.storage.embedded import guard, statements, wire
from streamgauge.storage.embedded.config import ServerConfig
from streamgauge.storage.embedded.engine import Answer, Engine, Handle
from streamgauge.storage.embedded.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    BODY_TOO_LARGE,
    READONLY,
    SYNTAX_ERROR,
    EngineError,
)
from streamgauge.storage.embedded.intake import Lane, read_body
from streamgauge.storage.embedded.policy import Account, Accounts
from streamgauge.storage.embedded.sessions import Sessions
from streamgauge.storage.handshake import EXPECT_HEADER, STORE_HEADER, STORE_NAME
from streamgauge.storage.sqltext import HEAD_BYTES, HeadTooLong, Insert, parse_insert

_KILL = re.compile(  # no part of it is tried twice: it is matched on the event loop
    rb"\s*+KILL\s++QUERY\s++WHERE\s++query_id\s*+=\s*+'([^'\\]*+)'\s*+(A?SYNC)?+\s*+;?+\s*+", re.I
)
_FIELDS = 1000
_BREAK_BYTES = 64  # of the line break between FORMAT and the data
_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "json": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "native": "application/octet-stream",
}
T = TypeVar("T")


class Server:
    """The HTTP application of one engine."""

    def __init__(self, config: ServerConfig, engine: Engine, accounts: Accounts) -> None:
        self._config = config
        self._engine = engine
        self._accounts = accounts
        self._lanes = {
            False: Lane(
                "writer",
                threads=config.threads,
                queue=config.queue,
                free_bytes=max(config.bodies_limit, 2 * config.body_limit),  # packed and unpacked
            ),
            True: Lane(
                "reader",
                threads=config.reader_threads,
                queue=config.reader_queue,
                free_bytes=config.reader_bodies_limit,
            ),
        }
        self._tables: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running: dict[str, str] = {}  # query id -> tag
        self._sessions = Sessions(config.sessions)

    def application(self) -> web.Application:
        """Routes and limits."""
        app = web.Application(client_max_size=self._config.body_limit)
        app.router.add_route("GET", "/ping", self._ping)
        app.router.add_route("GET", "/replicas_status", self._ping)
        app.router.add_route("*", "/", self._entry)
        app.cleanup_ctx.append(self._background)
        return app

    async def _background(self, _: web.Application) -> AsyncIterator[None]:
        expiry = asyncio.create_task(self._sessions.run_expiry(Handle.close))
        yield
        expiry.cancel()
        for tag in list(self._running.values()):
            self._engine.kill(tag)
        while self._running:  # cancelled requests, which end when the engine has
            await asyncio.sleep(0.02)
        for lane in self._lanes.values():
            lane.shutdown()
        for handle in self._sessions.expire(float("inf")):
            handle.close()

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n", headers={STORE_HEADER: STORE_NAME})

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        query_id = str(uuid.uuid4())
        try:
            return await self._answer(request, query_id)
        except EngineError as error:
            return self._failure(error, query_id)
        except web.HTTPRequestEntityTooLarge:
            limit = self._config.body_limit
            return self._failure(
                EngineError.of(BODY_TOO_LARGE, f"request body is over {limit} bytes"), query_id
            )
        except (UnicodeError, MemoryError, ValueError) as error:
            return self._failure(EngineError.of(BAD_ARGUMENTS, repr(error)), query_id)

    def _failure(self, error: EngineError, query_id: str) -> web.Response:
        text = f"{error.text} (version {self._engine.version})\n"
        return web.Response(
            status=error.http_status,
            body=text.encode("utf-8", "replace"),
            headers={
                **self._headers(query_id, "TabSeparated"),
                "X-ClickHouse-Exception-Code": str(error.code),
                "Content-Type": "text/plain; charset=UTF-8",
            },
        )

    def _headers(self, query_id: str, fmt: str) -> dict[str, str]:
        return {
            STORE_HEADER: STORE_NAME,
            "X-ClickHouse-Query-Id": _printable(query_id),
            "X-ClickHouse-Server-Display-Name": "streamgauge-embedded",
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Format": fmt,
            "Content-Type": _TYPES.get(fmt.lower(), "text/plain; charset=UTF-8"),
        }

    # -- one request --------------------------------------------------------------------------

    async def _answer(self, request: web.Request, new_id: str) -> web.StreamResponse:
        _, _, raw_query = request.raw_path.partition("?")
        pairs = parse_qsl(
            raw_query, keep_blank_values=True, errors="surrogateescape", max_num_fields=_FIELDS
        )
        account = self._authenticate(request, dict(pairs))
        lane = self._lanes[account.readonly]
        limit = self._config.reader_body_limit if account.readonly else self._config.body_limit
        with lane.room() as room:
            body, form = await read_body(
                request, lane, room, limit=limit, timeout_s=self._config.body_timeout_s
            )
            ask = wire.understand([*pairs, *form], request.headers, new_id)
            return await self._run(request, account, ask, body)

    async def _run(
        self, request: web.Request, account: Account, ask: wire.Ask, body: bytes
    ) -> web.StreamResponse:
        before = ask.query + b"\n" if ask.query and body else ask.query
        if not before.strip() and (not body or body.isspace()):
            if request.method in ("GET", "HEAD"):
                return web.Response(text="Ok.\n", headers={STORE_HEADER: STORE_NAME})
            raise EngineError.of(BAD_ARGUMENTS, "empty query")
        work = statements.Work(account, ask, b"", f"{uuid.uuid4()}", request.method != "POST")
        if (expect := request.headers.get(EXPECT_HEADER)) is not None:
            work.expected = guard.parse_expectation(expect)
        if not account.readonly:
            work.insert = await self._parsed(before + body[: HEAD_BYTES + _BREAK_BYTES])
        if work.insert is not None:
            at = work.insert.data_at - len(before)
            work.data = body[at:] if at >= 0 else before[at:] + body  # body[0:] is no copy
            return await self._insert(request, work)
        limit = self._config.reader_body_limit if account.readonly else self._config.statement_limit
        if len(before) + len(body) > limit:
            raise EngineError.of(BODY_TOO_LARGE, f"a statement is over {limit} bytes")
        work.text = before + body
        if account.readonly and statements.begins_with_insert(work.text):
            raise EngineError.of(READONLY, "Cannot execute query in readonly mode: INSERT")
        if work.expected is not None:
            raise EngineError.of(BAD_ARGUMENTS, f"{EXPECT_HEADER} goes with INSERT .. FORMAT")
        if not account.readonly and (kill := _KILL.fullmatch(work.text)):
            found = self._running.get(kill.group(1).decode("utf-8", "replace"))
            if found is not None:
                await self._beside(work, lambda: self._engine.kill(found))
            return web.Response(headers=self._headers(ask.query_id, "TabSeparated"))
        return await self._select(request, work)

    async def _parsed(self, head: bytes) -> Insert | None:
        """Shape of a writer's INSERT .. FORMAT, found beside the event loop."""
        try:
            return await self._in(self._lanes[False].beside, lambda: parse_insert(head))
        except HeadTooLong as error:
            raise EngineError.of(SYNTAX_ERROR, f"Max query size exceeded: {error}") from None

    def _authenticate(self, request: web.Request, pairs: dict[str, str]) -> Account:
        name = request.headers.get("X-ClickHouse-User") or pairs.get("user") or ""
        password = request.headers.get("X-ClickHouse-Key") or pairs.get("password") or ""
        basic = request.headers.get("Authorization", "")
        if basic:
            try:
                decoded = BasicAuth.decode(basic, "utf-8")
            except ValueError:
                raise EngineError.of(AUTHENTICATION_FAILED, "only Basic is spoken here") from None
            name, password = decoded.login, decoded.password
        return self._accounts.check(name or "default", password)

    async def _insert(self, request: web.Request, work: statements.Work) -> web.StreamResponse:
        assert work.insert is not None
        key = (work.insert.database or work.ask.database or "default", work.insert.table)
        async with self._tables[key], self._slot(work), self._handle(work) as handle:
            answer = await self._in(
                self._lanes[work.account.readonly].pool,
                lambda: statements.run_insert(self._engine, self._config, work, handle),
            )
        return self._whole(request, work, answer, "TabSeparated")

    async def _select(self, request: web.Request, work: statements.Work) -> web.StreamResponse:
        pool = self._lanes[work.account.readonly].pool
        async with self._slot(work), self._handle(work) as handle:
            fmt = await self._in(pool, lambda: statements.output_format(work.text, work.ask.format))
            started = await self._watched(
                request,
                work,
                lambda: statements.start(self._engine, self._config, work, handle, fmt),
            )
            if isinstance(started, Answer):
                return self._whole(request, work, started, fmt)
            return await self._stream(request, work, fmt, *started)

    def _whole(
        self, request: web.Request, work: statements.Work, answer: Answer, fmt: str
    ) -> web.Response:
        summary = {
            "read_rows": str(answer.read_rows),
            "written_rows": str(answer.written_rows),
            "result_bytes": str(len(answer.body)),
            "elapsed_ns": str(round(answer.elapsed_s * 1e9)),
        }
        headers = {
            **self._headers(work.ask.query_id, fmt),
            "X-ClickHouse-Summary": json.dumps(summary),
        }
        body = answer.body
        if body and (found := _packer(request)):
            headers["Content-Encoding"], packer = found
            body = packer.compress(body) + packer.flush()
        return web.Response(body=body, headers=headers)

    async def _stream(
        self,
        request: web.Request,
        work: statements.Work,
        fmt: str,
        block: bytes | None,
        blocks: Iterator[bytes],
    ) -> web.StreamResponse:
        tag = uuid.uuid4().hex[:16]
        headers = {**self._headers(work.ask.query_id, fmt), "X-ClickHouse-Exception-Tag": tag}
        found = _packer(request) if block else None
        if found:
            headers["Content-Encoding"] = found[0]
        response = web.StreamResponse(headers=headers)
        try:
            await response.prepare(request)
            while block is not None:
                await self._write(response, found[1].compress(block) if found else block)
                block = await self._watched(request, work, lambda: next(blocks, None))
        except EngineError as error:
            tail = wire.mid_stream_error(tag, error.text)
            await self._write(response, found[1].compress(tail) if found else tail)
        finally:
            await self._beside(work, lambda: blocks.close())  # type: ignore[attr-defined]  # a generator
        if found:
            await self._write(response, found[1].flush())
        await response.write_eof()
        return response

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(self._config.writer_time_s):
            await response.write(data)

    # -- running ------------------------------------------------------------------------------

    @asynccontextmanager
    async def _slot(self, work: statements.Work) -> AsyncIterator[None]:
        async with self._lanes[work.account.readonly].slot():
            self._running[work.ask.query_id] = work.tag
            try:
                yield
            finally:
                self._running.pop(work.ask.query_id, None)

    @asynccontextmanager
    async def _handle(self, work: statements.Work) -> AsyncIterator[Handle]:
        name = None if work.account.readonly else work.ask.session_id
        if name is None:
            handle = await self._open(work)
            try:
                yield handle
            finally:
                await self._beside(work, handle.close)
            return
        kept = self._sessions.take(name, must_exist=work.ask.session_check)
        try:
            session = await self._open(work) if kept is None else kept
        except BaseException:  # cancelled, too: a session that stays busy is locked for good
            self._sessions.give(name, None, 0.0)
            raise
        try:
            yield session
        finally:
            await self._beside(work, lambda: session.reset(work.ask.settings))
            now = asyncio.get_running_loop().time()
            self._sessions.give(name, session, now + work.ask.session_timeout_s)

    async def _open(self, work: statements.Work) -> Handle:
        opened: list[Handle] = []
        pool = self._lanes[work.account.readonly].pool
        try:
            await self._in(pool, lambda: opened.append(self._engine.handle()))
        except asyncio.CancelledError:
            for handle in opened:
                await self._beside(work, handle.close)
            raise
        return opened[0]

    async def _watched(
        self, request: web.Request, work: statements.Work, call: Callable[[], T]
    ) -> T:
        """Run in a thread; if the client goes away meanwhile, kill the statement."""

        def stop(cancelled: bool) -> None:
            if cancelled or request.transport is None or request.transport.is_closing():
                self._lanes[work.account.readonly].beside.submit(self._engine.kill, work.tag)

        return await self._in(self._lanes[work.account.readonly].pool, call, stop=stop)

    async def _beside(self, work: statements.Work, call: Callable[[], T]) -> T:
        return await self._in(self._lanes[work.account.readonly].beside, call)

    async def _in(
        self,
        pool: ThreadPoolExecutor,
        call: Callable[[], T],
        *,
        stop: Callable[[bool], None] | None = None,
    ) -> T:
        """Run in a thread, to the end also when the request is cancelled meanwhile.

        Else a cancelled request would close the handle under an insert that still runs, on which
        both hang for ever (chDB 4.4), and would then give back the table's lock too early.
        stop: called four times a second, and told whether the request was cancelled.
        """
        future = asyncio.get_running_loop().run_in_executor(pool, call)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait({future}, timeout=None if stop is None else 0.25)
            except asyncio.CancelledError as error:
                cancelled = error
            if stop is not None and not future.done():
                stop(cancelled is not None)
        if cancelled is not None:
            future.exception()  # taken, so that asyncio does not complain: nobody is left to tell
            raise cancelled
        return future.result()


def _packer(request: web.Request) -> tuple[str, wire.Packer] | None:
    wanted = "enable_http_compression=1" in request.raw_path
    return wire.packer(request.headers.get("Accept-Encoding", ""), wanted)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() and c.isascii() else "?" for c in text[:256])
