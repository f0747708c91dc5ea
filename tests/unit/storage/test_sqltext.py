"""SQL as text: splitting, inserts, names that are called."""

from __future__ import annotations

import pytest

from streamgauge.storage.sqltext import (
    called_names,
    parse_insert,
    quote_name,
    quote_string,
    split_statements,
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
