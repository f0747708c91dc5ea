"""What an account may run.

Under `readonly = 1` the engine itself refuses writes and changed settings, but this build still
lets a reader write files (INTO OUTFILE), read them (`file(..)`) and kill queries: all tried. So
for the reader the statement is judged here, as the engine's own parser spells it, before it runs.
The writer is trusted with tables, not with files and addresses: the same names are refused to it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from streamgauge.storage.embedded.config import ServerConfig
from streamgauge.storage.embedded.engine import Engine, Handle
from streamgauge.storage.embedded.errors import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    READONLY,
    SYNTAX_ERROR,
    EngineError,
)
from streamgauge.storage.sqltext import called_names, keywords

WRITER = "streamgauge"
READER = "reader"
# Settings that a reader may lower but not raise.
_CAPPED = ("max_execution_time", "max_memory_usage", "max_result_rows", "max_result_bytes")


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks. Limits are upper bounds of engine settings."""

    name: str
    readonly: bool
    limits: dict[str, int]


class Accounts:
    """The two accounts and their passwords."""

    def __init__(self, config: ServerConfig, passwords: dict[str, str]) -> None:
        self._passwords = passwords
        self._accounts = {
            WRITER: Account(WRITER, False, {"max_execution_time": round(config.writer_time_s)}),
            READER: Account(
                READER,
                True,
                {
                    "max_execution_time": round(config.reader_time_s),
                    "max_memory_usage": config.query_memory,
                    "max_result_rows": config.reader_rows,
                    "max_result_bytes": config.reader_bytes,
                },
            ),
        }

    def check(self, name: str, password: str) -> Account:
        """The account, or AUTHENTICATION_FAILED. Takes equally long for every wrong password."""
        expected = self._passwords.get(name, "")
        if not secrets.compare_digest(expected.encode(), password.encode()) or not expected:
            raise EngineError.of(
                AUTHENTICATION_FAILED,
                f"{name}: Authentication failed: password is incorrect, or there is no user with"
                f" such name; accounts here are {WRITER} and {READER}, their passwords lie in the"
                " data folder.",
            )
        return self._accounts[name]


def effective_settings(account: Account, asked: dict[str, str]) -> dict[str, str]:
    """Settings of a statement: what was asked for, within the account's limits."""
    settings = dict(asked)
    for name, limit in account.limits.items():
        wanted = asked.get(name, "")
        within = wanted.isdigit() and 0 < int(wanted) <= limit
        if account.readonly and name in _CAPPED:
            settings[name] = wanted if within else str(limit)
        elif not wanted:
            settings[name] = str(limit)
    if account.readonly:
        settings["result_overflow_mode"] = "throw"
        settings["readonly"] = "1"
    return settings


def judge(engine: Engine, handle: Handle, account: Account, sql: bytes, *, only_reads: bool) -> str:
    """Class of the statement, if it may run; EngineError if not.

    only_reads: the request method allows reads alone (GET), whoever asks.
    """
    kind, count = handle.classify(sql)
    text = sql
    # The engine runs the part that it can read, and nothing if there is none or the text is one of
    # a shell's words for leaving (q, exit): only its parser, which says where, refuses all those.
    if account.readonly or only_reads or kind in ("READ_ONLY", "UNKNOWN"):
        text = handle.canonical(sql)
    if count != 1:
        raise EngineError.of(SYNTAX_ERROR, f"one statement expected, found {count}")
    if "OUTFILE" in keywords(text) or "INFILE" in keywords(text):
        raise EngineError.of(ACCESS_DENIED, "this server does not read or write files for queries")
    if denied := called_names(text) & engine.denied_calls:
        raise EngineError.of(
            ACCESS_DENIED,
            f"{min(denied)}(..) reaches outside the database: this server does not allow it",
        )
    if (account.readonly or only_reads) and kind != "READ_ONLY" and text[:4].upper() != b"USE ":
        why = f"account {account.name} is read-only" if account.readonly else "GET is read-only"
        raise EngineError.of(READONLY, f"Cannot execute query in readonly mode: {why}.")
    return kind
