"""The benchmarks' cheap events are the usual ones, with other times, ids and numbers."""

from __future__ import annotations

import json
from collections import defaultdict

from benchmarks.load import events
from benchmarks.templates import POOL, app_of, render

from streamgauge.stream_processors.reading.decode import Refusal, decode_values

PARTITIONS = 2
NOW_MS = 1_795_000_000_000
OWN = {"id", "ts", "seq", "producer_id"}


def rendered(n: int, start: int = 0, *, own_apps: bool = False) -> list[tuple[int, bytes]]:
    return list(
        render(n, start, partitions=PARTITIONS, ts_ms=lambda i: NOW_MS + i, own_apps=own_apps)
    )


def test_a_rendered_event_is_the_usual_one_but_for_its_own_fields() -> None:
    usual = list(events(500, partitions=PARTITIONS))
    for i, ((partition, value), (_, model)) in enumerate(zip(rendered(500), usual, strict=True)):
        event, expected = json.loads(value), json.loads(model)
        assert partition == i % PARTITIONS
        assert list(event) == list(expected)
        assert {k: v for k, v in event.items() if k not in OWN} == {
            k: v for k, v in expected.items() if k not in OWN
        }
        assert event["ts"] == NOW_MS + i
        assert {k: event[k] for k in ("producer_id", "seq")} == {
            k: expected[k] for k in ("producer_id", "seq")
        }
        assert abs(len(value) - len(model)) < 30


def test_each_partition_may_have_an_app_of_its_own() -> None:
    for partition, value in rendered(100, own_apps=True):
        assert json.loads(value)["app"] == app_of(partition)


def test_rendered_events_are_valid_and_no_client_repeats_a_number() -> None:
    values = [value for _, value in rendered(3 * POOL, own_apps=True)]
    assert len({json.loads(value)["id"] for value in values}) == len(values)
    numbers: dict[str, list[int]] = defaultdict(list)
    for value, found in zip(values, decode_values(values), strict=True):
        assert not isinstance(found, Refusal), found
        event = json.loads(value)
        numbers[event["producer_id"]].append(event["seq"])
    for seen in numbers.values():
        assert seen == list(range(1, len(seen) + 1))
