"""HTTP details of the embedded server, without a server."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import lz4.frame  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgauge.storage.embedded import wire
from streamgauge.storage.embedded.config import ServerConfig
from streamgauge.storage.embedded.errors import EngineError
from streamgauge.storage.embedded.guard import parse_expectation
from streamgauge.storage.embedded.policy import READER, WRITER, Accounts, effective_settings
from streamgauge.storage.embedded.statements import output_format

PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": lambda data: wire.zstd.compress(data),
}


@pytest.mark.parametrize("encoding", sorted(PACKED))
def test_bodies_are_unpacked_within_the_limit_only(encoding: str) -> None:
    data = b"x" * 100_000
    packed = PACKED[encoding](data)
    assert wire.unpack(packed, encoding, 100_000) == data
    with pytest.raises(EngineError, match="over 99999 bytes"):
        wire.unpack(packed, encoding, 99_999)
    with pytest.raises(EngineError) as caught:
        wire.unpack(packed[:-3], encoding, 100_000)
    assert caught.value.code == 271


@given(data=st.binary(max_size=200), encoding=st.sampled_from(sorted(PACKED)))
def test_no_body_raises_anything_but_an_engine_error(data: bytes, encoding: str) -> None:
    code = None
    try:
        wire.unpack(data, encoding, 1000)
    except EngineError as error:
        code = error.code
    assert code in (None, 161, 271)


@pytest.mark.parametrize("encoding", sorted(PACKED))
def test_answers_are_packed_in_the_first_encoding_that_both_speak(encoding: str) -> None:
    found = wire.packer(f"snappy, {encoding};q=1, gzip", wanted=True)
    assert found is not None
    assert found[0] == encoding
    packed = b"".join(found[1].compress(b"abc" * 100) for _ in range(3)) + found[1].flush()
    assert wire.unpack(packed, encoding, 10_000) == b"abc" * 300
    assert wire.packer(encoding, wanted=False) is None


@pytest.mark.parametrize("text", ["", "[]", '{"a": -1}', '{"a": 1.5}', '{"a": true}', "{" * 9999])
def test_expectation_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_expectation(text)
    assert caught.value.code == 36


def test_reader_can_lower_its_limits_but_not_raise_them() -> None:
    config = ServerConfig(data=Path("unused"), reader_rows=100)
    accounts = Accounts(config, {WRITER: "w", READER: "r"})
    reader = accounts.check(READER, "r")
    for asked, got in (("50", "50"), ("101", "100"), ("0", "100"), ("x", "100"), ("-1", "100")):
        assert effective_settings(reader, {"max_result_rows": asked})["max_result_rows"] == got
    assert effective_settings(reader, {"readonly": "0"})["readonly"] == "1"


@pytest.mark.parametrize(("name", "password"), [(WRITER, "r"), (READER, ""), ("default", "")])
def test_wrong_password_and_unknown_account_are_refused_alike(name: str, password: str) -> None:
    accounts = Accounts(ServerConfig(data=Path("unused")), {WRITER: "w", READER: "r"})
    with pytest.raises(EngineError) as caught:
        accounts.check(name, password)
    assert (caught.value.code, caught.value.http_status) == (516, 403)


def test_format_clause_of_the_statement_wins() -> None:
    assert output_format(b"SELECT 1 FORMAT JSON", "CSV") == "JSON"
    assert output_format(b"SELECT 1 FORMAT JSON SETTINGS max_threads = 1;", "CSV") == "JSON"
    column = b"SELECT 'x FORMAT JSON', format FROM (SELECT 1 AS format)"
    assert output_format(column, "CSV") == "CSV"
    assert output_format(b"SELECT 1", "a;b") == "TabSeparated"
