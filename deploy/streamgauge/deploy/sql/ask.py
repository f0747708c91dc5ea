"""One read-only statement over ClickHouse's HTTP interface, answered as a stream of bytes."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.storage.settings import StoreSettings

CHUNK = 1 << 16
TAIL = 1 << 15
"""Bytes held back till the end: more than the words of a statement that fails half-way."""
TAG = "X-ClickHouse-Exception-Tag"
TIMEOUT_S = 120.0
NOT_REACHED = "start it with `streamgauge up`, or check STREAMGAUGE_STORE_URL"


@dataclass(frozen=True, slots=True)
class Answer:
    """Column names and rows, values as JSON gives them."""

    columns: list[str]
    rows: list[list[Any]]


def ask_stream(
    store: StoreSettings, sql: str, *, form: str, timeout_s: float = TIMEOUT_S
) -> Iterator[bytes]:
    """Bytes of the answer in ClickHouse format `form`, as they come.

    Raises Misconfigured (the server refuses the statement; its words) or Unreachable.
    """
    url = urlsplit(store.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout_s)
    parameters = {
        "database": store.database,
        "default_format": form,
        "readonly": "2",  # no writes; formats may still be chosen
        "output_format_json_quote_64bit_integers": "0",
    }
    account = base64.b64encode(f"{store.user}:{store.password}".encode()).decode()
    try:
        connection.request(
            "POST",
            f"{url.path or '/'}?{urlencode(parameters)}",
            body=sql.encode("utf-8", "surrogateescape"),
            headers={"Authorization": f"Basic {account}", "Content-Type": "text/plain"},
        )
        response = connection.getresponse()
        if response.status != 200:
            raise _refusal(response.status, response.read(4000).decode("utf-8", "replace"), store)
        if response.headers.get("X-ClickHouse-Format", form) != form:
            raise Misconfigured(
                "the statement names a FORMAT of its own",
                hint="leave it out, or use --csv or --json",
            )
        # a statement that fails half-way says so at the end of an answer that began well
        mark = b"\r\n__exception__\r\n" + response.headers.get(TAG, "").encode()
        held = b""
        while chunk := response.read1(CHUNK):
            held += chunk
            yield held[:-TAIL]
            held = held[-TAIL:]
        answer, failed, words = (
            held.partition(mark) if TAG in response.headers else (held, b"", b"")
        )
        yield answer
        if failed:
            told = words.rpartition(b"\n__exception__")[0].strip().rpartition(b"\n")[0]
            raise _refusal(500, told.decode("utf-8", "replace"), store)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"the store at {store.url} does not answer: {error or type(error).__name__}",
            hint=NOT_REACHED,
        ) from error
    finally:
        connection.close()


def json_array(lines: Iterable[bytes]) -> Iterator[bytes]:
    """One JSON array of the objects of JSONEachRow, however the bytes are cut.

    >>> b"".join(json_array([b'{"a":1}\\n{"a"', b":2}\\n"]))
    b'[\\n{"a":1},\\n{"a":2}\\n]\\n'
    >>> b"".join(json_array([]))
    b'[\\n]\\n'
    """
    yield b"[\n"
    ended = began = False
    for part in lines:
        if part:
            yield (b",\n" if ended else b"") + part.removesuffix(b"\n").replace(b"\n", b",\n")
            ended, began = part.endswith(b"\n"), True
    yield b"\n]\n" if began else b"]\n"


def ask_rows(store: StoreSettings, sql: str, *, timeout_s: float = TIMEOUT_S) -> Answer:
    """The whole answer in memory; errors as with `ask_stream`."""
    text = b"".join(ask_stream(store, sql, form="JSONCompact", timeout_s=timeout_s))
    if not text.strip():
        return Answer([], [])  # a statement without an answer
    try:
        found = json.loads(text)
        return Answer([c["name"] for c in found["meta"]], found["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            "the statement names a FORMAT of its own", hint="leave it out, or use --csv or --json"
        ) from error


def _refusal(status: int, text: str, store: StoreSettings) -> Exception:
    words = " ".join(text.split())
    if status == 401 or "AUTHENTICATION_FAILED" in words:
        return Misconfigured(
            f"the store at {store.url} refuses user {store.user!r}",
            hint="check STREAMGAUGE_STORE_USER and STREAMGAUGE_STORE_PASSWORD_FILE",
        )
    words = words.split(" Expected one of:")[0]  # the parser lists every token it knows
    return Misconfigured(
        words[:600] or f"the store answered {status}",
        hint="views and columns: streamgauge sql 'SHOW TABLES', 'DESCRIBE TABLE v_minute'",
    )
