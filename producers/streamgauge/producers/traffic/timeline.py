"""When traffic happens: shift to now, heartbeats on the way, pace. Pure but for the given clock.

In: events in order of `ts`. Out: the same events with `Beat`s between them, and how long to wait
for each. Not here: what a heartbeat looks like and where it goes (sender.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamgauge.contracts.bounds import HEARTBEAT_MS
from streamgauge.contracts.clock import Clock
from streamgauge.producers.traffic.model import Event

MINUTE_MS = 60_000
END_AGO_MS = 2 * MINUTE_MS
LONG_SPAN_MS = 6 * 3_600_000
MAX_BEATS = LONG_SPAN_MS // HEARTBEAT_MS


@dataclass(frozen=True, slots=True)
class Beat:
    """Here a heartbeat goes to every partition: all events with a smaller `ts` came before it."""

    ts: int


def shift_to_now(last_ms: int, now_ms: int, *, end_ago_ms: int = END_AGO_MS) -> int:
    """Whole minutes, in ms, to add so that `last_ms` ends 2 to 3 minutes before `now_ms`.

    Whole minutes, so that per-minute figures of the trace stay what they are.
    """
    return (now_ms - end_ago_ms - last_ms) // MINUTE_MS * MINUTE_MS


def heartbeat_every(span_ms: int) -> int:
    """Event time between heartbeats, ms: 10 s; over 6 hours so many that there are 2,160 in all."""
    if span_ms <= LONG_SPAN_MS:
        return HEARTBEAT_MS
    return -(-span_ms // MAX_BEATS // 1000) * 1000


def with_heartbeats(
    events: Iterable[Event],
    *,
    start_ms: int | None = None,
    tail_ms: int = 0,
    every_ms: int = HEARTBEAT_MS,
) -> Iterator[Event | Beat]:
    """Events with a beat at the start, each `every_ms` of event time, and `tail_ms` past the end.

    start_ms: first beat; the first event's `ts` if None. The last beat is at last `ts` + tail_ms.
    """
    beat = start_ms
    if beat is not None:
        yield Beat(beat)
    last = start_ms
    for event in events:
        ts = event["ts"]
        if beat is None:
            beat = ts
            yield Beat(beat)
        while beat + every_ms < ts:
            beat += every_ms
            yield Beat(beat)
        yield event
        last = ts
    if beat is None or last is None:
        return
    end = last + tail_ms
    while beat + every_ms < end:
        beat += every_ms
        yield Beat(beat)
    if beat < end:
        yield Beat(end)


class Pacer:
    """Says how long to wait so that event time runs `speed` times as fast as the clock.

    speed 0: never wait. The first `ts` asked for is now.
    """

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock = clock
        self._speed = speed
        self._began = clock.monotonic()
        self._origin_ms: int | None = None

    def wait_s(self, ts: int) -> float:
        """Seconds until it is time for this event; negative: it is that much behind."""
        if self._origin_ms is None:
            self._origin_ms, self._began = ts, self._clock.monotonic()
        if self._speed <= 0:
            return 0.0
        due = self._began + (ts - self._origin_ms) / 1000 / self._speed
        return due - self._clock.monotonic()

    def elapsed_s(self) -> float:
        """Seconds since the first event."""
        return self._clock.monotonic() - self._began
