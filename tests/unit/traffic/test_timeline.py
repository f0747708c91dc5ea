"""Time: shifts by whole minutes, heartbeats on the grid, pace."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamgauge.contracts.clock import ManualClock
from streamgauge.producers.traffic.timeline import (
    Beat,
    Pacer,
    heartbeat_every,
    shift_to_now,
    with_heartbeats,
)


def at(*times: int) -> list[dict[str, Any]]:
    return [{"ts": ts} for ts in times]


def times(items: list[dict[str, Any] | Beat]) -> list[tuple[str, int]]:
    return [("beat", i.ts) if isinstance(i, Beat) else ("event", i["ts"]) for i in items]


@given(st.integers(0, 2 * 10**12), st.integers(0, 2 * 10**12))
def test_shift_is_whole_minutes_and_ends_two_to_three_minutes_ago(last: int, now: int) -> None:
    shift = shift_to_now(last, now)
    assert shift % 60_000 == 0
    assert 120_000 <= now - (last + shift) < 180_000


def test_heartbeats_come_at_the_start_every_ten_seconds_and_to_the_end_of_the_tail() -> None:
    items = list(with_heartbeats(at(1_000, 1_000, 12_000, 35_000), tail_ms=12_000))
    assert times(items) == [
        ("beat", 1_000),
        ("event", 1_000),
        ("event", 1_000),
        ("beat", 11_000),
        ("event", 12_000),
        ("beat", 21_000),
        ("beat", 31_000),
        ("event", 35_000),
        ("beat", 41_000),
        ("beat", 47_000),
    ]


def test_event_on_the_grid_comes_before_its_heartbeat() -> None:
    items = list(with_heartbeats(at(0, 10_000, 10_000), tail_ms=0))
    assert times(items) == [
        ("beat", 0),
        ("event", 0),
        ("event", 10_000),
        ("event", 10_000),
        ("beat", 10_000),
    ]


@given(st.lists(st.integers(0, 200_000), min_size=1), st.integers(0, 60_000))
def test_no_event_follows_a_heartbeat_that_is_later_than_it(found: list[int], tail: int) -> None:
    items = times(list(with_heartbeats(at(*sorted(found)), tail_ms=tail)))
    assert [t for _, t in items] == sorted(t for _, t in items)
    beats = [t for kind, t in items if kind == "beat"]
    assert all(b - a <= 10_000 for a, b in pairwise(beats))
    assert beats[-1] == max(found) + tail
    assert sum(kind == "event" for kind, _ in items) == len(found)


def test_traffic_without_events_has_heartbeats_only_if_its_start_is_known() -> None:
    assert list(with_heartbeats([], tail_ms=5_000)) == []
    assert times(list(with_heartbeats([], start_ms=1, tail_ms=5_000))) == [
        ("beat", 1),
        ("beat", 5_001),
    ]


def test_long_traffic_has_about_two_thousand_heartbeats() -> None:
    assert heartbeat_every(3_600_000) == 10_000
    fortnight = 14 * 86_400_000
    assert 2_000 <= fortnight / heartbeat_every(fortnight) <= 2_160


def test_speed_sixty_makes_a_minute_of_events_last_a_second() -> None:
    clock = ManualClock()
    pacer = Pacer(clock, 60)
    assert pacer.wait_s(5_000_000) == 0
    assert pacer.wait_s(5_060_000) == 1.0
    clock.advance(1.5)
    assert pacer.wait_s(5_060_000) == -0.5


def test_speed_zero_never_waits() -> None:
    pacer = Pacer(ManualClock(), 0)
    assert pacer.wait_s(0) == 0
    assert pacer.wait_s(10**12) == 0
