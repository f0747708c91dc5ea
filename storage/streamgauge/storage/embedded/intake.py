"""What comes in: bodies read whole, within a size and a time, and lanes of threads by account.

A body counts after it is unpacked, so a small one that grows is no way around its limit.
Not here: what a request means (wire.py, server.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

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


class Lane:
    """Threads of one account, and who waits for them: a reader never stands before the writer."""

    def __init__(self, name: str, threads: int, queue: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._slots = asyncio.Semaphore(threads)
        self._queue = queue
        self._waiting = 0

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
    request: web.Request, lane: Lane, *, limit: int, timeout_s: float
) -> tuple[bytes, list[tuple[str, str]]]:
    """(body as it was before its Content-Encoding, form fields), of at most `limit` bytes."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(timeout_s):
            if request.content_type == "multipart/form-data":
                return b"", await _form(request, limit)
            body = await _read(request.content, limit)
    except TimeoutError:
        raise EngineError.of(SOCKET_TIMEOUT, f"no whole body within {timeout_s} s") from None
    encoding = request.headers.get("Content-Encoding", "")
    if not encoding or not body:
        return body, []
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(lane.pool, wire.unpack, body, encoding, limit), []


async def _read(content: StreamReader, limit: int) -> bytes:
    pieces, size = [], 0
    async for piece in content.iter_chunked(PIECE):
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


async def _form(request: web.Request, limit: int) -> list[tuple[str, str]]:
    """Parameters sent as form fields. Files (external tables) are not supported."""
    fields: list[tuple[str, str]] = []
    size = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.filename or part.name is None:
            raise EngineError.of(NOT_IMPLEMENTED, "external tables: only form fields")
        raw = b""
        while piece := await part.read_chunk(PIECE):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            raw += piece
        fields.append((part.name, raw.decode("utf-8", "surrogateescape")))
    return fields


def _too_large(limit: int) -> EngineError:
    return EngineError.of(BODY_TOO_LARGE, f"request body is over {limit} bytes")
