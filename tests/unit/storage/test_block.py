"""Blocks: data and position in one INSERT, the same bytes every time."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from streamgauge.storage.block import MAX_ROWS, Block, build_block
from streamgauge.storage.tables import TABLES

DAY = date(2026, 3, 1)


def block(rows: pa.Table, table: str = "judgements") -> Block:
    return build_block(table, rows, written_on=DAY, expected={"t@1/0": 5}, next={"t@1/0": 9})


def opened(made: Block) -> pa.Table:
    return pa.ipc.open_stream(made.body).read_all()


def test_block_ends_with_one_marker_row_that_carries_the_position() -> None:
    rows = opened(block(pa.table({"name": ["a", "b"], "value": [1.0, None]})))
    assert rows["kind"].to_pylist() == [0, 0, 1]
    assert rows["next"].to_pylist() == [[], [], [("t@1/0", 9)]]
    assert rows["written_on"].to_pylist() == [DAY] * 3
    assert rows["name"].to_pylist() == ["a", "b", ""]
    assert rows["value"].to_pylist() == [1.0, None, 0.0]


def test_block_without_rows_is_a_bare_marker() -> None:
    made = block(pa.table({}))
    assert made.rows == 0
    assert opened(made)["kind"].to_pylist() == [1]


def test_same_rows_and_positions_give_the_same_bytes_and_token() -> None:
    rows = pa.table({"name": ["a"]})
    assert block(rows) == block(rows)
    assert block(rows).body == block(rows).body
    other = build_block(
        "judgements", rows, written_on=DAY, expected={"t@1/0": 5}, next={"t@1/0": 8}
    )
    assert other.token != block(rows).token


def test_dictionary_values_stay_unique_when_the_marker_is_added() -> None:
    twice = pa.chunked_array(
        [pa.array(["x", ""]).dictionary_encode(), pa.array(["x", "y"]).dictionary_encode()]
    )
    column = opened(block(pa.table({"name": twice})))["name"]
    assert column.to_pylist() == ["x", "", "x", "y", ""]
    (only,) = column.chunks
    values = only.dictionary.to_pylist()
    assert len(values) == len(set(values))


def test_markers_of_versioned_tables_carry_their_own_name() -> None:
    rows = pa.table({"reason": ["bad_json"]})
    first = opened(block(rows, "dead_letters"))["block"].to_pylist()
    assert first[0] == ""
    assert first[1] != ""


def test_missing_value_of_a_required_column_becomes_its_default() -> None:
    assert opened(block(pa.table({"name": [None]})))["name"].to_pylist() == ["", ""]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pa.table({"nam": ["x"]}), "unknown columns nam"),
        (pa.table({"value": pa.nulls(MAX_ROWS + 1, pa.float64())}), "rows in one block"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: pa.Table, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block(rows)


def test_value_that_does_not_fit_its_column_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        block(pa.table({"partition": [-1]}))


@pytest.mark.parametrize("next_", [{"t@1/0": 4}, {"t@1/1": 9}, {}])
def test_position_must_follow_the_expected_one(next_: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        build_block("events", pa.table({}), written_on=DAY, expected={"t@1/0": 5}, next=next_)


@pytest.mark.parametrize("position", [{"t@1/0": 5}, {}])
def test_block_that_moves_no_position_is_refused(position: dict[str, int]) -> None:
    rows = pa.table({"name": ["a"]})
    with pytest.raises(ValueError, match="moves no position"):
        build_block("judgements", rows, written_on=DAY, expected=position, next=position)


def test_unknown_table_is_named() -> None:
    with pytest.raises(ValueError, match="'event' is no sink table"):
        block(pa.table({}), "event")


def test_every_table_belongs_to_one_writer() -> None:
    writers = {"metrics", "scores", "drift", "alerts", "reprocess"}
    assert {spec.writer for spec in TABLES.values()} == writers
