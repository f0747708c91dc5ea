"""Lag in seconds: as old as what waits, and never for ever after a silence."""

from __future__ import annotations

from streamgauge.contracts.ticks import PartitionProgress
from streamgauge.stream_processors.core.lag import LagAges

T = 1_790_000_000_000


def progress(stored: int, end: int, last_append: int | None) -> dict[str, PartitionProgress]:
    return {
        "t@1/0": PartitionProgress(
            stored_offset=stored, end_offset=end, watermark_ms=None, max_ts=None,
            last_append=last_append,
        )
    }  # fmt: skip


def test_nothing_waits_so_nothing_is_old() -> None:
    assert LagAges().seconds(progress(5, 5, T), T + 60_000) == {"t@1/0": 0.0}


def test_a_reader_that_falls_behind_is_as_old_as_what_it_has_stored() -> None:
    ages = LagAges()
    for second in range(1, 20):
        found = ages.seconds(progress(5, 5 + second, T), T + second * 1000)
        assert found == {"t@1/0": float(second)}


def test_under_load_the_lag_stays_that_of_the_last_stored_message() -> None:
    ages = LagAges()
    for second in range(1, 600):  # it never reaches the end, and is half a second behind
        now = T + second * 1000
        assert ages.seconds(progress(second, second + 9, now - 500), now) == {"t@1/0": 0.5}


def test_an_event_after_an_hour_of_silence_is_not_an_hour_old() -> None:
    ages = LagAges()
    hour = 3_600_000
    ages.seconds(progress(5, 5, T), T + hour)
    assert ages.seconds(progress(5, 6, T), T + hour + 1000) == {"t@1/0": 0.0}
    assert ages.seconds(progress(5, 6, T), T + hour + 4000) == {"t@1/0": 3.0}


def test_a_partition_that_was_taken_over_is_as_old_as_what_its_last_owner_stored() -> None:
    ages = LagAges()
    assert ages.seconds(progress(5, 9, T), T + 30_000) == {"t@1/0": 30.0}
    assert ages.seconds({}, T + 31_000) == {}
    assert ages.seconds(progress(7, 9, T + 20_000), T + 40_000) == {"t@1/0": 20.0}


def test_of_a_partition_that_nobody_has_read_only_the_wait_here_is_known() -> None:
    ages = LagAges()
    assert ages.seconds(progress(0, 9, None), T) == {"t@1/0": 0.0}
    assert ages.seconds(progress(0, 9, None), T + 5000) == {"t@1/0": 0.0}
