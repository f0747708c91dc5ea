"""Which steps of a rule are due. Pure.

A rule is judged on a fixed grid of event time: multiples of `every` since the epoch. A clock that
jumps makes all the steps between due, in order, so a replay at any speed finds the same.
"""

from __future__ import annotations


def floor_step(t_ms: int, every_ms: int) -> int:
    """The last step at or before a time."""
    return t_ms // every_ms * every_ms


def due(
    last_ms: int, watermark_ms: int, every_ms: int, *, limit: int, oldest_ms: int | None = None
) -> list[int]:
    """Steps after `last_ms` up to the watermark, ascending, at most `limit`, the oldest first.

    oldest_ms: steps before it are given up (bounded catch-up after an outage).

    >>> due(20, 65, 10, limit=3), due(20, 65, 10, limit=9, oldest_ms=45), due(60, 65, 10, limit=9)
    ([30, 40, 50], [50, 60], [])
    """
    first = floor_step(last_ms, every_ms) + every_ms
    if oldest_ms is not None and oldest_ms > first:
        first = -(-oldest_ms // every_ms) * every_ms
    last = floor_step(watermark_ms, every_ms)
    return list(range(first, min(last, first + (limit - 1) * every_ms) + 1, every_ms))


def open_steps(last_ms: int, open_ms: int, every_ms: int, *, limit: int) -> list[int]:
    """Steps after `last_ms` whose windows have begun to fill: to the one that ends after `open_ms`.

    At most `limit`, the newest ones.
    """
    first = floor_step(last_ms, every_ms) + every_ms
    end = -(-(open_ms + 1) // every_ms) * every_ms
    return list(range(max(first, end - (limit - 1) * every_ms), end + 1, every_ms))
