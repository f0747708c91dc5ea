"""The alert engine as a process: evaluator, state machine and history writer, a thread each.

Reads its settings from the environment and runs until SIGTERM or SIGINT. Exit codes: 0 told to
stop; 1 fenced by a successor, or a bug; 2 wrong settings, rules or topics; 3 broker or store not
there. A loop that must read its state back (`Restart`) is built anew in place; one that cannot
reach the broker tries again, since the log keeps what it has to do. The history writer is built
anew whatever its failure: alerts go out without it, and it goes on where its table ends.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from streamgauge.alerting.evaluation.evaluator import Evaluator
from streamgauge.alerting.history import HistoryWriter
from streamgauge.alerting.kafka_io import Fenced, Restart
from streamgauge.alerting.settings import AlertSettings
from streamgauge.alerting.states.machine_loop import MachineLoop
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S, ROUND_LIMIT_S, Watchdog
from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Misconfigured, Retryable, StreamgaugeError, Unreachable
from streamgauge.contracts.logs import set_up_logging
from streamgauge.storage.client import connect

log = logging.getLogger("streamgauge.alerting")
T = TypeVar("T")
START_S = 30.0
AGAIN_S = 1.0
MOST_AGAIN_S = 60.0
HEALTH_S = 30.0
ALONE = frozenset({"history"})
"""Loops whose failure is theirs alone."""


class Loop(Protocol):
    """What a thread runs."""

    def run_once(self, timeout_s: float = ...) -> int:
        """One round."""

    def close(self) -> None:
        """Leave."""


class Engine:
    """The three loops. `start`, then `wait` until `stop` or the first failure."""

    def __init__(self, settings: AlertSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._stop = threading.Event()
        self._watchdog = Watchdog(clock=clock, limit_s=ROUND_LIMIT_S)
        self._failure: BaseException | None = None
        self._threads: list[threading.Thread] = []
        self._loops: dict[str, Loop] = {}
        self._makers: dict[str, Callable[[], Loop]] = {
            "evaluator": lambda: Evaluator(
                settings, clock=clock, alive=lambda: self._watchdog.alive("evaluator")
            ),
            "machine": lambda: MachineLoop(
                settings.kafka, instance=settings.instance, clock=clock,
                alive=lambda: self._watchdog.alive("machine"),
            ),
            "history": lambda: HistoryWriter(
                settings, clock=clock, alive=lambda: self._watchdog.alive("history")
            ),
        }  # fmt: skip

    def start(self) -> None:
        """Build the loops, with patience for what is still starting, and run them."""
        self._until_there(lambda: connect(self._settings.store, timeout_s=CALL_TIMEOUT_S).close())
        for name, make in self._makers.items():
            if name not in ALONE:
                self._loops[name] = self._until_there(make)
        self._watchdog.start()
        for name in self._makers:
            thread = threading.Thread(target=self._run, args=(name,), name=name)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask the loops to end."""
        self._stop.set()

    def wait(self) -> None:
        """Until the loops have ended; raises what ended them."""
        said = self._clock.monotonic()
        while not self._stop.wait(0.2):
            if self._clock.monotonic() - said >= HEALTH_S:
                said = self._clock.monotonic()
                log.info("health", extra=self.health())
        for thread in self._threads:
            thread.join(timeout=20)
        if self._failure is not None:
            raise self._failure

    def health(self) -> dict[str, object]:
        """Facts for the health line."""
        facts: dict[str, object] = {}
        evaluator, machine = self._loops.get("evaluator"), self._loops.get("machine")
        if isinstance(evaluator, Evaluator):
            h = evaluator.health
            facts |= {
                "clock_ms": h.clock_ms, "rules": len(evaluator.book.rules), "records": h.records,
                "queries": evaluator.answers.queries, "store": h.store,
                "rules_problem": evaluator.book.problem,
                "series_dropped_by": sorted(evaluator.answers.dropping),
            }  # fmt: skip
        if isinstance(machine, MachineLoop):
            c = machine.counters
            facts |= {
                "alerts": c.alerts, "open": sum(c.open.values()), "partitions": len(machine.owned),
            }  # fmt: skip
        history = self._loops.get("history")
        if isinstance(history, HistoryWriter):
            facts["history_written"] = history.written
        return facts

    def _until_there(self, make: Callable[[], T]) -> T:
        deadline, said = self._clock.monotonic() + START_S, ""
        while True:
            try:
                return make()
            except (Restart, Retryable) as e:
                if self._stop.is_set() or self._clock.monotonic() > deadline:
                    if isinstance(e, Restart):
                        raise Unreachable(str(e)) from e
                    raise
                if str(e) != said:
                    said = str(e)
                    log.info("waiting", extra={"why": said})
            self._stop.wait(AGAIN_S)

    def _run(self, name: str) -> None:
        loop: Loop | None = self._loops.get(name)
        wait_s = AGAIN_S
        try:
            while not self._stop.is_set():
                try:
                    if loop is None:
                        loop = self._loops[name] = self._makers[name]()
                    with self._watchdog.watch(name):
                        loop.run_once()
                    wait_s = AGAIN_S
                except (Restart, Retryable) as e:
                    log.warning("loop_restarts", extra={"loop": name, "why": str(e)})
                    _left(loop)
                    loop = None
                    self._stop.wait(AGAIN_S)
                except Exception as e:
                    if name not in ALONE:
                        raise
                    log.error("loop_failed_alone", extra={"loop": name, "why": repr(e)})
                    _left(loop)
                    loop = None
                    self._stop.wait(wait_s)
                    wait_s = min(MOST_AGAIN_S, wait_s * 2)
            if loop is not None:
                loop.close()
        except BaseException as e:
            if name in ALONE and isinstance(e, Exception):  # while it was closing
                log.error("loop_failed_alone", extra={"loop": name, "why": repr(e)})
                _left(loop)
                return
            if not isinstance(e, Fenced | Misconfigured):
                log.exception("loop_failed", extra={"loop": name})
            self._failure = self._failure or e
            self._stop.set()
            _left(loop)


def _left(loop: Loop | None) -> None:
    """Give up a loop whose memory cannot be trusted."""
    if loop is None:
        return
    leave = getattr(loop, "abandon", loop.close)
    try:
        leave()
    except Exception as e:  # noqa: BLE001 - it is being thrown away; say so and go on
        log.debug("loop_left", extra={"why": str(e)})


def run(settings: AlertSettings | None = None) -> int:
    """Run until told to stop; the exit code. Prints one line to stderr if it cannot go on."""
    try:
        set_up_logging("alerts")
        engine = Engine(settings or AlertSettings.from_env(), clock=SystemClock())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: engine.stop())
        engine.start()
        log.info("started")
        engine.wait()
    except StreamgaugeError as e:
        print(f"streamgauge alerts: {e}", file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run())
