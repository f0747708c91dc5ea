"""`streamgauge sql` against the embedded server: what fails half-way is no short answer."""

from __future__ import annotations

import json

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.sql.ask import ask_stream, json_array
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def store(store_server: EmbeddedStore) -> StoreSettings:
    """Shadows the migrated database: no table is asked for."""
    return store_server.settings("default")


def test_an_answer_that_fails_half_way_is_an_error_and_no_short_answer(
    store: StoreSettings,
) -> None:
    sql = "SELECT number, throwIf(number = 900000) FROM numbers(1000000)"
    answer: list[bytes] = []
    with pytest.raises(Misconfigured, match=r"Code: 395.*NON_ZERO") as told:
        answer.extend(ask_stream(store, sql, form="JSONEachRow"))
    assert b"__exception__" not in b"".join(answer)
    assert "__exception__" not in told.value.message


@pytest.mark.parametrize("rows", [0, 1, 3_000, 300_000])
def test_a_streamed_answer_is_whole(store: StoreSettings, rows: int) -> None:
    sql = f"SELECT number AS n FROM numbers({rows})"
    answer = b"".join(json_array(ask_stream(store, sql, form="JSONEachRow")))
    assert [row["n"] for row in json.loads(answer)] == list(range(rows))


def test_bytes_that_are_no_utf8_are_refused_by_the_server_and_crash_nothing(
    store: StoreSettings,
) -> None:
    with pytest.raises(Misconfigured, match="Code: 62"):
        list(ask_stream(store, "SELECT \udcff", form="CSV"))


def test_a_format_of_its_own_is_refused(store: StoreSettings) -> None:
    with pytest.raises(Misconfigured, match="FORMAT of its own"):
        list(ask_stream(store, "SELECT 1 FORMAT CSV", form="JSONEachRow"))
