"""What a caller may do about an error of the store: wait, repeat the same block, or give up."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from streamgauge.contracts.errors import BadInput, Misconfigured, UnknownOutcome, Unreachable
from streamgauge.storage.client import translate

URL = "http://127.0.0.1:8123"
# Names as `SELECT errorCodeToName(code)` gives them.
WAIT = {
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    225: "NO_ZOOKEEPER",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    439: "CANNOT_SCHEDULE_TASK",
    999: "KEEPER_EXCEPTION",
}
MAYBE_STORED = {
    159: "TIMEOUT_EXCEEDED",
    210: "NETWORK_ERROR",
    236: "ABORTED",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
}
NO_USE = {6: "CANNOT_PARSE_TEXT", 62: "SYNTAX_ERROR", 117: "INCORRECT_DATA", 1001: "STD_EXCEPTION"}


def told(code: int, words: str) -> Exception:
    error = DatabaseError(f"Code: {code}. DB::Exception: {words}")
    error.code = code
    return translate(error, URL)


@pytest.mark.parametrize("code", WAIT)
def test_store_that_is_full_or_busy_is_waited_for(code: int) -> None:
    assert type(told(code, WAIT[code])) is Unreachable


@pytest.mark.parametrize("code", MAYBE_STORED)
def test_insert_that_may_have_been_stored_is_repeated(code: int) -> None:
    assert type(told(code, MAYBE_STORED[code])) is UnknownOutcome


@pytest.mark.parametrize("code", NO_USE)
def test_input_that_the_store_cannot_take_is_not_repeated(code: int) -> None:
    error = told(code, NO_USE[code])
    assert isinstance(error, BadInput)
    assert error.reason == f"store_{code}"


def test_full_disk_is_known_in_errors_of_the_engines_libraries_too() -> None:
    words = "std::exception. filesystem error: in create_directories: No space left on device"
    assert type(told(1001, words)) is Unreachable


def test_wrong_password_is_a_setting() -> None:
    assert isinstance(told(516, "AUTHENTICATION_FAILED"), Misconfigured)
