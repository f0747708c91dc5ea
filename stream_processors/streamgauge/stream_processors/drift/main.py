"""The drift process: the generic worker (events -> histograms) and, in a thread, the closer.

An error of the closer that is no passing one ends the process like an error of the worker.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.drift.closer import Closer
from streamgauge.stream_processors.drift.processor import DriftProcessor
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.source_clock import TickClock
from streamgauge.stream_processors.drift.store import DriftStore
from streamgauge.stream_processors.settings import WorkerSettings
from streamgauge.stream_processors.worker import WorkerSpec, run_worker

log = logging.getLogger(__name__)


def run(env: Mapping[str, str] = os.environ) -> int:
    """Work until SIGTERM; the exit code. Raises Misconfigured or Unreachable at start."""
    settings = WorkerSettings.from_env(env)
    drift = DriftSettings.from_env(env)
    closing = _Closing(settings, drift, live=_is_live(env))
    closing.start()
    try:
        spec = WorkerSpec(DriftProcessor(cell_s=drift.cell_s), (EVENTS,))
        return run_worker(spec, settings)
    finally:
        closing.end()


def _is_live(env: Mapping[str, str]) -> bool:
    mode = env.get("STREAMGAUGE_CLOCK_MODE") or "live"
    if mode not in ("live", "replay"):
        raise Misconfigured(f'STREAMGAUGE_CLOCK_MODE is "{mode}"', hint="set it to live or replay")
    return mode == "live"


class _Closing:
    """The closer's thread."""

    def __init__(self, settings: WorkerSettings, drift: DriftSettings, *, live: bool) -> None:
        clock = SystemClock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._source = TickClock(
            settings.kafka,
            clock=clock,
            lateness_ms=round(settings.lateness_s * 1000),
            live=live,
        )
        self._store = DriftStore(
            settings.store,
            instance=f"verdicts-{settings.instance}",
            session_timeout_s=settings.session_s,
        )
        self._closer = Closer(self._store, drift, clock)
        self._thread = threading.Thread(target=self._work, name="drift-closer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop it, wait for its last block, and raise what ended it if that was an error."""
        self._stop.set()
        self._thread.join(timeout=5)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            self._closer.run(self._source, self._stop)
        except Exception as e:  # a rim: the process ends with this error
            log.error("closer_failed", exc_info=e)
            self._failure = e
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._store.close()
            self._source.close()


if __name__ == "__main__":
    raise SystemExit(run())
