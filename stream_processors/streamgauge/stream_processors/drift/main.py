"""Entry point of the drift worker: `run()` works until SIGTERM and exits 0.

The generic worker (events -> histograms) and, in a thread, the closer (histograms -> verdicts). An
error of the closer that is no passing one ends the process like an error of the worker.
Environment: stream_processors/settings.py, drift/settings.py, STREAMGAUGE_CLOCK_MODE live|replay.
Misconfigured exits 2, Unreachable exits 3, each with one line on stderr.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.environment import clock_mode
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError
from streamgauge.contracts.topics import EVENTS
from streamgauge.storage.retention import Retention
from streamgauge.stream_processors.core.worker import WorkerSpec, run_worker
from streamgauge.stream_processors.drift.closer import Closer
from streamgauge.stream_processors.drift.processor import DriftProcessor
from streamgauge.stream_processors.drift.settings import DAY_MS, DriftSettings
from streamgauge.stream_processors.drift.source_clock import TickClock
from streamgauge.stream_processors.drift.store import DriftStore
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.process import end_process
from streamgauge.stream_processors.reading.read_back import read_back_from
from streamgauge.stream_processors.reading.recall import recall
from streamgauge.stream_processors.reading.requests import label_cap
from streamgauge.stream_processors.settings import WorkerSettings

log = logging.getLogger(__name__)

CLOSE_S = 0.3


def run() -> None:
    """Run until SIGTERM, then exit 0."""
    try:
        set_up_logging("drift")
        code = _run(os.environ)
    except StreamgaugeError as e:
        sys.stderr.write(f"streamgauge drift: {e}\n")
        code = e.exit_code
    end_process(code)


def _run(env: Mapping[str, str]) -> int:
    settings = WorkerSettings.from_env(env)
    drift = DriftSettings.from_env(env)
    require_kept(drift, Retention.from_env(env))
    closing = _Closing(settings, drift, live=clock_mode(env) == "live")
    closing.start()
    try:
        spec = WorkerSpec(
            DriftProcessor(cell_s=drift.cell_s, label_cap=label_cap(env)),
            (EVENTS,),
            recall,
            read_back=read_back_from,
        )
        return run_worker(spec, settings)
    finally:
        closing.end()


def require_kept(drift: DriftSettings, retention: Retention) -> None:
    """Misconfigured if histograms are gone before they are compared: drift would not be seen."""
    needed = max(-(-drift.reads_back_ms(w) // DAY_MS) for w in drift.windows_s)
    kept = retention.days["histograms"]
    if kept < needed:
        raise Misconfigured(
            f"STREAMGAUGE_KEEP_HISTOGRAMS_DAYS is {kept}, drift looks back {needed} days",
            hint="keep them longer, or compare shorter windows: STREAMGAUGE_DRIFT_WINDOWS_S=300",
        )


class _Closing:
    """The closer's thread."""

    def __init__(self, settings: WorkerSettings, drift: DriftSettings, *, live: bool) -> None:
        clock = SystemClock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._source = TickClock(
            settings.kafka,
            instance=settings.instance,
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
        """Stop it, wait a little for its last block, and raise what ended it if that was an error.

        A block that is cut off is written again after the next start.
        """
        self._stop.set()
        self._thread.join(timeout=CLOSE_S)
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
    run()
