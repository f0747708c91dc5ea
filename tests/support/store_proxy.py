"""A TCP proxy between workers and the store that spoils guarded inserts on command.

    with StoreProxy(store) as proxy:          # proxy.settings: the same store through it
        proxy.spoil(Fault.ANSWER_LOST)        # what becomes of the next insert
        until(lambda: proxy.spoiled(Fault.ANSWER_LOST) == 1, "...")

It reads each request whole and knows an insert by its expectation header; all else passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from streamgauge.storage.handshake import EXPECT_HEADER
from streamgauge.storage.settings import StoreSettings

_END = b"\r\n\r\n"
_PIECE = 1 << 16


class Fault(StrEnum):
    """What becomes of one insert. In each case the worker's connection is cut without an answer."""

    ANSWER_LOST = "answer_lost"
    """The store takes it and answers; then the connection is cut."""
    CUT_AT_ONCE = "cut_at_once"
    """The connection is cut as soon as the store has the request: it works on it meanwhile."""
    LATE = "late"
    """The connection is cut first; the store gets the whole request `late_s` later."""
    HALF = "half"
    """The store gets half of the request, then its connection is cut, too."""


class StoreProxy:
    """One proxy on a port of its own, in a thread of its own.

    store: where new connections go. delay_s: before every request; insert_delay_s: before every
    insert, beside that. late_s: how late Fault.LATE delivers, None: when `deliver` says so. late:
    requests that were or are so. last_status: of the store's answer to the last spoiled insert.
    """

    def __init__(self, store: StoreSettings) -> None:
        self.store = store
        self._faults: deque[Fault] = deque()
        self._spoiled: Counter[Fault] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.delay_s = 0.0
        self.insert_delay_s = 0.0
        self.late_s: float | None = 1.5
        self._deliver = asyncio.Event()
        self.late = 0
        self.last_status = 0
        self.port = 0

    @property
    def settings(self) -> StoreSettings:
        """The store behind the proxy, through it."""
        return replace(self.store, url=f"http://127.0.0.1:{self.port}")

    def spoil(self, *faults: Fault) -> None:
        """Spoil the next inserts, in this order."""
        self._loop.call_soon_threadsafe(self._faults.extend, faults)

    def deliver(self) -> None:
        """Let late requests come."""
        self._loop.call_soon_threadsafe(self._deliver.set)

    def spoiled(self, fault: Fault) -> int:
        """Inserts to which this has happened."""
        return self._spoiled[fault]

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        """Cut everything."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            _cut(writer)
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = urlsplit(self.store.url).port
        store_in, store_out = await asyncio.open_connection("127.0.0.1", port)
        answers = asyncio.create_task(_copy(store_in, writer))
        try:
            while True:
                request = await _read_request(reader)
                insert = f"\r\n{EXPECT_HEADER}:".encode() in request
                await asyncio.sleep(self.delay_s + insert * self.insert_delay_s)
                if self._faults and insert:
                    answers.cancel()
                    await asyncio.gather(answers, return_exceptions=True)
                    await self._spoil(self._faults.popleft(), request, writer, store_in, store_out)
                    return
                store_out.write(request)
                await store_out.drain()
        finally:
            answers.cancel()
            _cut(store_out)

    async def _spoil(
        self,
        fault: Fault,
        request: bytes,
        writer: asyncio.StreamWriter,
        store_in: asyncio.StreamReader,
        store_out: asyncio.StreamWriter,
    ) -> None:
        if fault is Fault.LATE:
            _cut(writer)
            self.late += 1
            if self.late_s is None:
                await self._deliver.wait()
            else:
                await asyncio.sleep(self.late_s)
        store_out.write(request[: len(request) // 2] if fault is Fault.HALF else request)
        await store_out.drain()
        if fault is Fault.CUT_AT_ONCE:
            _cut(writer)
        if fault is not Fault.HALF:
            answer = await store_in.readuntil(_END)
            self.last_status = int(answer.split()[1])
        self._spoiled[fault] += 1


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
    _cut(sink)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one HTTP request."""
    head = await reader.readuntil(_END)
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        pieces = [head]
        while True:
            size = await reader.readuntil(b"\r\n")
            pieces += [size, await reader.readexactly(int(size, 16) + 2)]
            if int(size, 16) == 0:
                return b"".join(pieces)
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _cut(writer: asyncio.StreamWriter) -> None:
    """Close at once; what was not sent is lost."""
    transport: Any = writer.transport
    abort: Callable[[], None] = transport.abort
    abort()
