"""SQL as text: just enough lexing to split, classify and guard statements without running them.

In: SQL, as bytes (an INSERT may be followed by binary data, so nothing after `FORMAT x` is read).
Out: tokens, single statements, the shape of an INSERT, the names that are called as functions.
Knows ClickHouse's quoting: 'strings', "identifiers", `identifiers`, $tag$ heredocs $tag$, -- and
# and /* comments */. Not here: whether a statement may run (embedded.policy), running it (engine).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

_ESCAPES = (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\0", "\\0"))
Kind = Literal["word", "quoted", "string", "number", "punct", "open"]

_TOKEN = re.compile(
    rb"""
    (?P<space>\s+|--[^\n]*|\#[!\s][^\n]*)
  | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
  | (?P<number>[0-9][0-9A-Za-z_.]*)
  | (?P<begin>['"`]|/\*|\$\w*\$)
  | (?P<punct>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_REST = {
    quote: re.compile(rb"[^\\%b]*+(?:(?:\\.|%b%b)[^\\%b]*+)*%b" % ((quote,) * 5), re.DOTALL)
    for quote in (b"'", b'"', b"`")
}
_TAG = re.compile(rb"(?=(\$\w*\$))")


class Token(NamedTuple):
    """One lexeme. `open` is a quote or comment that never closes."""

    kind: Kind
    start: int
    end: int
    text: bytes

    def is_word(self, *words: str) -> bool:
        """Is it one of these keywords (unquoted, any case)?"""
        return self.kind == "word" and self.text.upper().decode() in words


class _Ends:
    """Where quotes, comments and heredocs of one text end.

    What does not close once does not close later: that is kept, and the last place of each tag, so
    that a text full of openings is read once and not once for each of them.
    """

    def __init__(self, sql: bytes) -> None:
        self._sql = sql
        self._open: set[bytes] = set()
        self._last_by_tag: dict[bytes, int] | None = None

    def find(self, opening: bytes, at: int) -> int:
        """Where that which opened before `at` ends; -1 if it never does."""
        if opening in self._open:
            return -1
        if opening in _REST:
            match = _REST[opening].match(self._sql, at)
            end = match.end() if match else -1
        elif opening == b"/*":
            close = self._sql.find(b"*/", at)
            end = close + 2 if close >= 0 else -1
        else:
            if self._last_by_tag is None:
                self._last_by_tag = {m[1]: m.start() for m in _TAG.finditer(self._sql)}
            known = self._last_by_tag.get(opening, -1) >= at
            end = self._sql.find(opening, at) + len(opening) if known else -1
        if end < 0:
            self._open.add(opening)
        return end


def tokens(sql: bytes, start: int = 0) -> Iterator[Token]:
    """Lexemes from `start`, without spaces and comments. Never fails; lazy; linear in the text."""
    ends = _Ends(sql)
    at = start
    while match := _TOKEN.match(sql, at):
        kind, text, at = match.lastgroup, match.group(), match.end()
        if kind == "begin":
            end = ends.find(text, at)
            if end >= 0:
                at = end
                kind = {b"`": "quoted", b'"': "quoted", b"/*": "space"}.get(text, "string")
            elif text[:1] == b"$":
                kind, at = "punct", match.start() + 1
            else:
                kind = "open"
        if kind != "space":
            yield Token(kind, match.start(), at, sql[match.start() : at])  # type: ignore[arg-type]  # a group of _TOKEN


def identifier(token: Token) -> str:
    """Name that a word or a quoted identifier stands for."""
    if token.kind == "word":
        return token.text.decode("utf-8", "replace")
    body = token.text[1:-1].decode("utf-8", "replace")
    quote = token.text[:1].decode()
    return re.sub(r"\\(.)", r"\1", body.replace(quote * 2, quote))


def called_names(sql: bytes) -> set[str]:
    """Lower-case names that stand before a parenthesis: functions, table functions, engines."""
    names: set[str] = set()
    before: Token | None = None
    for token in tokens(sql):
        if token.text == b"(" and before is not None and before.kind in ("word", "quoted"):
            names.add(identifier(before).lower())
        before = token
    return names


def keywords(sql: bytes) -> set[str]:
    """Upper-case unquoted words."""
    return {t.text.upper().decode("utf-8", "replace") for t in tokens(sql) if t.kind == "word"}


def split_statements(script: str) -> list[str]:
    """Statements of a script, without the semicolons and empty ones; comments before one stay."""
    raw = script.encode()
    out: list[str] = []
    begin = 0
    seen = False
    for token in tokens(raw):
        if token.text == b";" and token.kind == "punct":
            if seen:
                out.append(raw[begin : token.start].decode().strip())
            begin, seen = token.end, False
        else:
            seen = True
    if seen:
        out.append(raw[begin:].decode().strip())
    return out


HEAD_BYTES = 64 * 1024


class HeadTooLong(ValueError):
    """An INSERT whose data or VALUES do not begin within HEAD_BYTES."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT that brings its data.

    head: statement before FORMAT. columns: its list of columns, in parentheses, or empty.
    clauses: what stands between that and FORMAT. data_at: where the data begin in the text.
    input_call: span in `head` of an `input('structure')` call of an INSERT .. SELECT, and the
    structure; None for a plain INSERT.
    """

    database: str | None
    table: str
    head: bytes
    columns: bytes
    clauses: bytes
    format: str
    data_at: int
    input_call: tuple[int, int, str] | None


def parse_insert(sql: bytes) -> Insert | None:
    """Shape of `INSERT INTO t .. FORMAT x <data>`; None for everything else (VALUES, SELECT).

    FORMAT is looked for in the first HEAD_BYTES; HeadTooLong if an INSERT goes on beyond them.
    """
    stream = tokens(sql[:HEAD_BYTES])
    first = next(stream, None)
    if first is None or not first.is_word("INSERT"):
        return None
    token = next(stream, None)
    if token is None or not token.is_word("INTO"):
        return None
    token = next(stream, None)
    if token is not None and token.is_word("TABLE"):
        token = next(stream, None)
    if token is None or token.kind not in ("word", "quoted") or token.is_word("FUNCTION"):
        return None
    database, table = None, identifier(token)
    token = next(stream, None)
    if token is not None and token.text == b".":
        token = next(stream, None)
        if token is None or token.kind not in ("word", "quoted"):
            return None
        database, table = table, identifier(token)
        token = next(stream, None)
    depth = 0
    list_start = list_end = token.start if token is not None else len(sql)
    has_list = token is not None and token.text == b"("
    input_call: tuple[int, int, str] | None = None
    window: list[Token] = []
    while token is not None:
        if token.text == b"(":
            depth += 1
        elif token.text == b")":
            depth -= 1
            if has_list and depth == 0:
                list_end, has_list = token.end, False
            if len(window) >= 3 and window[-3].is_word("INPUT") and window[-2].text == b"(":
                structure = window[-1].text[1:-1].decode("utf-8", "replace")
                structure = re.sub(r"\\(.)", r"\1", structure.replace("''", "'"))
                input_call = (window[-3].start, token.end, structure)
        elif depth == 0 and token.is_word("VALUES"):
            return None
        elif depth == 0 and token.is_word("FORMAT"):
            name = next(stream, None)
            if name is None or name.end >= HEAD_BYTES:
                break  # the name may go on beyond what was read
            if name.kind != "word" or name.is_word("FROM", "AS"):
                return None
            at = name.end
            rest = re.match(rb"[ \t]*(?:\r?\n)?", sql[at : at + 64])
            at += rest.end() if rest else 0
            return Insert(
                database=database,
                table=table,
                head=sql[: token.start],
                columns=sql[list_start:list_end],
                clauses=sql[list_end : token.start],
                format=name.text.decode(),
                data_at=at,
                input_call=input_call,
            )
        window = [*window[-2:], token]
        token = next(stream, None)
    if len(sql) > HEAD_BYTES:
        raise HeadTooLong(f"an INSERT is over {HEAD_BYTES} bytes before its data")
    return None


def quote_string(value: str) -> str:
    r"""A ClickHouse string literal, in one line.

    >>> print(quote_string("it's a \\ test\n"))
    'it\'s a \\ test\n'
    """
    for plain, written in _ESCAPES:
        value = value.replace(plain, written)
    return f"'{value}'"


def quote_name(name: str) -> str:
    """A ClickHouse identifier in backquotes."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
