"""HTTP details of ClickHouse's interface: what a request's parameters mean, and compression.

In: query string, headers, body bytes. Out: an Ask; decompressed bodies within a limit; compressed
answers. Not here: running anything.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types

from streamgauge.storage.embedded.errors import (
    BAD_ARGUMENTS,
    BODY_TOO_LARGE,
    CANNOT_DECOMPRESS,
    NOT_IMPLEMENTED,
    EngineError,
)

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

# Parameters that are not settings of the engine.
_OURS = frozenset(
    {
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "enable_http_compression",
        "wait_end_of_query",
        "buffer_size",
        "quota_key",
        "role",
        "stacktrace",
        "add_http_cors_header",
        "send_progress_in_http_headers",
        "client_protocol_version",
        "http_headers_progress_interval_ms",
        "log_comment",
        "readonly",
    }
)
# Blocks of these formats can be sent one after the other.
STREAMABLE = frozenset(
    {
        "native",
        "tabseparated",
        "tsv",
        "tabseparatedraw",
        "tsvraw",
        "csv",
        "rowbinary",
        "jsoneachrow",
        "ndjson",
        "jsonlines",
        "jsoncompacteachrow",
        "values",
        "lineasstring",
    }
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, understood."""

    query: bytes
    database: str | None
    format: str
    query_id: str
    session_id: str | None
    session_timeout_s: float
    session_check: bool
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


def understand(pairs: Iterable[tuple[str, str]], headers: Any, new_id: str) -> Ask:
    """Meaning of the query string and headers. Bytes that are no UTF-8 arrive as surrogates."""
    given = dict(pairs)
    if given.get("compress") == "1" or given.get("decompress") == "1":
        raise EngineError.of(
            NOT_IMPLEMENTED,
            "compress=1 and decompress=1 (native framing): use Content-Encoding, Accept-Encoding",
        )
    settings: dict[str, str] = {}
    params: dict[str, str] = {}
    for name, value in given.items():
        if name.startswith("param_"):
            params[name.removeprefix("param_")] = value
        elif name not in _OURS:
            if not name.isidentifier() or not name.isascii():
                raise EngineError.of(BAD_ARGUMENTS, f"{name!r} is not the name of a setting")
            settings[name] = value
    timeout = given.get("session_timeout", "60")
    return Ask(
        query=given.get("query", "").encode("utf-8", "surrogateescape"),
        database=given.get("database") or headers.get("X-ClickHouse-Database") or None,
        format=given.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        query_id=given.get("query_id") or new_id,
        session_id=given.get("session_id") or None,
        session_timeout_s=min(float(timeout), 3600.0) if timeout.isdigit() else 60.0,
        session_check=given.get("session_check") == "1",
        settings=settings,
        params=params,
    )


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Body without its Content-Encoding. EngineError if it is damaged or grows over `limit`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    try:
        if encoding in ("gzip", "deflate"):
            opened = zlib.decompressobj(wbits=47 if encoding == "gzip" else 15)
            out = opened.decompress(body, limit + 1)
            complete = opened.eof
        elif encoding == "lz4":
            frame = lz4.frame.LZ4FrameDecompressor()
            out = frame.decompress(body, limit + 1)
            complete = frame.eof
        elif encoding == "zstd":
            z = zstd.ZstdDecompressor()
            out = z.decompress(body, limit + 1)
            complete = z.eof
        else:
            raise EngineError.of(NOT_IMPLEMENTED, f"Content-Encoding {encoding!r}")
    except (zlib.error, RuntimeError, zstd.ZstdError, EOFError) as error:
        raise EngineError.of(CANNOT_DECOMPRESS, f"body is not {encoding}: {error}") from None
    if len(out) > limit:
        raise EngineError.of(BODY_TOO_LARGE, f"body is over {limit} bytes when decompressed")
    if not complete:
        raise EngineError.of(CANNOT_DECOMPRESS, f"body ends in the middle of its {encoding} stream")
    return bytes(out)


class Packer(Protocol):
    """An incremental compressor."""

    def compress(self, data: bytes, /) -> bytes:
        """Add data; give what is ready."""

    def flush(self) -> bytes:
        """End the stream."""


class _Lz4:
    def __init__(self) -> None:
        self._inner = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._inner.begin()

    def compress(self, data: bytes, /) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._inner.compress(data))

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._inner.flush())


_PACKERS: dict[str, Callable[[], Packer]] = {
    "lz4": _Lz4,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(1, zlib.DEFLATED, 31),
    "deflate": lambda: zlib.compressobj(1),
}


def packer(accept: str, wanted: bool) -> tuple[str, Packer] | None:
    """Compressor for an answer: the first encoding of Accept-Encoding that we speak."""
    if not wanted:
        return None
    for part in accept.split(","):
        name = part.split(";")[0].strip().lower()
        if name in _PACKERS:
            return name, _PACKERS[name]()
    return None


def mid_stream_error(tag: str, text: str) -> bytes:
    """How ClickHouse says that an answer already begun has failed."""
    message = text.encode("utf-8", "replace") + b"\n"
    mark = tag.encode()
    return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (
        mark, message, len(message), mark,
    )  # fmt: skip
