"""What is absorbed and not yet cut: when a flush is due, and when reading must wait.

Bounded by events and by bytes: 50,000 events of 64 KiB would be 3 GB. While a flush is under way
the next one grows, GROWTH times at most: fewer, larger blocks cost the store less.
In: chunks that the processor took. Out: `wait_due` for the flush, `wait_room` for the reader.
Not here: what is fetched and waits to be absorbed (chunk_transport.py, faust_app.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from streamgauge.stream_processors.core.chunks import Chunk

GROWTH = 3


class Backlog:
    """Events and payload bytes that wait for the next flush. Belongs to the worker's loop."""

    def __init__(self, *, flush_events: int, flush_bytes: int, most_events: int) -> None:
        """flush_*: so many do not wait for the flush timer. most_events: of one flush, ever."""
        self._flush_events, self._flush_bytes = flush_events, flush_bytes
        self._most_events = min(most_events, GROWTH * flush_events)
        self._most_bytes = GROWTH * flush_bytes
        self.events = 0
        self.bytes = 0
        self._due, self._room = asyncio.Event(), asyncio.Event()

    @property
    def due(self) -> bool:
        """Enough for a flush."""
        return self.events >= self._flush_events or self.bytes >= self._flush_bytes

    @property
    def full(self) -> bool:
        """Nothing more may be absorbed before the flush has taken this."""
        return self.events >= self._most_events or self.bytes >= self._most_bytes

    def add(self, chunk: Chunk) -> None:
        """The processor has it. Control records alone are a step, too: they end the lag."""
        self.events += max(len(chunk), 1)
        self.bytes += sum(map(len, filter(None, chunk.values)))
        if self.due:
            self._due.set()

    def clear(self) -> None:
        """It was cut, or dropped."""
        self.events = self.bytes = 0
        self._room.set()

    async def wait_due(self, seconds: float) -> None:
        """Until there is enough for a flush, `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), seconds)
        self._due.clear()

    async def wait_room(self, still: Callable[[], bool]) -> None:
        """Until more may be absorbed, or `still` says that nobody waits any more."""
        while self.full and still():
            self._room.clear()
            await self._room.wait()
