"""Watermarks follow what is stored, lean on the broker's clock, and never go back."""

from __future__ import annotations

from streamgauge.contracts.ticks import PartitionProgress, source_clock_ms
from streamgauge.stream_processors.core.watermark import Latest, Watermarks

A, B = "t@1/0", "t@1/1"


def test_nothing_is_promised_before_it_is_stored() -> None:
    w = Watermarks({A: 0}, {}, 5_000)
    w.absorbed(A, position=10, max_ts=100_000, last_append=100_500)
    assert w.progress({A: 10})[A].watermark_ms is None
    cut = w.snapshot()
    w.absorbed(A, position=20, max_ts=200_000, last_append=200_500)
    w.flushed(cut)
    progress = w.progress({A: 30})[A]
    assert (progress.stored_offset, progress.lag) == (10, 20)
    assert (progress.watermark_ms, progress.max_ts) == (95_000, 100_000)


def test_a_sender_with_a_clock_ahead_cannot_push_it_past_the_append_time() -> None:
    w = Watermarks({A: 0}, {}, 5_000)
    w.absorbed(A, position=1, max_ts=160_000, last_append=100_000)
    w.flushed(w.snapshot())
    assert w.progress({A: 1})[A].watermark_ms == 95_000


def test_it_never_goes_back_and_goes_on_after_a_restart() -> None:
    last = {A: PartitionProgress(stored_offset=9, end_offset=9, watermark_ms=95_000,
                                 max_ts=100_000, last_append=101_000)}  # fmt: skip
    w = Watermarks({A: 7}, last, 30_000)  # a larger lateness would put it back
    assert w.progress({A: 9})[A].watermark_ms == 95_000
    w.absorbed(A, position=9, max_ts=90_000, last_append=102_000)
    w.flushed(w.snapshot())
    assert w.progress({A: 9})[A].watermark_ms == 95_000
    assert w.progress({A: 9})[A].max_ts == 100_000


def test_what_is_read_back_tells_its_times_and_leaves_the_position() -> None:
    w = Watermarks({A: 9}, {}, 5_000)
    w.absorbed(A, position=6, max_ts=100_000, last_append=101_000)
    w.flushed(w.snapshot())
    progress = w.progress({A: 9})[A]
    assert (progress.stored_offset, progress.lag, progress.watermark_ms) == (9, 0, 95_000)


def test_an_end_that_is_not_known_yet_holds_the_clock_back() -> None:
    w = Watermarks({A: 5, B: 5}, {}, 0)
    for key, ts in ((A, 1_000), (B, 9_000)):
        w.absorbed(key, position=6, max_ts=ts, last_append=10_000)
    w.flushed(w.snapshot())
    unknown = w.progress({A: None, B: 6})
    assert source_clock_ms(unknown.values()) == 1_000
    assert source_clock_ms(w.progress({A: 6, B: 6}).values()) == 9_000
    assert w.oldest() == 1_000


def test_after_a_restart_it_is_not_behind_what_is_stored_though_the_last_tick_is() -> None:
    ticked = PartitionProgress(stored_offset=4, end_offset=9, watermark_ms=45_000,
                               max_ts=50_000, last_append=51_000)  # fmt: skip
    below = {A: Latest(100_000, 101_000)}
    w = Watermarks({A: 9, B: 0}, {A: ticked}, 5_000, below)
    assert w.progress({A: 9})[A].watermark_ms == 95_000
    assert w.progress({B: 0})[B].watermark_ms is None
    assert Watermarks({A: 9}, {}, 5_000, below).progress({A: 9})[A].watermark_ms == 95_000
