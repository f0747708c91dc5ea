"""One statement, run in a worker thread: what a request becomes when it meets the engine.

In: an account, an Ask and the text. Out: a Running whose blocks can be fetched one by one, or a
whole Answer. Blocking; the event loop calls it through a thread pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from streamgauge.storage.embedded import guard, policy
from streamgauge.storage.embedded.config import ServerConfig
from streamgauge.storage.embedded.engine import Answer, Engine, Handle
from streamgauge.storage.embedded.errors import ACCESS_DENIED, READONLY, EngineError
from streamgauge.storage.embedded.wire import STREAMABLE, Ask
from streamgauge.storage.sqltext import Insert, Token, called_names, tokens

_ARRAY = "output_format_json_array_of_rows"
_FORMAT_SETTING = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(slots=True)
class Work:
    """A statement on its way. `tag` is how it can be killed."""

    account: policy.Account
    ask: Ask
    text: bytes
    tag: str
    only_reads: bool
    insert: Insert | None = None
    data: bytes = b""
    expected: dict[str, int] | None = None


def begins_with_insert(text: bytes) -> bool:
    """Whether the first word is INSERT, however long the rest is."""
    first = next(tokens(text), None)
    return first is not None and first.is_word("INSERT")


def output_format(text: bytes, default: str) -> str:
    """Format of the result: the statement's own FORMAT clause, else the request's."""
    depth = 0
    found: str | None = None
    before: list[Token] = []
    for token in tokens(text):
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if depth == 0 and token.kind == "word" and before and before[-1].is_word("FORMAT"):
            found = token.text.decode()
        elif found and before and before[-1].text.decode("utf-8", "replace") == found:
            # a column may be called format: the clause is the last one but for SETTINGS
            found = found if token.is_word("SETTINGS") or token.text == b";" else None
        before = [token]
    return found or (default if _FORMAT_SETTING.fullmatch(default) else "TabSeparated")


def prepare(engine: Engine, config: ServerConfig, work: Work, handle: Handle, held: bool) -> None:
    """Give the handle the statement's database and settings."""
    settings = policy.effective_settings(work.account, work.ask.settings)
    if held:
        asked = settings.get("max_result_bytes", "")
        limit = config.held_result_limit
        settings["max_result_bytes"] = (
            asked if asked.isdigit() and 0 < int(asked) < limit else str(limit)
        )
        settings["result_overflow_mode"] = "throw"
    readonly = settings.pop("readonly", None)
    if work.ask.database:
        handle.use(work.ask.database)
    handle.configure({**settings, "log_comment": work.tag})
    if readonly is not None:
        handle.configure({"readonly": readonly})  # last: it cannot be taken back


def _one_array(work: Work) -> bool:
    """Whether rows are asked for as one JSON array: streamed, each block would be one."""
    return _ARRAY in work.ask.settings or _ARRAY.encode() in work.text.lower()


def run_insert(engine: Engine, config: ServerConfig, work: Work, handle: Handle) -> Answer:
    """Insert; for a guarded one, check first. The caller holds the table's lock."""
    insert = work.insert
    assert insert is not None
    if work.account.readonly or work.only_reads:
        raise EngineError.of(READONLY, "Cannot execute query in readonly mode: INSERT")
    if denied := called_names(insert.head) & engine.denied_calls:
        raise EngineError.of(ACCESS_DENIED, f"{min(denied)}(..) reaches outside the database")
    prepare(engine, config, work, handle, held=False)
    # one thread: one part, rows in their order; memory: bounded by the server's limit
    handle.configure({"max_threads": "1", "max_memory_usage": "0"})
    if work.expected is not None:
        guard.check(handle, insert.database, insert.table, work.expected)
    if insert.input_call is not None and work.ask.params:
        for name, value in work.ask.params.items():
            handle.configure({f"param_{name}": value})
    return handle.insert(insert, work.data, guarded=work.expected is not None)


def start(
    engine: Engine, config: ServerConfig, work: Work, handle: Handle, fmt: str
) -> Answer | tuple[bytes | None, Iterator[bytes]]:
    """Run a statement without data. Streamed results come as their first block and the rest."""
    kind = policy.judge(engine, handle, work.account, work.text, only_reads=work.only_reads)
    first = next(tokens(work.text), None)
    selects = first is not None and (first.is_word("SELECT", "WITH", "FROM") or first.text == b"(")
    streamed = (
        kind == "READ_ONLY" and selects and fmt.lower() in STREAMABLE and not _one_array(work)
    )
    prepare(engine, config, work, handle, held=not streamed)
    if not streamed:
        return handle.run(work.text, fmt, work.ask.params)
    blocks = handle.stream(work.text, fmt, work.ask.params)
    return next(blocks, None), blocks
