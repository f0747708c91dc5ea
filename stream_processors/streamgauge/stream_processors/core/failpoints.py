"""Places where a test may make the process kill or stop itself, as a crash or a long pause would.

STREAMGAUGE_FAILPOINT=PLACE[:kill|:stop][:n], at the n-th time the place is reached (default: kill,
1). kill is SIGKILL: no handler, no flush, no goodbye. stop is SIGSTOP: the process stands until
somebody sends SIGCONT, and then goes on as if nothing had been. Unset in production.

    on_recall       the markers are read, nothing is read from Kafka yet
    before_insert   a flush is cut, nothing of it is sent
    mid_insert      half of an INSERT's body is sent
    between_sinks   a table has its block, the next one has not
    before_ack      every table has its block, nothing is acknowledged

A run of reprocessing has places of its own:

    registered, fenced, rebuilt, committed, active      after the step of that name
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
    "on_recall", "before_insert", "mid_insert", "between_sinks", "before_ack",
    "registered", "fenced", "rebuilt", "committed", "active",
)  # fmt: skip
ACTIONS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class FailPoints:
    """Counts how often each place was reached and acts, once, at the one that was asked for."""

    def __init__(self, place: str = "", countdown: int = 1, action: str = "kill") -> None:
        self.place = place
        self._countdown = countdown
        self._signal = ACTIONS[action]

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> FailPoints:
        """Read the environment; Misconfigured for an unknown place, action or number."""
        place, *more = env.get(ENV, "").split(":")
        action = more.pop(0) if more and more[0] in ACTIONS else "kill"
        nth = more.pop(0) if more else "1"
        if place and (place not in PLACES or more or not nth.isdecimal() or int(nth) < 1):
            raise Misconfigured(
                f"{ENV}={env[ENV]!r}: expected {', '.join(PLACES)}, with :kill or :stop,"
                " or neither, and with :n for the n-th time, or nothing"
            )
        return cls(place, int(nth) if place else 1, action)

    def reached(self, place: str) -> None:
        """Die or stop here if it is time."""
        if place != self.place:
            return
        self._countdown -= 1
        if self._countdown == 0:
            log.error("failpoint", extra={"place": place, "action": self._signal.name})
            os.kill(os.getpid(), self._signal)
