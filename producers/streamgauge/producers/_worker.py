"""The client's one thread: every 50 ms it takes what waits, builds, sends, polls and answers.

A timer tick instead of a wake-up per event keeps the caller's cost at one append. Requests (flush,
close) come through a SimpleQueue, which a signal handler may use at any moment; answers are plain
locks. No failure of an event, the mask or the sink ends the thread. Not here: what an event looks
like (_build.py), numbering and outcomes (_sender.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final

from streamgauge.contracts.clock import Clock
from streamgauge.producers._buffer import Buffer
from streamgauge.producers._build import Builder, Entry, InvalidEventError
from streamgauge.producers._counts import Drop
from streamgauge.producers._guard import Notices, swallowed
from streamgauge.producers._open_calls import OpenCalls
from streamgauge.producers._sender import Sender

TICK_S: Final = 0.05
BUSY_S: Final = 0.005
PER_TICK: Final = 4_096
YIELD_EVERY: Final = 16
POLL_EVERY: Final = 256
MAX_START_FAILURES: Final = 3


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Flush:
    """Someone waits until the first `entered` events are decided."""

    entered: int
    answered: threading.Lock = field(default_factory=_locked)
    epoch: int | None = None


@dataclass(slots=True)
class _Close:
    deadline: float


class Worker:
    """The thread and what it works on. One per client and process."""

    def __init__(
        self,
        *,
        buffer: Buffer[Entry],
        builder: Builder,
        sender: Sender,
        open_calls: OpenCalls,
        notices: Notices,
        clock: Clock,
        heartbeat_s: float,
        problems: Callable[[], Mapping[str, int]],
        next_id: Callable[[], str],
        on_start: Callable[[], None],
    ) -> None:
        self.beats = 0
        self.started = False
        self._buffer = buffer
        self._builder = builder
        self._sender = sender
        self._open_calls = open_calls
        self._notices = notices
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._problems = problems
        self._next_id = next_id
        self._on_start = on_start
        self._inbox: SimpleQueue[_Flush | _Close] = SimpleQueue()
        self._flushes: list[_Flush] = []
        self._deadline: float | None = None
        self._said_goodbye = False
        self._thread: threading.Thread | None = None
        self._start_lock = threading.RLock()
        self._start_failures = 0
        self._next_beat = 0.0
        self._more = False

    # -- the app's threads ---------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread once; a machine out of threads is tolerated."""
        with self._start_lock:
            if self.started:
                return
            self.started = True
            self._next_beat = time.monotonic() + self._heartbeat_s
            thread = threading.Thread(target=self._run, name="streamgauge-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                self._notices.note("internal")
                self._start_failures += 1
                self.started = self._start_failures >= MAX_START_FAILURES
                return
            self._thread = thread
            self._on_start()

    def flush(self, timeout_s: float) -> int:
        """Wait at most so long until what was handed over is decided; how many are not."""
        if not self._alive() or self._thread is threading.current_thread():
            return self.waiting
        request = _Flush(self._buffer.entered)
        self._inbox.put(request)
        return 0 if request.answered.acquire(timeout=timeout_s) else max(1, self.waiting)

    def close(self, timeout_s: float) -> None:
        """Send what waits, say goodbye, stop. Returns within the timeout and half a second."""
        if self._thread is threading.current_thread():
            return
        deadline = time.monotonic() + timeout_s
        if self._alive():
            assert self._thread is not None
            self._inbox.put(_Close(deadline))
            self._thread.join(timeout_s + 0.5)
        elif self.waiting:
            self._inbox.put(_Close(deadline))
            self._run()

    @property
    def waiting(self) -> int:
        """Events accepted and not yet decided."""
        return self._buffer.waiting + self._sender.waiting

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # -- the worker's thread -------------------------------------------------------------------
    def _run(self) -> None:
        while True:
            try:
                if self._tick():
                    return
            except BaseException:  # noqa: BLE001  # any fault costs one tick, never the thread
                self._notices.note("internal")
                time.sleep(TICK_S)

    def _tick(self) -> bool:
        self._wait()
        self._more = self._drain()
        self._sender.poll()
        self._answer_flushes()
        if time.monotonic() >= self._next_beat and not self._sender.holds:
            self._beat()
        self._notices.report()
        swallowed().report()
        return self._deadline is not None and self._finished()

    def _wait(self) -> None:
        """Sleep until the next tick; not at all if entries are left; briefly if someone waits."""
        timeout = 0.0 if self._more else TICK_S
        if self._flushes or self._deadline is not None:
            timeout = 0.0 if self._more else BUSY_S
            if timeout and self._sender.in_flight:
                self._sender.poll(timeout)
                timeout = 0.0
        try:
            request = self._inbox.get(timeout=timeout) if timeout else self._inbox.get_nowait()
            while True:
                if isinstance(request, _Flush):
                    self._flushes.append(request)
                else:
                    self._deadline = request.deadline
                request = self._inbox.get_nowait()
        except Empty:
            return

    def _drain(self) -> bool:
        """Send what waits; True if more could be sent at once."""
        if not self._sender.push_held():
            return False
        for i in range(1, PER_TICK + 1):
            entry = self._buffer.take()
            if entry is None:
                return False
            if not self._one(entry):
                return False
            if i % YIELD_EVERY == 0:
                time.sleep(0)  # let the app have the interpreter: we are its guest
            if i % POLL_EVERY == 0:
                self._sender.poll()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return False
        return True

    def _one(self, entry: Entry) -> bool:
        try:
            event = self._builder.build(entry)
        except InvalidEventError as error:
            self._notices.note(f"event without a usable {error}")
            self._sender.drop(Drop.INVALID)
            return True
        except Exception:  # noqa: BLE001  # one entry must not stop its neighbours
            self._notices.note("internal")
            self._sender.drop(Drop.INTERNAL)
            return True
        return self._sender.submit(event)

    def _answer_flushes(self) -> None:
        for flush in self._flushes:
            if (
                flush.epoch is None
                and self._buffer.taken >= flush.entered
                and not self._sender.holds
            ):
                flush.epoch = self._sender.end_epoch()
        answered = [
            f for f in self._flushes if f.epoch is not None and self._sender.settled(f.epoch)
        ]
        if answered:
            self._flushes = [f for f in self._flushes if f not in answered]
            for flush in answered:
                flush.answered.release()

    def _beat(self) -> None:
        """Send a client.stats event; it counts itself."""
        self._next_beat = time.monotonic() + self._heartbeat_s
        self.beats += 1
        body = {
            "accepted": self._buffer.accepted + self.beats,
            "sent": self._sender.sent,
            "dropped": self.dropped(),
            "spooled": 0,
            "errors": sum(self._problems().values()),
            "queue_events": self.waiting + 1,
            "queue_bytes": self._buffer.waiting_bytes + self._sender.waiting_bytes,
            "last_seq": self._sender.last_seq + 1,
            **self._open_calls.report(),
        }
        self._sender.submit(self._builder.heartbeat(self._next_id(), self._clock.now_ms(), body))

    def dropped(self) -> dict[str, int]:
        """All drops so far, by reason."""
        total = {str(reason): n for reason, n in self._buffer.refused().items()}
        for reason, n in self._sender.dropped.copy().items():
            total[str(reason)] = total.get(str(reason), 0) + n
        return total

    def _finished(self) -> bool:
        """On close: True once all is decided or time is up, and the sink is freed."""
        assert self._deadline is not None
        late = time.monotonic() >= self._deadline
        if not late:
            if self._buffer.waiting or self._sender.holds:
                return False
            if not self._said_goodbye:
                self._said_goodbye = True
                self._beat()
            if self.waiting:
                return False
        while self._buffer.take() is not None:
            self._sender.drop(Drop.CLOSED)
        self._sender.give_up()
        self._answer_flushes()
        return True
