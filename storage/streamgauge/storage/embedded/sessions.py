"""Named sessions: a handle that outlives its request, so that temporary tables and SET do too.

One request at a time per session (ClickHouse's SESSION_IS_LOCKED); a session ends when it was not
used for its time-out. Reader accounts get none: they can neither set nor create anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from streamgauge.storage.embedded.engine import Handle
from streamgauge.storage.embedded.errors import (
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    TOO_MANY_QUERIES,
    EngineError,
)


@dataclass(slots=True)
class _Session:
    handle: Handle | None
    ends_at: float
    busy: bool = True


class Sessions:
    """Sessions of one server. Not thread-safe: used from the event loop alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sessions: dict[str, _Session] = {}

    def take(self, name: str, *, must_exist: bool) -> Handle | None:
        """The session's handle, now busy; None for a new session (give it one with `give`)."""
        session = self._sessions.get(name)
        if session is None:
            if must_exist:
                raise EngineError.of(SESSION_NOT_FOUND, f"Session {name!r} not found")
            if len(self._sessions) >= self._limit:
                raise EngineError.of(TOO_MANY_QUERIES, f"{self._limit} sessions are open")
            self._sessions[name] = _Session(None, 0.0)
            return None
        if session.busy:
            raise EngineError.of(SESSION_IS_LOCKED, f"Session {name!r} is locked by a query")
        session.busy = True
        return session.handle

    def give(self, name: str, handle: Handle | None, ends_at: float) -> None:
        """End of a request: keep the handle until then (event-loop time), or forget the session."""
        if handle is None:
            self._sessions.pop(name, None)
            return
        self._sessions[name] = _Session(handle, ends_at, busy=False)

    def expire(self, now: float) -> list[Handle]:
        """Forget sessions whose time is over; their handles are to be closed."""
        over = [n for n, s in self._sessions.items() if not s.busy and s.ends_at <= now]
        return [h for n in over if (h := self._sessions.pop(n).handle) is not None]

    async def run_expiry(self, close: Callable[[Handle], None]) -> None:
        """Expire for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(2)
            for handle in self.expire(loop.time()):
                await loop.run_in_executor(None, close, handle)
