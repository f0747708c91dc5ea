"""The clock that the ticks of all writers make."""

from __future__ import annotations

import pytest

from streamgauge.contracts.tick_book import UNHEARD_MS, TickBook
from streamgauge.contracts.ticks import PartitionProgress, Tick, Writer

SRC = "llm.events.v1@aaaaaaaa"


def progress(mark: int | None, *, lag: int = 0, stored: int = 5) -> PartitionProgress:
    return PartitionProgress(
        stored_offset=stored, end_offset=stored + lag, watermark_ms=mark, max_ts=mark
    )


def tick(
    *, generation: int = 1, writer: Writer = Writer.METRICS, completeness: float | None = 1.0,
    **partitions: PartitionProgress,
) -> Tick:  # fmt: skip
    """p0=..., p1=...: partitions of SRC."""
    return Tick(
        v=1, writer=writer, instance="i", generation=generation, wall_ms=0,
        partitions={f"{SRC}/{name[1:]}": p for name, p in partitions.items()},
        completeness=completeness,
    )  # fmt: skip


def book(*, live: bool = False) -> TickBook:
    return TickBook(live=live, lateness_ms=5000)


def test_lowest_of_the_partitions_that_lag_holds_the_clock() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(100, lag=1), p1=progress(900)), 1)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.open_ms, clock.held) == (100, 900, True)


def test_partitions_without_lag_do_not_hold_it() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(100), p1=progress(900)), 1)
    assert ticks.clock("metrics").watermark_ms == 900


def test_live_clock_goes_on_in_silence_and_a_replay_clock_does_not() -> None:
    for live, expected in ((True, 95_000), (False, 900)):
        ticks = book(live=live)
        ticks.absorb(tick(p0=progress(900)), 100_000)
        assert ticks.clock("metrics").watermark_ms == expected


def test_clock_never_goes_back() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(900)), 1)
    assert ticks.clock("metrics").watermark_ms == 900
    ticks.absorb(tick(p0=progress(400, lag=3)), 2)
    assert ticks.clock("metrics").watermark_ms == 900


def test_partition_that_nobody_reports_is_taken_as_behind() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(100), p1=progress(100)), 0)
    ticks.absorb(tick(p1=progress(900)), UNHEARD_MS + 1)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.held, clock.completeness) == (100, True, 0.5)


def test_tick_of_an_older_generation_is_a_zombies() -> None:
    ticks = book()
    ticks.absorb(tick(generation=2, p0=progress(500)), 1)
    ticks.absorb(tick(generation=1, p0=progress(900)), 2)
    assert ticks.clock("metrics").watermark_ms == 500


def test_tick_from_the_future_does_not_move_the_clock_for_good() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(900)), 1)
    ticks.absorb(tick(generation=9, p0=progress(99_999_999_999_999)), 2)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.open_ms) == (900, 900)
    ticks.absorb(tick(p0=progress(1_900)), 3)  # nor does its generation silence the owner
    assert ticks.clock("metrics").watermark_ms == 1_900


def test_topic_made_anew_replaces_its_former_life() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(100, lag=9)), 1)
    new = tick(p0=progress(700)).model_copy(
        update={"partitions": {"llm.events.v1@bbbbbbbb/0": progress(700)}}
    )
    ticks.absorb(new, 2)
    assert ticks.clock("metrics").watermark_ms == 700
    ticks.absorb(tick(p0=progress(100, lag=9)), 1)
    assert not ticks.clock("metrics").held, "a late tick of the old topic changes nothing"


@pytest.mark.parametrize("live", [True, False])
def test_source_that_died_while_other_writers_live_on_is_held_and_its_clock_stands(
    live: bool,
) -> None:
    ticks = book(live=live)
    ticks.absorb(tick(p0=progress(95_000)), 100_000)
    before = ticks.clock("metrics").watermark_ms
    for at in range(101_000, 3_700_000, 1000):
        ticks.absorb(tick(writer=Writer.SCORES, p0=progress(at)), at)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.held, clock.completeness) == (before, True, 0.0)


def test_source_that_was_never_heard_of_is_held() -> None:
    ticks = book(live=True)
    ticks.absorb(tick(writer=Writer.SCORES, p0=progress(900)), 100_000)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.held, clock.completeness) == (None, True, 0.0)


def test_broker_time_counts_up_to_the_oldest_report_since_what_came_later_may_not_be_stored() -> (
    None
):
    ticks = book(live=True)
    ticks.absorb(tick(p0=progress(900), p1=progress(900)), 100_000)
    ticks.absorb(tick(p1=progress(900)), 109_000)  # the owner of p0 died, nobody knows yet
    assert ticks.clock("metrics").watermark_ms == 95_000


def test_partitions_that_nobody_ever_reported_hold_the_clock_and_the_completeness_says_so() -> None:
    ticks = book()
    ticks.absorb(tick(p0=progress(900), completeness=0.25), 1)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.held, clock.completeness) == (None, True, 0.25)
    ticks.absorb(tick(p1=progress(900), p2=progress(900), p3=progress(900), completeness=0.75), 2)
    clock = ticks.clock("metrics")
    assert (clock.watermark_ms, clock.held, clock.completeness) == (900, False, 1.0)


def test_caller_who_knows_the_partitions_waits_for_each_of_them() -> None:
    ticks = book()
    keys = {f"{SRC}/0", f"{SRC}/1"}
    ticks.absorb(tick(p0=progress(900), completeness=None), 1)
    assert ticks.clock("metrics", keys=keys).watermark_ms is None
    ticks.absorb(tick(p1=progress(700), completeness=None), 2)
    assert ticks.clock("metrics", keys=keys).watermark_ms == 900
