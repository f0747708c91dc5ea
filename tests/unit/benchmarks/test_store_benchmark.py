"""The pure parts of the benchmark of the store: its traffic, its ten questions, its plain table."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from benchmarks.store.plain import plain_type
from benchmarks.store.queries import QUERIES, difference
from benchmarks.store.traffic import Messages, Traffic
from benchmarks.store.world import BLOCK, DAY_MS, DAYS, PARTITIONS

from streamgauge.contracts.events.parse import parse_event
from streamgauge.producers._fields import REQUEST

BEGIN_MS = 1_790_000_000_000
TRAFFIC = Traffic(70 * BLOCK, BEGIN_MS)


def decoded(block: list[Messages]) -> list[dict[str, Any]]:
    return [json.loads(value) for messages in block for value in messages.values]


def test_a_block_is_the_same_whenever_it_is_made_and_ends_where_the_next_begins() -> None:
    offsets = list(TRAFFIC.offsets())
    assert len(offsets) == TRAFFIC.blocks + 1
    assert offsets[0] == [0] * PARTITIONS
    assert sum(offsets[-1]) == TRAFFIC.events
    block = TRAFFIC.block(7)
    assert block == Traffic(70 * BLOCK, BEGIN_MS).block(7)
    moved = [after - before for before, after in zip(offsets[7], offsets[8], strict=True)]
    assert [len(messages.values) for messages in block] == moved


def test_events_are_what_our_contract_takes_and_our_client_would_send() -> None:
    events = decoded(TRAFFIC.block(0))
    assert len({event["id"] for event in events}) == BLOCK
    for event in events[::500]:
        parse_event(json.dumps(event).encode())
        for name in event.keys() & REQUEST.keys():
            assert REQUEST[name](event[name]) == event[name], name
        assert event["id"].startswith(event["producer_id"] + "-")
        assert not {"input_text", "output_text", "input_hash", "output_hash"} & event.keys()
    failed = sum(event["status"] != "ok" for event in events)
    assert 0.015 < failed / BLOCK < 0.025
    assert 1.8 < BLOCK / len({event["trace_id"] for event in events}) < 3


def test_hashes_of_texts_come_when_they_are_asked_for() -> None:
    events = decoded(Traffic(BLOCK, BEGIN_MS, hashes=True).block(0))
    assert len({event["input_hash"] for event in events}) == BLOCK
    assert {event["content"] for event in events} == {"hash"}


def test_numbers_of_a_client_have_no_gap_over_blocks_of_a_day_and_its_partitions_keep_order() -> (
    None
):
    seqs: dict[str, list[int]] = {}
    for number in range(6):  # five blocks are a day
        for messages in TRAFFIC.block(number):
            assert all(a <= b for a, b in pairwise(messages.append_ms))
            for value in messages.values:
                event = json.loads(value)
                seqs.setdefault(event["producer_id"], []).append(event["seq"])
    assert len(seqs) == 120
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in seqs.values())


def test_days_are_as_many_as_said_and_have_a_peak() -> None:
    times = [event["ts"] for k in (0, 69) for event in decoded(TRAFFIC.block(k))]
    assert min(times) >= BEGIN_MS
    assert BEGIN_MS + DAYS * DAY_MS - 3_600_000 < max(times) < BEGIN_MS + DAYS * DAY_MS
    hours = Counter(
        (event["ts"] - BEGIN_MS) // 3_600_000
        for k in range(5)
        for event in decoded(TRAFFIC.block(k))
    )
    assert 3.5 < max(hours.values()) / min(hours.values()) < 7


def test_a_number_that_is_no_whole_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=f"30000 events: a multiple of {BLOCK}"):
        Traffic(30_000, BEGIN_MS)


def test_ten_different_questions() -> None:
    assert len({query.question for query in QUERIES}) == 10
    assert all(" v_" in query.ours and "plain.events" in query.plain for query in QUERIES)


@pytest.mark.parametrize(
    ("ours", "plain", "found"),
    [
        ([{"a": 1, "x": 100.0}], [{"a": 1, "x": 101.0}], ""),
        ([{"a": 1, "x": 100.0}], [{"a": 1, "x": 102.0}], "row 0, x: 100.0, 102.0"),
        ([{"a": 100}], [{"a": 101}], "row 0, a: 100, 101"),
        ([{"a": 1}], [{"a": 1}, {"a": 2}], "1 rows, 2"),
        ([], [], "no rows"),
    ],
)
def test_answers_differ_by_more_than_a_percent_or_in_anything_that_is_no_fraction(
    ours: list[dict[str, Any]], plain: list[dict[str, Any]], found: str
) -> None:
    said = difference(ours, plain)
    assert said.startswith(found)
    assert bool(said) == bool(found)


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        ("LowCardinality(String)", "String"),
        ("Nullable(UInt16)", "Nullable(Int64)"),
        ("DateTime64(3, 'UTC')", "DateTime64(3, 'UTC')"),
        ("Nullable(Float64)", "Nullable(Float64)"),
    ],
)
def test_plain_types(ours: str, plain: str) -> None:
    assert plain_type(ours) == plain
