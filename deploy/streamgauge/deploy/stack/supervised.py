"""Keeps one service alive: a thread starts it, watches it, starts it again with back-off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.plan import backoff_s
from streamgauge.deploy.stack.services import Service, ending
from streamgauge.deploy.stack.state import ProcessState

log = logging.getLogger(__name__)

STEADY_S = 30.0
"""A service that lived this long begins its back-off anew."""
POLL_S = 0.1


class Supervised:
    """One service, its thread and what `status` shows of it.

    on_change is called, from the thread, whenever `state` changed.
    """

    def __init__(
        self,
        service: Service,
        *,
        clock: Clock,
        on_change: Callable[[], None],
        metrics_port: int = 0,
    ) -> None:
        self.service = service
        self.state = ProcessState(
            name=service.name, log=str(service.log), metrics_port=metrics_port
        )
        self.first_error: StreamgaugeError | None = None
        self._clock = clock
        self._on_change = on_change
        self._stopping = threading.Event()
        self._first_start_done = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"supervise-{service.name}", daemon=True
        )

    def launch(self) -> None:
        """Start in the background; `wait_first_start` tells how it went."""
        self._thread.start()

    def wait_first_start(self) -> None:
        """Return when the service has started once; raises what kept it from starting."""
        self._first_start_done.wait()
        if self.first_error is not None:
            raise self.first_error

    def wait_up(self, timeout_s: float) -> bool:
        """True as soon as it is up, or again up."""
        return self._up.wait(timeout_s)

    def stop(self, grace_s: float) -> None:
        """End it for good."""
        self._stopping.set()
        self.service.stop(grace_s)
        if self._thread.is_alive():
            self._thread.join(grace_s + 5)
            self.service.stop(1)  # it may have been starting just then
        self._show("down")

    def kill(self) -> int:
        """kill -9 its process, as a crash would; its pid. It is started again."""
        pid = self.service.pid
        if pid is None:
            raise StreamgaugeError(f"{self.service.name} does not run now")
        self._up.clear()
        self.service.kill()
        return pid

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            try:
                self.service.start()
            except Exception as raised:  # noqa: BLE001  # a full disk, say: tried again, not given up
                error = self._as_error(raised)
                if not self._first_start_done.is_set():
                    self.first_error = error
                    self._show("down", error.message)
                    self._first_start_done.set()
                    return
                failures += 1
                words = error.message
            else:
                self._show("up")
                self._up.set()
                self._first_start_done.set()
                self._watch()
                self._up.clear()
                if self._stopping.is_set():
                    return
                steady = self._clock.monotonic() - began > STEADY_S
                failures = 1 if steady else failures + 1
                words = f"{self.service.name} {self._epitaph()}"
            self._show("restarting", words.removeprefix(f"{self.service.name} "))
            self.state.restarts += 1
            wait_s = backoff_s(failures)
            log.warning("%s; starting it again in %.1f s (log %s)", words, wait_s, self.service.log)
            self._stopping.wait(wait_s)

    def _as_error(self, raised: Exception) -> StreamgaugeError:
        if isinstance(raised, StreamgaugeError):
            return raised
        words = f"{self.service.name} cannot be started: {raised or type(raised).__name__}"
        if isinstance(raised, OSError):
            return Misconfigured(words)
        log.error(words, exc_info=raised)
        return StreamgaugeError(words)

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            if self.service.exit_code is not None:
                return

    def _epitaph(self) -> str:
        code = self.service.exit_code or 0
        said = self.service.last_words() if code >= 0 else ""
        return f"{ending(code)}: {said}" if said else ending(code)

    def _show(self, state: str, note: str = "") -> None:
        pid = self.service.pid if state == "up" else None
        identity = Pid.of(pid) if pid is not None else None
        self.state.state = state
        self.state.pid = None if identity is None else identity.as_json()
        self.state.since_ms = self._clock.now_ms()
        if note or state == "down":
            self.state.note = note
        try:
            self._on_change()
        except OSError as error:  # the disk is full: what runs goes on running
            log.error("stack.json is not written, %s is %s: %s", self.state.name, state, error)
