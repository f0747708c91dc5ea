"""Benchmark events at little cost: the usual ones as byte templates with slots for what changes.

    for partition, value in render(1_000, start=0, partitions=8, ts_ms=lambda i: T0_MS + i): ...

An event costs about a microsecond, so that a sender leaves the machine to what is measured. What is
no slot (labels, durations, tokens, text) comes again after POOL events: enough for counts and cost,
too regular to judge the size of a store by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from benchmarks.load import PRODUCERS, events

POOL = 8_000
RUN = 500
"""Events in a row of one client in a partition."""
_ODD = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MASK = (1 << 128) - 1
_SLOTS = {"id": "%032x", "ts": "%d", "producer_id": "c%03d%03d", "seq": "%d"}
"""In the order in which they stand in an event."""


def app_of(partition: int) -> str:
    """The app of a partition's events, if each partition has its own."""
    return f"app-{partition}"


def render(
    n: int, start: int, *, partitions: int, ts_ms: Callable[[int], int], own_apps: bool = False
) -> Iterator[tuple[int, bytes]]:
    """(partition, value) of the events number start to start + n - 1.

    ts_ms: time of event i, asked for when it is made. An event's number gives its id, its client
    and the client's number for it, so what has one number is the same event, however it is sent.
    own_apps: each partition has an app of its own, so that windows tell partitions apart.
    """
    pool = _pool(partitions, own_apps)
    for i in range(start, start + n):
        partition, turn = i % partitions, i // partitions
        lap, place = divmod(turn, RUN * PRODUCERS)
        client, step = divmod(place, RUN)
        yield (
            partition,
            pool[i % POOL] % (i * _ODD & _MASK, ts_ms(i), partition, client, lap * RUN + step + 1),
        )


@cache
def _pool(partitions: int, own_apps: bool) -> list[bytes]:
    """Templates; partition p has those of p, p + partitions and so on."""
    if POOL % partitions:
        raise ValueError(f"{partitions} partitions: expected a divisor of {POOL}")
    return [
        _template(value, {"app": app_of(partition)} if own_apps else {})
        for partition, value in events(POOL, partitions=partitions)
    ]


def _template(value: bytes, own: Mapping[str, str]) -> bytes:
    event = json.loads(value) | own | {name: f"@{name}" for name in _SLOTS}
    text = json.dumps(event, separators=(",", ":")).replace("%", "%%")
    for name, slot in _SLOTS.items():
        quoted = json.dumps(slot) if name in ("id", "producer_id") else slot
        text = text.replace(f'"@{name}"', quoted)
    return text.encode()
