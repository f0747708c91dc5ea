"""How old the oldest message is that a partition's reader has not stored. Pure.

Of what was not read yet nobody knows the append time. It came after the last message that is
stored, and after the partition was last seen without lag; the later of the two is taken, so the age
is never told too low by more than the time between two looks.
In: progress as ticks tell it, the wall clock in ms. Out: seconds by source partition.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.contracts.ticks import PartitionProgress


class LagAges:
    """Remembers since when each partition lags."""

    def __init__(self) -> None:
        self._since: dict[str, int | None] = {}  # None: it did not lag at the last look

    def seconds(self, progress: Mapping[str, PartitionProgress], now_ms: int) -> dict[str, float]:
        """0 where nothing waits. A partition that was not there at the last look is a new one."""
        since: dict[str, int | None] = {}
        ages = {}
        for key, p in progress.items():
            if not p.lag:
                since[key], ages[key] = None, 0.0
                continue
            stored_ms = p.last_append if p.last_append is not None else now_ms
            known = self._since.get(key, stored_ms)
            began = since[key] = now_ms if known is None else known
            ages[key] = max(0, now_ms - max(began, stored_ms)) / 1000
        self._since = since
        return ages
