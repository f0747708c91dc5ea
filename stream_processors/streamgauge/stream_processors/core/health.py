"""Whether a worker makes progress, and whether it can work: what /healthz and /readyz answer.

Alive: its loop beats, its flush thread has not been at one thing for longer than that may take, and
what it has not stored yet moves. A supervisor ends and restarts a process that is not alive.
Ready: its positions are known, Kafka and the store answer, its last attempt to write went through.
A worker waits for whatever is away; it is alive then, not ready.
In: what the loop and the flush thread note, `now` in seconds of a clock that never goes back. Out:
what is wrong, in words. Not here: HTTP (endpoint.py), the looking (worker.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOP_S = 15.0
"""The loop beats once a second; a run of messages holds it for a fraction of one."""
STAGE_S = 120.0
"""One attempt at Kafka or the store; each has a time-out below that (writer.PATIENCE_S)."""
LONG_STAGE_S = {"build": 900.0, "recall": 900.0}
"""Scoring the texts of a flush, reading back what must be remembered: these may take long."""
STALL_S = 1_200.0
"""Something is not stored, nothing is in the way, and nothing moves."""
IDLE = "idle"


class Vitals:
    """Noted by the worker's loop and its flush thread, read by the endpoint's threads.

    Every note is one step of the interpreter (a value replaced, an entry set or taken away), so no
    lock is needed and no note of another thread is undone.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._beat_s = self._moved_s = now()
        self._stage = (IDLE, now())
        self._lagging = False
        self._missing = dict.fromkeys(("positions", "kafka", "store"), "not known yet")

    # -- notes -------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The loop turns."""
        self._beat_s = self._now()

    def moved(self) -> None:
        """Something was absorbed or stored."""
        self._moved_s = self._now()

    def lags(self, lag: int) -> None:
        """So many offsets are not stored."""
        self._lagging = lag > 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The flush thread is at this until the block ends. An attempt each: do not nest."""
        self._stage = (name, self._now())
        try:
            yield
        finally:
            self._stage = (IDLE, self._now())

    def missing(self, what: str, why: str) -> None:
        """It cannot work without this: positions, kafka, store, flush; or it is stopping."""
        self._missing[what] = why

    def found(self, what: str) -> None:
        """It is there."""
        self._missing.pop(what, None)

    # -- answers -----------------------------------------------------------------------------------

    def sick(self) -> dict[str, str]:
        """What does not make progress, and for how long; empty while it is alive."""
        now, found = self._now(), {}
        if now - self._beat_s > LOOP_S:
            found["loop"] = f"has not turned for {now - self._beat_s:.0f} s"
        stage, since = self._stage
        if stage != IDLE and now - since > LONG_STAGE_S.get(stage, STAGE_S):
            found["flush"] = f"its thread has been at {stage!r} for {now - since:.0f} s"
        if self._lagging and not self._missing and now - self._moved_s > STALL_S:
            found["progress"] = (
                f"events wait, nothing is in the way, and none was read or stored for "
                f"{now - self._moved_s:.0f} s"
            )
        return found

    def unready(self) -> dict[str, str]:
        """What it cannot work without and does not have, and why; empty while it is ready."""
        return dict(self._missing)
