"""The queue between the app's threads and the worker: bounded by events and by bytes, never waits.

Callers share one re-entrant lock for a handful of instructions (a signal handler or a finalizer
that logs while its own thread is inside must not deadlock); the worker never takes it, so no caller
ever waits for the worker. What callers count (`accepted`, refusals, bytes in) only callers write;
what the worker takes out only the worker writes; the difference is what waits.
"""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import Generic, TypeVar

from streamgauge.producers._counts import Drop

T = TypeVar("T")
_CALLERS_REASONS = (
    Drop.QUEUE_EVENTS,
    Drop.QUEUE_BYTES,
    Drop.AFTER_CLOSE,
    Drop.FORKED,
    Drop.INTERNAL,
)


class Buffer(Generic[T]):
    """A bounded FIFO of entries with their weights in bytes."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._entries: deque[tuple[T, int]] = deque()
        self._lock = RLock()
        self._in_events = 0
        self._in_bytes = 0
        self._out_events = 0
        self._out_bytes = 0
        self._refused = dict.fromkeys(_CALLERS_REASONS, 0)

    def offer(self, entry: T, size: int) -> bool:
        """Take the entry if there is room; else count why not."""
        with self._lock:
            if self._in_events - self._out_events >= self._max_events:
                self._refused[Drop.QUEUE_EVENTS] += 1
                return False
            if self._in_bytes - self._out_bytes + size > self._max_bytes:
                self._refused[Drop.QUEUE_BYTES] += 1
                return False
            self._in_events += 1
            self._in_bytes += size
            self._entries.append((entry, size))
            return True

    def turn_away(self, reason: Drop) -> None:
        """Count an event that was handed over but not even offered."""
        with self._lock:
            self._refused[reason] += 1

    def take(self) -> T | None:
        """The oldest entry, by the worker only; None if nothing waits."""
        try:
            entry, size = self._entries.popleft()
        except IndexError:
            return None
        self._out_events += 1
        self._out_bytes += size
        return entry

    @property
    def accepted(self) -> int:
        """Events handed over so far, refused ones included."""
        return self._in_events + sum(self.refused().values())

    @property
    def waiting(self) -> int:
        """Events not yet taken."""
        return self._in_events - self._out_events

    @property
    def waiting_bytes(self) -> int:
        """Their weight."""
        return self._in_bytes - self._out_bytes

    @property
    def entered(self) -> int:
        """Events that got in so far."""
        return self._in_events

    @property
    def taken(self) -> int:
        """Events that the worker took so far."""
        return self._out_events

    def refused(self) -> dict[Drop, int]:
        """Drops on the caller's side, by reason."""
        return {reason: n for reason, n in self._refused.items() if n}
