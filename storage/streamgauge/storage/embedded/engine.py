"""chDB behind a few blocking calls. The only module that touches the engine.

A handle runs one statement at a time and has its own settings; handles of one process run in
parallel and release the GIL. Opening one takes about a millisecond.
Not here: who may run what (policy.py), HTTP (server.py).
"""

from __future__ import annotations

import contextlib
import importlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamgauge.storage.embedded.config import OVERLAY, ServerConfig
from streamgauge.storage.embedded.errors import INTERNAL, EngineError
from streamgauge.storage.embedded.parts import NewParts
from streamgauge.storage.sqltext import Insert, quote_name, quote_string

_STAGE = "_streamgauge_stage"
# What the binding raises: the engine's error; an argument it cannot convert; an error whose text
# quotes bytes of the query that are no UTF-8.
_RAISED = (RuntimeError, TypeError, UnicodeDecodeError)


def _words(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode("utf-8", "replace")
    return str(error)


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a statement that ran to its end."""

    body: bytes
    read_rows: int = 0
    written_rows: int = 0
    elapsed_s: float = 0.0


class Handle:
    """One connection to the engine: settings, current database and temporary tables of its own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set settings; EngineError if one is unknown or its value is wrong."""
        if settings:
            pairs = ", ".join(f"{k} = {quote_string(v)}" for k, v in settings.items())
            self.run(f"SET {pairs}".encode())

    def reset(self, names: Mapping[str, str]) -> None:
        """Put settings back to their defaults (a session's handle outlives a request)."""
        if names:
            self.run(("SET " + ", ".join(f"{k} = DEFAULT" for k in names)).encode())

    def use(self, database: str) -> None:
        """Make a database the current one."""
        self.run(f"USE {quote_name(database)}".encode())

    def classify(self, sql: bytes) -> tuple[str, int]:
        """(READ_ONLY | MUTATING | MUTATING_GLOBAL | CONTROL | UNKNOWN, number of statements)."""
        try:
            found = self._connection.classify_query(sql)
        except _RAISED as error:
            raise EngineError.from_engine(_words(error)) from None
        return found["query_class"].name, found["statement_count"]

    def canonical(self, sql: bytes) -> bytes:
        """The statement as the engine's own parser writes it: no comments, one spelling."""
        literal = sql.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        return self.run(b"SELECT formatQuery('" + literal + b"')", "RawBLOB").body

    def run(
        self, sql: bytes, output: str = "TabSeparated", params: Mapping[str, str] | None = None
    ) -> Answer:
        """Run to the end and hold the whole result."""
        try:
            result = self._connection.query(sql, output, params=dict(params or {}))
        except _RAISED as error:
            raise EngineError.from_engine(_words(error)) from None
        return Answer(result.bytes(), result.rows_read(), result.rows_written(), result.elapsed())

    def stream(
        self, sql: bytes, output: str, params: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """Run and give blocks as they come. Close the iterator to cancel."""
        connection = self._connection
        try:
            result = connection.send_query(sql, output, params=dict(params or {}))
        except _RAISED as error:
            raise EngineError.from_engine(_words(error)) from None
        done = False
        try:
            while True:
                try:
                    block = connection.streaming_fetch_result(result)
                except _RAISED as error:
                    done = True
                    raise EngineError.from_engine(_words(error)) from None
                if block is None or block.rows_read() == 0:
                    done = True
                    # an empty result may still have a header: its only block carries it
                    if block is not None and (tail := block.bytes()):
                        yield tail
                    return
                yield block.bytes()
        finally:
            if not done:
                connection.streaming_cancel_query(result)

    def insert(self, insert: Insert, data: bytes, *, guarded: bool) -> Answer:
        """Insert data that came with the statement, whole or not at all.

        The data are parsed into a temporary table and moved by INSERT .. SELECT, because the
        engine's streaming insert (chDB 4.4) swallows errors of its commit: out of memory there, it
        says "done" and has stored nothing. What came out of the move is checked (parts.py). The
        caller holds the table's lock. guarded: the writer takes "done" for "stored", so of rows
        something has to come out; the engine drops them in silence when it knows their token.
        """
        table = quote_name(insert.table)
        if insert.database is not None:
            table = f"{quote_name(insert.database)}.{table}"
        if insert.input_call is not None:
            columns, clauses = b"", b""
            start, end, structure = insert.input_call
            create = f"({structure})"
            move = insert.head[:start] + _STAGE.encode() + insert.head[end:]
        else:
            columns, clauses = insert.columns, insert.clauses
            create = f"AS {table}"
            chosen = columns.strip()[1:-1] if columns.strip() else b"*"
            into = b"INSERT INTO %s %s %s" % (table.encode(), columns, clauses)
            move = b"%s SELECT %s FROM %s" % (into, chosen, _STAGE.encode())
        self._drop_stage()
        self.run(f"CREATE TEMPORARY TABLE {_STAGE} {create} ENGINE = Memory".encode())
        try:
            parsed = self._append(
                b"INSERT INTO %s %s %s" % (_STAGE.encode(), columns, clauses), insert.format, data
            )
            staged = int(self.run(f"SELECT count() FROM {_STAGE}".encode()).body)  # noqa: S608
            if staged != parsed.written_rows:
                raise EngineError.of(
                    INTERNAL, f"{parsed.written_rows} rows were parsed and {staged} kept"
                )
            made = NewParts(self, insert.database, insert.table)
            moved = self.run(move)
            made.check(table, some=guarded and staged > 0)
        finally:
            self._drop_stage()
        return Answer(b"", 0, staged, parsed.elapsed_s + moved.elapsed_s)

    def _drop_stage(self) -> None:
        self.run(f"DROP TEMPORARY TABLE IF EXISTS {_STAGE}".encode())

    def _append(self, head: bytes, fmt: str, data: bytes) -> Answer:
        connection = self._connection
        try:
            inserter = connection.send_insert(head, fmt)
        except _RAISED as error:
            raise EngineError.from_engine(_words(error)) from None
        try:
            if data:
                connection.insert_append(inserter, data)
            done = connection.insert_done(inserter)
        except _RAISED as error:
            with contextlib.suppress(RuntimeError):  # its error may have ended it
                connection.insert_cancel(inserter)
            raise EngineError.from_engine(_words(error)) from None
        return Answer(b"", 0, done.rows_written(), done.elapsed())

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def __enter__(self) -> Handle:
        """The handle itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class Engine:
    """The engine of one data folder. One process at a time may own a folder."""

    def __init__(self, config: ServerConfig) -> None:
        config.engine_dir.mkdir(parents=True, exist_ok=True)
        self._module: Any = importlib.import_module("chdb._chdb")  # the engine: 0.3 s
        self._target = f"{config.engine_dir}?config-file={config.write_xml()}"
        _plain_default_database(config.engine_dir)
        self._module.set_signal_handlers_enabled(False)
        self._keeper = self.handle()  # the engine lives as long as a handle does
        self._keeper.run(f"DROP DATABASE IF EXISTS {OVERLAY}".encode())
        rows = self._keeper.run(
            b"SELECT version(), timezone(), (SELECT value FROM system.server_settings"
            b" WHERE name = 'mark_cache_size')"
        ).body
        self.version, self.timezone, mark_cache = rows.decode().rstrip("\n").split("\t")
        if int(mark_cache) != config.mark_cache:
            raise RuntimeError(f"the engine did not take its configuration: {self._target}")
        self.denied_calls = self._sources()

    def handle(self) -> Handle:
        """A new handle with default settings."""
        try:
            return Handle(self._module.connect(self._target))
        except _RAISED as error:
            raise EngineError.from_engine(_words(error)) from None

    def kill(self, tag: str) -> None:
        """Cancel the statement that carries this log_comment."""
        with self.handle() as handle:
            handle.run(
                b"KILL QUERY WHERE Settings['log_comment'] = "
                + quote_string(tag).encode()
                + b" ASYNC"
            )

    def close(self) -> None:
        """Close the engine; handles of others must be closed before."""
        self._keeper.close()

    def _sources(self) -> frozenset[str]:
        """Names that reach files, the network, other programs or Python objects."""
        body = self._keeper.run(
            b"SELECT lower(name) FROM system.table_functions WHERE name NOT IN ('numbers',"
            b" 'numbers_mt', 'zeros', 'zeros_mt', 'generateSeries', 'generate_series', 'values',"
            b" 'null', 'view', 'merge', 'format', 'input', 'generateRandom', 'primes', 'cluster',"
            b" 'mergeTreeIndex', 'mergeTreeProjection', 'SQLStandardValues', 'dictionary')"
            b" UNION DISTINCT SELECT lower(name) FROM system.functions WHERE lower(name) IN"
            b" ('file', 'catboostevaluate') OR match(name, '^(ai|AI)[A-Z]')"
        ).body
        return frozenset(body.decode().split()) | {"file", "url", "python", "executable", "http"}


def _plain_default_database(folder: Path) -> None:
    """Make `default` a database like any other.

    Left to itself this engine makes it one that takes the name of any file for a table, so that a
    reader could ask which files there are. It calls that one OVERLAY if it is told so, and then
    wants `default` to be there already. In a folder of before, a link names the database that holds
    the tables of `default`. With the link there, OVERLAY would take them, and be dropped with them.
    """
    described, link = folder / "metadata" / "default.sql", folder / "metadata" / "default"
    if not described.exists():
        name = link.readlink().name if link.is_symlink() else str(uuid.uuid4())
        described.parent.mkdir(parents=True, exist_ok=True)
        part = described.with_suffix(".part")
        part.write_text(f"ATTACH DATABASE _ UUID '{name}'\nENGINE = Atomic\n")
        part.rename(described)
    link.unlink(missing_ok=True)  # the engine makes it anew
