"""The calls that have begun and not ended: seen by the heartbeat before they end, or hang.

Bounded: beyond MAX the oldest is no longer reported. Safe from any thread without a lock: single
dict operations only.
"""

from __future__ import annotations

import time
from typing import Any, Final

from streamgauge.contracts.bounds import MAX_DURATION_MS, MAX_OPEN_CALLS

MAX: Final = 10_000


class OpenCalls:
    """Calls by id, oldest first."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[float, str, bool]] = {}

    def __len__(self) -> int:
        """How many are open."""
        return len(self._calls)

    def add(self, call_id: str, model: str, started: float) -> bool:
        """Register a call; False if the oldest had to go for it. `started`: monotonic seconds."""
        self._calls[call_id] = (started, model, False)
        if len(self._calls) <= MAX:
            return True
        self._calls.pop(next(iter(self._calls), call_id), None)
        return False

    def first_token(self, call_id: str) -> None:
        """Note that content has come."""
        call = self._calls.get(call_id)
        if call is not None:
            self._calls[call_id] = (call[0], call[1], True)

    def remove(self, call_id: str) -> None:
        """The call has ended."""
        self._calls.pop(call_id, None)

    def report(self) -> dict[str, Any]:
        """The heartbeat's part: how many, the age of the oldest, and the oldest ones."""
        now = time.monotonic()
        calls = sorted(self._calls.copy().items(), key=lambda item: item[1][0])
        if not calls:
            return {"open_calls": 0}

        def age_ms(started: float) -> float:
            return min(max(0.0, round((now - started) * 1000, 1)), MAX_DURATION_MS)

        return {
            "open_calls": len(calls),
            "open_oldest_ms": age_ms(calls[0][1][0]),
            "open": [
                {"call_id": i, "age_ms": age_ms(started), "first_token": first}
                | ({"model": model} if model else {})
                for i, (started, model, first) in calls[:MAX_OPEN_CALLS]
            ],
        }
