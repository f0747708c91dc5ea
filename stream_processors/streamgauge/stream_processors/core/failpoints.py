"""Places where a test may make the process kill itself, as a crash would.

STREAMGAUGE_FAILPOINT=before_insert | between_sinks | before_ack in a worker, registered | fenced |
rebuilt | committed | active in a reprocessing, optionally `:n` for the n-th time the place is
reached (default 1). SIGKILL: no handler, no flush, no goodbye. Unset in production.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping

from streamgauge.contracts.errors import Misconfigured

log = logging.getLogger(__name__)

ENV = "STREAMGAUGE_FAILPOINT"
PLACES = (
    "before_insert", "between_sinks", "before_ack",
    "registered", "fenced", "rebuilt", "committed", "active",
)  # fmt: skip


class FailPoints:
    """Counts how often each place was reached and kills at the one that was asked for."""

    def __init__(self, place: str = "", countdown: int = 1) -> None:
        self._place = place
        self._countdown = countdown

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> FailPoints:
        """Read the environment; Misconfigured for an unknown place."""
        place, _, nth = env.get(ENV, "").partition(":")
        if place and (place not in PLACES or not (nth or "1").isdigit()):
            raise Misconfigured(f"{ENV}={env[ENV]!r}: expected one of {', '.join(PLACES)}, or :n")
        return cls(place, int(nth or 1))

    def reached(self, place: str) -> None:
        """Die here if it is time."""
        if place != self._place:
            return
        self._countdown -= 1
        if self._countdown <= 0:
            log.error("failpoint", extra={"place": place})
            os.kill(os.getpid(), signal.SIGKILL)
