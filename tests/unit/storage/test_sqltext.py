"""SQL as text: splitting, inserts, names that are called."""

from __future__ import annotations

import time

import pytest

from streamgauge.storage.sqltext import (
    HEAD_BYTES,
    HeadTooLong,
    called_names,
    parse_insert,
    quote_name,
    quote_string,
    split_statements,
    tokens,
)


def test_semicolons_in_strings_comments_and_heredocs_do_not_split() -> None:
    script = "SELECT ';' -- ;\n; /* ; */ SELECT `;`; SELECT $x$;$x$;\n-- only a comment;\n"
    assert split_statements(script) == ["SELECT ';' -- ;", "/* ; */ SELECT `;`", "SELECT $x$;$x$"]


def test_insert_data_begin_after_one_line_break_and_may_be_binary() -> None:
    head = b"INSERT INTO llm.`a b` (x, `y`) SETTINGS s = 1 "
    sql = head + b"FORMAT Native\n\n\x00'\xff"
    found = parse_insert(sql)
    assert found is not None
    assert (found.database, found.table, found.format) == ("llm", "a b", "Native")
    assert found.head == head
    assert sql[found.data_at :] == b"\n\x00'\xff"


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t VALUES (1)",
        b"INSERT INTO t SELECT 1",
        b"INSERT INTO FUNCTION file('x') FORMAT CSV 1",
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t (format) VALUES (1)",
        b"INSERT INTO t SELECT * FROM (SELECT 1 FORMAT CSV)",
        b"",
        b"'open",
    ],
)
def test_other_statements_are_no_insert_with_data(sql: bytes) -> None:
    assert parse_insert(sql) is None


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t /*" + b" " * HEAD_BYTES + b"*/ FORMAT CSV\n1",
        b"INSERT INTO t" + b" " * (HEAD_BYTES - 24) + b"FORMAT JSONEachRow\n{}",  # ends as JSON
        b"INSERT INTO t SELECT 1" + b" + 1" * HEAD_BYTES,
    ],
)
def test_insert_whose_data_begin_too_late_is_not_taken_for_another(sql: bytes) -> None:
    with pytest.raises(HeadTooLong, match="over 65536 bytes before its data"):
        parse_insert(sql)


def test_insert_may_be_long_after_its_head() -> None:
    rows = b"(1)," * HEAD_BYTES
    assert parse_insert(b"INSERT INTO t VALUES " + rows) is None
    found = parse_insert(b"INSERT INTO t FORMAT Values " + rows)
    assert found is not None
    assert found.format == "Values"


def test_input_call_of_a_guarded_insert_is_found_with_its_structure() -> None:
    sql = b"insert into t select a from input('a UInt8, b Enum8(\\'x\\'=1)') where 1 format CSV\n1"
    found = parse_insert(sql)
    assert found is not None
    assert found.input_call is not None
    start, end, structure = found.input_call
    assert sql[start:end].startswith(b"input(")
    assert structure == "a UInt8, b Enum8('x'=1)"


def test_called_names_see_through_quotes_case_comments_and_escapes() -> None:
    sql = b"""SELECT FILE/**/('a'), `fi\\le` ('b'), "url"
        ('c'), 'remote(' FROM numbers(3) -- s3('x')"""
    assert called_names(sql) == {"file", "url", "numbers"}


def test_quoting_cannot_be_broken_out_of() -> None:
    assert quote_string("a'b\\") == "'a\\'b\\\\'"
    assert quote_name("a`b\\") == "`a\\`b\\\\`"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"'\\" * 50_000, 100_000),  # every quote is escaped for the one before it
        (b"/* " * 50_000, 50_000),
        (b"".join(b"$t%d$ " % i for i in range(20_000)), 40_000),
    ],
    ids=["quotes", "comments", "heredocs"],
)
def test_text_full_of_openings_is_read_once_and_not_once_for_each(text: bytes, count: int) -> None:
    started = time.monotonic()
    assert sum(1 for _ in tokens(text)) == count
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        (b"'a''b' x", ["string 'a''b'", "word x"]),
        (b"'a'' x", ["string 'a'", "open '", "word x"]),
        (b'"a\\"b" \'x', ['quoted "a\\"b"', "open '", "word x"]),
        (b"/*/ a */ b /*/", ["word b", "open /*", "punct /"]),
        (b"$a$ ' $a$ b", ["string $a$ ' $a$", "word b"]),
        (b"$a$ b", ["punct $", "word a$", "word b"]),
        (b"$a$b$a$", ["string $a$b$a$"]),
        (b"$$ -- $$ c", ["string $$ -- $$", "word c"]),
    ],
)
def test_quotes_comments_and_heredocs_end_where_they_close(sql: bytes, found: list[str]) -> None:
    assert [f"{t.kind} {t.text.decode()}" for t in tokens(sql)] == found
