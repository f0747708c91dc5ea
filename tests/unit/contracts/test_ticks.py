"""The clock of a source."""

from __future__ import annotations

import pytest

from streamgauge.contracts.ticks import PartitionProgress, source_clock_ms


def partition(lag: int, watermark_ms: int | None) -> PartitionProgress:
    return PartitionProgress(stored_offset=100, end_offset=100 + lag, watermark_ms=watermark_ms)


@pytest.mark.parametrize(
    ("partitions", "live_ms", "clock"),
    [
        ([], None, None),
        ([], 9_000, None),
        ([partition(0, None)], None, None),
        ([partition(0, None)], 9_000, 9_000),
        ([partition(0, 4_000), partition(0, 7_000)], None, 7_000),
        ([partition(0, 4_000), partition(0, 7_000)], 9_000, 9_000),
        ([partition(0, 9_500)], 9_000, 9_500),
        ([partition(3, 4_000), partition(0, 7_000)], None, 4_000),
        ([partition(3, 4_000), partition(0, 7_000)], 9_000, 4_000),
        ([partition(3, 4_000), partition(1, 2_000)], None, 2_000),
        ([partition(3, None), partition(1, 2_000)], 9_000, None),
    ],
)
def test_source_clock(
    partitions: list[PartitionProgress], live_ms: int | None, clock: int | None
) -> None:
    """Lowest watermark of those with lag; if none has lag the highest of all, or the live clock."""
    assert source_clock_ms(partitions, live_ms=live_ms) == clock


def test_lag_is_never_negative() -> None:
    assert PartitionProgress(stored_offset=5, end_offset=3).lag == 0
