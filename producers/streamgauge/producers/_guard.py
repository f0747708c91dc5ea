"""The rim around the app: whatever happens inside, the app goes on.

`never_raises` wraps every public function: an exception of ours (or of a strange object) becomes a
fallback value and one count. `Notices` collects such counts from any thread without a lock or a log
call, because a logging handler may block or call us again; the worker thread reports them, at most
once a minute per kind.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

REPEAT_S: Final = 60.0
ONCE: Final = ("no_hmac_key", "not_initialised")
log = logging.getLogger("streamgauge.producers")

HELP: dict[str, str] = {
    "internal": "a fault of the client itself was swallowed",
    "unfit_field": "a field had a value that it cannot hold and was left out",
    "unknown_field": "a field that llm events do not have was left out",
    "no_hmac_key": "user_id, key_id and text hashes are left out: STREAMGAUGE_HMAC_KEY is not set",
    "mask_failed": "the mask callback raised or returned no string: the text was not sent",
    "sink": "the sink could not be used; trying again",
    "not_initialised": "called before streamgauge.producers.init(): nothing is sent",
    "open_calls_full": "too many open calls: the oldest are no longer reported",
    "fork": "a call began before a fork and ended in the child: it is logged by the parent",
}


class Notices:
    """Counts of problems by kind. Safe from any thread, signal handler or finalizer."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._reported: dict[str, tuple[float, int]] = {}

    def note(self, kind: str) -> None:
        """Count one. Two threads at once may count one: these are hints, not ledgers."""
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def counts(self) -> dict[str, int]:
        """Counts so far."""
        return dict(self._counts)

    def report(self) -> None:
        """Log kinds that grew, with how many since: at most once a minute each, some only once."""
        now = time.monotonic()
        for kind, n in list(self._counts.items()):
            last, told = self._reported.get(kind, (-REPEAT_S, 0))
            if told and kind in ONCE:
                continue
            if n > told and now - last >= REPEAT_S:
                self._reported[kind] = (now, n)
                log.warning(
                    "streamgauge client: %s (%d times since the last report)",
                    HELP.get(kind, kind), n - told,
                    extra={"problem": kind, "count": n - told},
                )  # fmt: skip


_swallowed = Notices()


def swallowed() -> Notices:
    """Faults caught at the rim, of all clients of this process."""
    return _swallowed


def never_raises(fallback: Callable[[], R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn any Exception of the function into `fallback()` and a count.

    KeyboardInterrupt, SystemExit and asyncio's CancelledError are the app's own and pass through.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except Exception:  # noqa: BLE001  # the client is a guest: nothing of ours reaches the app
                _swallowed.note("internal")
                return fallback()

        return guarded

    return wrap
