"""Inserting blocks, exactly once: compare-and-set (decision 0001), for both kinds of store.

Embedded server: the expectation travels in a header and is checked under the table's lock. That
alone is exact: no token goes with it, and a block that timed out may take longer the next time.
Real server: the guard is in the statement (`throwIf` over the markers), which is check-then-insert;
the gap is closed by a token per block, by time-outs shorter than the consumer's session and by
`end_predecessors`.

    writer = SinkWriter(settings, instance="metrics-1", session_timeout_s=10)
    stored = writer.high_water("windows")
    outcome = writer.insert(build_block("windows", rows, written_on=day, expected=.., next=..))

Not here: cutting blocks (block.py), what to do when refused (the worker).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from enum import StrEnum
from typing import Any, Literal

import urllib3
from urllib3.exceptions import HTTPError

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import UnknownOutcome, Unreachable
from streamgauge.storage.block import Block, build_block
from streamgauge.storage.client import Refused, StoreClient, connect
from streamgauge.storage.handshake import EXPECT_HEADER, REFUSED_MESSAGE, STORE_HEADER
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.sqltext import quote_string

__all__ = ["Block", "Guard", "InsertOutcome", "SinkWriter", "build_block", "insert_settings"]

Guard = Literal["header", "sql"]
PREDECESSORS_S = 5.0
PATIENCE_S = 100.0
"""Most that one attempt at a block may take: on the embedded server, after some that timed out."""
_SIMPLE = re.compile(r"^SimpleAggregateFunction\(\w+, (.*)\)$")


class InsertOutcome(StrEnum):
    """What became of a block."""

    STORED = "stored"
    """It is in the table, now or since an earlier try."""
    REFUSED = "refused"
    """Somebody else has moved the position: drop what is in memory and read the markers."""


def insert_settings(max_seconds: int, token: str | None = None) -> dict[str, Any]:
    """Settings that make one INSERT one block, one part, on any server's defaults.

    token: a second block with it is answered "done" and not stored. The server keeps its log of
    tokens apart from the parts: of a part that it lost, the log still has the token.
    """
    once: dict[str, Any] = {"insert_deduplicate": 0}
    if token is not None:
        once = {
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "deduplicate_blocks_in_dependent_materialized_views": 1,
        }
    return {
        "async_insert": 0,
        "optimize_on_insert": 0,  # the rows of a block have been added up already
        "max_insert_threads": 1,
        "max_insert_block_size": 10_000_000,
        "min_insert_block_size_rows": 10_000_000,
        "min_insert_block_size_bytes": 4 << 30,
        "input_format_null_as_default": 1,
        "max_execution_time": max_seconds,
        **once,
    }


class SinkWriter:
    """Writer of one worker instance. One thread at a time.

    instance: who writes, letters, digits, - and _; part of query ids `sg/instance/generation/n`.
    session_timeout_s: of the consumer group; an insert is given up before it ends, at first.
    patience_s: on the embedded server each attempt at a block may take twice as long as the one
    before that timed out, up to so long; once the store has answered, all is as at first.
    guard: None finds out what the store is. in_mid_body: for tests of crashes; called when half of
    the body of an insert into the embedded server has been sent.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        instance: str,
        session_timeout_s: float,
        patience_s: float = PATIENCE_S,
        guard: Guard | None = None,
        clock: Clock | None = None,
        in_mid_body: Callable[[], None] | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", instance):
            raise ValueError(f"instance {instance!r}: letters, digits, '.', '-' and '_' only")
        self._settings = settings
        self._instance = instance
        self._clock = clock or SystemClock()
        self._seconds = self._allowed = max(1, int(min(session_timeout_s * 0.6, patience_s)))
        self._patience = max(1, int(patience_s))
        self._guard = guard
        self._in_mid_body = in_mid_body
        self._generation = 0
        self._number = 0
        self._sent = ""
        self._client: StoreClient | None = None
        self._types: dict[str, dict[str, str]] = {}

    def set_generation(self, generation: int) -> None:
        """The consumer group's generation: part of the query ids from now on."""
        self._generation = generation

    def high_water(self, table: str) -> dict[str, int]:
        """What the table has: "topic@id/partition" -> next offset to read.

        Unreachable, UnknownOutcome: try again.
        """
        name = f"`{self._settings.database}`.`{table}`"
        rows = self._connected().query(
            f"SELECT maxMap(next) AS stored FROM {name} WHERE kind = 1",  # noqa: S608
            settings={"select_sequential_consistency": 1},
        )
        stored = rows[0]["stored"] if rows else {}
        return {str(key): int(value) for key, value in dict(stored).items()}

    def insert(self, block: Block) -> InsertOutcome:
        """Store the block if, and only if, the table's positions are as it expects.

        Unreachable: nothing was sent. UnknownOutcome: it may have been stored. Both: call again
        with the SAME block. If that one is refused, it had landed if the positions are where it
        puts them. A block that is refused when it is first sent has never landed: wherever the
        positions are, somebody else has put them there. BadInput, Misconfigured: repeating does not
        help.
        """
        started = self._clock.monotonic()
        try:
            outcome = self._attempt(block)
        except UnknownOutcome:
            if self._guard == "header" and self._clock.monotonic() - started >= self._allowed:
                self._allow(min(2 * self._allowed, self._patience))
            raise
        self._allow(self._seconds)
        return outcome

    def _attempt(self, block: Block) -> InsertOutcome:
        client, embedded = self._connected(), self._kind() == "header"
        again, self._sent = block.token == self._sent, block.token
        self._number += 1
        settings = insert_settings(self._allowed, None if embedded else block.token)
        settings["query_id"] = f"sg/{self._instance}/{self._generation}/{self._number}"
        try:
            if embedded:
                client.insert_stream(
                    block.table,
                    block.columns,
                    self._body(block),
                    settings=settings,
                    headers={EXPECT_HEADER: json.dumps(dict(block.expected))},
                )
            else:
                client.command(self._guarded(block), data=block.body, settings=settings)
        except Refused:
            if again and self._landed(block):
                return InsertOutcome.STORED
            self._sent = ""
            return InsertOutcome.REFUSED
        return InsertOutcome.STORED

    def _body(self, block: Block) -> bytes | Generator[bytes, None, None]:
        if self._in_mid_body is None:
            return block.body
        return _in_halves(block.body, self._in_mid_body)

    def _landed(self, block: Block) -> bool:
        """Whether the positions are where this refused block, sent before, would put them."""
        stored = self.high_water(block.table)
        return any(block.next[k] > block.expected[k] for k in block.next) and all(
            stored.get(key, 0) == position for key, position in block.next.items()
        )

    def end_predecessors(self) -> None:
        """Kill inserts of earlier generations of this instance and wait for their end, 5 s at most.

        On the embedded server there is nothing to do: its check and insert are one step.
        """
        if self._kind() == "header":
            return
        mine = quote_string(f"sg/{self._instance}/")
        where = (
            f"startsWith(query_id, {mine})"
            f" AND toUInt64OrZero(splitByChar('/', query_id)[3]) < {self._generation}"
        )
        client = self._connected()
        deadline = self._clock.monotonic() + PREDECESSORS_S
        client.command(f"KILL QUERY WHERE {where} ASYNC")
        while client.query(f"SELECT 1 FROM system.processes WHERE {where} LIMIT 1"):  # noqa: S608
            if self._clock.monotonic() > deadline:
                raise Unreachable("an insert of a predecessor does not end")
            self._clock.sleep(0.1)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- inside -------------------------------------------------------------------------------

    def _connected(self) -> StoreClient:
        if self._client is None:
            self._client = connect(self._settings, timeout_s=self._allowed)
        return self._client

    def _allow(self, seconds: int) -> None:
        """Give attempts so long from now on; a connection keeps the time-out it was made with."""
        if seconds != self._allowed:
            self.close()
            self._allowed = seconds

    def _kind(self) -> Guard:
        if self._guard is None:
            self._guard = probe_guard(self._settings.url)
        return self._guard

    def _guarded(self, block: Block) -> str:
        table = f"`{self._settings.database}`.`{block.table}`"
        types = self._column_types(block.table)
        names = ", ".join(f"`{name}`" for name in block.columns)
        structure = quote_string(", ".join(f"`{name}` {types[name]}" for name in block.columns))
        insert = f"INSERT INTO {table} ({names}) SELECT {names} FROM input({structure})"  # noqa: S608 quoted
        return f"{insert} WHERE {guard_condition(table, block.expected)} FORMAT ArrowStream"

    def _column_types(self, table: str) -> dict[str, str]:
        if table not in self._types:
            rows = self._connected().query(
                "SELECT name, type FROM system.columns"
                " WHERE database = {database:String} AND table = {table:String}",
                {"database": self._settings.database, "table": table},
            )
            self._types[table] = {r["name"]: _SIMPLE.sub(r"\1", r["type"]) for r in rows}
        return self._types[table]


def _in_halves(body: bytes, between: Callable[[], None]) -> Generator[bytes, None, None]:
    """The body in two pieces: a generator is sent piece by piece, and never a second time."""
    half = len(body) // 2
    yield body[:half]
    between()
    yield body[half:]


def guard_condition(table: str, expected: Mapping[str, int]) -> str:
    """SQL that is true if the table's positions are the expected ones, and throws 395 if not."""
    if not expected:
        return "1"
    pairs = ", ".join(f"{quote_string(key)}, toUInt64({int(v)})" for key, v in expected.items())
    marks = f"SELECT maxMap(next) AS stored, map({pairs}) AS expected FROM {table} WHERE kind = 1"  # noqa: S608 quoted
    moved = "arrayExists((k, v) -> stored[k] != v, mapKeys(expected), mapValues(expected))"
    return f"throwIf((SELECT {moved} FROM ({marks})), {quote_string(REFUSED_MESSAGE)}) = 0"  # noqa: S608 quoted


def probe_guard(url: str) -> Guard:
    """Which guard the store at this address takes: ours says so in a header of its ping."""
    http = urllib3.PoolManager(retries=False, timeout=5.0)
    try:
        answer = http.request("GET", f"{url}/ping")
    except (HTTPError, OSError) as error:
        raise Unreachable(f"no store answers at {url}", hint="is it running?") from error
    finally:
        http.clear()
    return "header" if answer.headers.get(STORE_HEADER, "").startswith("embedded/") else "sql"
