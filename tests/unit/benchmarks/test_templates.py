"""Events from templates are the benchmark's usual ones, only made at less cost."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from benchmarks.load import SPACING_MS, T0_MS, events
from benchmarks.templates import POOL, app_of, render

from streamgauge.stream_processors.reading.decode import RunDecoder

PARTITIONS = 8


def rendered(n: int, start: int = 0) -> list[tuple[int, dict[str, object]]]:
    values = render(n, start, partitions=PARTITIONS, ts_ms=lambda i: T0_MS + i * SPACING_MS)
    return [(partition, json.loads(value)) for partition, value in values]


def test_they_are_the_usual_events_but_for_the_id() -> None:
    usual = [(p, json.loads(v)) for p, v in events(POOL, partitions=PARTITIONS)]
    for (partition, event), (expected_partition, expected) in zip(
        rendered(POOL), usual, strict=True
    ):
        assert partition == expected_partition
        assert event | {"id": ""} == expected | {"id": ""}
        assert list(event) == list(expected)


def test_an_event_is_the_same_wherever_a_rendering_begins() -> None:
    assert rendered(100, start=POOL - 50) == rendered(POOL + 50)[-100:]


def test_ids_and_numbers_of_clients_never_come_twice() -> None:
    many = [event for _, event in rendered(3 * POOL)]
    assert len({event["id"] for event in many}) == len(many)
    seqs: dict[object, list[object]] = {}
    for event in many:
        seqs.setdefault(event["producer_id"], []).append(event["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in seqs.values())


def test_time_is_asked_for_when_an_event_is_made() -> None:
    asked: list[int] = []

    def clock(i: int) -> int:
        asked.append(i)
        return i

    values = render(1_000, 7, partitions=PARTITIONS, ts_ms=clock)
    assert [json.loads(value)["ts"] for _, value in islice(values, 2)] == [7, 8]
    assert asked == [7, 8]


def test_partitions_must_divide_the_templates() -> None:
    with pytest.raises(ValueError, match="7 partitions: expected a divisor of 8000"):
        next(render(1, 0, partitions=7, ts_ms=lambda i: i))


def test_they_are_valid_and_each_partition_may_have_an_app_of_its_own() -> None:
    many = list(render(200, 0, partitions=PARTITIONS, ts_ms=lambda i: T0_MS + i, own_apps=True))
    events_ = RunDecoder().decode([value for _, value in many])
    assert [getattr(event, "app", None) for event in events_] == [app_of(p) for p, _ in many]
