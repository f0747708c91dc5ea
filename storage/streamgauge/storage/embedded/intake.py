"""What comes in: bodies read whole, within a size and a time, and lanes of threads by account.

A body counts after it is unpacked, so a small one that grows is no way around its limit. All bodies
of an account that are in memory have a limit, too.
Not here: what a request means (wire.py, server.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

from aiohttp import BodyPartReader, StreamReader, web

from streamgauge.storage.embedded import wire
from streamgauge.storage.embedded.errors import (
    BODY_TOO_LARGE,
    NOT_IMPLEMENTED,
    SOCKET_TIMEOUT,
    TOO_MANY_QUERIES,
    EngineError,
)

PIECE = 1 << 20


class Room:
    """What one request holds of its account's bytes. Used from the event loop alone."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.held = 0

    def take(self, size: int) -> None:
        """Hold so many bytes more; TOO_MANY_QUERIES if the account's are used up."""
        if size > self._lane.free_bytes:
            raise EngineError.of(
                TOO_MANY_QUERIES, "bodies of other requests fill the memory; try again later"
            )
        self._lane.free_bytes -= size
        self.held += size


class Lane:
    """Threads and bytes of one account, and who waits: a reader never stands before the writer.

    pool: statements that have a slot. beside: short work that needs none and must not wait for
    those: unpack, look for the data of an INSERT, kill, close.
    """

    def __init__(self, name: str, *, threads: int, queue: int, free_bytes: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.beside = ThreadPoolExecutor(2, thread_name_prefix=f"{name}-beside")
        self.free_bytes = free_bytes
        self._slots = asyncio.Semaphore(threads)
        self._queue = queue
        self._waiting = 0

    def shutdown(self) -> None:
        """Wait for the threads to end."""
        self.pool.shutdown(wait=True)
        self.beside.shutdown(wait=True)

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Bytes of one request, given back when it ends."""
        room = Room(self)
        try:
            yield room
        finally:
            self.free_bytes += room.held

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A thread to oneself; TOO_MANY_QUERIES if too many wait for one."""
        if self._slots.locked() and self._waiting >= self._queue:
            raise EngineError.of(
                TOO_MANY_QUERIES, f"{self._waiting} statements are waiting; try again later"
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()


async def read_body(
    request: web.Request, lane: Lane, room: Room, *, limit: int, timeout_s: float
) -> tuple[bytes, list[tuple[str, str]]]:
    """(body as it was before its Content-Encoding, form fields), of at most `limit` bytes."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(timeout_s):
            if request.content_type == "multipart/form-data":
                return b"", await _form(request, room, limit)
            body = await _read(request.content, room, limit)
    except TimeoutError:
        raise EngineError.of(SOCKET_TIMEOUT, f"no whole body within {timeout_s} s") from None
    encoding = request.headers.get("Content-Encoding", "")
    if not encoding or not body:
        return body, []
    loop = asyncio.get_running_loop()
    unpacked = await loop.run_in_executor(lane.beside, wire.unpack, body, encoding, limit)
    room.take(len(unpacked))
    return unpacked, []


async def _read(content: StreamReader, room: Room, limit: int) -> bytes:
    pieces = []
    async for piece in content.iter_chunked(PIECE):
        _take(room, len(piece), limit)
        pieces.append(piece)
    return b"".join(pieces)


async def _form(request: web.Request, room: Room, limit: int) -> list[tuple[str, str]]:
    """Parameters sent as form fields. Files (external tables) are not supported."""
    fields: list[tuple[str, str]] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.filename or part.name is None:
            raise EngineError.of(NOT_IMPLEMENTED, "external tables: only form fields")
        pieces = []
        while piece := await part.read_chunk(PIECE):
            _take(room, len(piece), limit)
            pieces.append(piece)
        fields.append((part.name, b"".join(pieces).decode("utf-8", "surrogateescape")))
    return fields


def _take(room: Room, size: int, limit: int) -> None:
    if room.held + size > limit:
        raise _too_large(limit)
    room.take(size)


def _too_large(limit: int) -> EngineError:
    return EngineError.of(BODY_TOO_LARGE, f"request body is over {limit} bytes")
