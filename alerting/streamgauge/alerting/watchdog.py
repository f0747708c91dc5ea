"""Ends the process when a call into a client library never comes back.

librdkafka 2.16 may wait without end in `send_offsets_to_transaction` when the broker dies under it,
whatever time-out it was given (seen with kill -9 of the broker while alerts were published). No
other thread can wake it, so the process ends and is started anew: state is in Kafka, and the
successor fences what was left open. tests/integration/end_to_end/test_kills.py shows it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Unreachable

log = logging.getLogger(__name__)
CHECK_S = 1.0
CALL_TIMEOUT_S = 15.0
"""Every call of the engine to Kafka or the store comes back, or fails, within this time."""
ROUND_LIMIT_S = 2 * CALL_TIMEOUT_S
"""How long nothing may be heard of a loop: `alive` is told between its calls, so only one that does
not keep its time-out gets that far, however much there is to catch up with."""


def _end_process() -> None:
    os._exit(Unreachable.exit_code)  # a thread that is stuck would keep a normal exit waiting


class Watchdog:
    """Watches calls that have to come back. `limit_s`: how long each may take, seconds."""

    def __init__(
        self, *, clock: Clock, limit_s: float, end: Callable[[], None] = _end_process
    ) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._end = end
        self._since: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._closing.set()

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """The block has to end within the limit."""
        self._since[name] = self._clock.monotonic()
        try:
            yield
        finally:
            self._since.pop(name, None)

    def alive(self, name: str) -> None:
        """A watched block that rightly takes long (a restore) has got on: its limit begins anew."""
        if name in self._since:
            self._since[name] = self._clock.monotonic()

    def check(self) -> None:
        """End the process if a watched block takes too long."""
        now = self._clock.monotonic()
        for name, since in list(self._since.items()):
            if now - since > self._limit_s:
                log.critical("call_never_returned", extra={"loop": name, "after_s": now - since})
                self._end()

    def _run(self) -> None:
        while not self._closing.wait(CHECK_S):
            self.check()
