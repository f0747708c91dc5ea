"""Numbering, encoding and handing events to the sink, and the ledger of what became of each.

    last_seq = sent + AFTER_SEQ drops + waiting

An event gets its `seq` when it is encoded: events that cannot be built leave no gap, so below the
last seen `seq` a gap is loss. An event that the sink cannot take now is held and offered again,
never renumbered. Epochs let a flush wait for what was handed over before it, and for nothing later.
Used by the worker's thread only; other threads may read the counters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from streamgauge.contracts.bounds import KEY_SPAN
from streamgauge.producers._counts import Drop
from streamgauge.producers._encode import Encoder, encode_bounded
from streamgauge.producers._guard import Notices
from streamgauge.producers._sink import Done, Sink, SinkFullError

SINK_RETRY_S: Final = 1.0
PURGE_POLL_S: Final = 0.05


class Sender:
    """One producer's way to the sink."""

    def __init__(
        self, *, producer_id: str, encode: Encoder, make_sink: Callable[[], Sink], notices: Notices
    ) -> None:
        self.last_seq = 0
        self.sent = 0
        self.dropped: dict[Drop, int] = {}
        self._producer_id = producer_id
        self._encode = encode
        self._make_sink = make_sink
        self._notices = notices
        self._sink: Sink | None = None
        self._retry_at = 0.0
        self._held: tuple[bytes, bytes] | None = None
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._epoch = 0
        self._pending: dict[int, int] = {0: 0}
        self._done = self._done_of(0)

    @property
    def waiting(self) -> int:
        """Events numbered and not yet decided."""
        return self._in_flight + (self._held is not None)

    @property
    def waiting_bytes(self) -> int:
        """Their size."""
        held = self._held
        return self._in_flight_bytes + (len(held[1]) if held is not None else 0)

    @property
    def holds(self) -> bool:
        """Whether an event waits for room in the sink."""
        return self._held is not None

    @property
    def in_flight(self) -> int:
        """Events that the sink has and has not decided."""
        return self._in_flight

    def drop(self, reason: Drop) -> None:
        """Count an event that is lost."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def submit(self, event: dict[str, Any]) -> bool:
        """Number, encode and send one event; False if it is held. Only when nothing is held."""
        assert self._held is None
        event["seq"] = self.last_seq + 1
        try:
            value = encode_bounded(event, self._encode)
        except Exception:  # noqa: BLE001  # one event must not stop its neighbours
            self._notices.note("internal")
            self.drop(Drop.INTERNAL)
            return True
        if value is None:
            self.drop(Drop.TOO_LARGE)
            return True
        self.last_seq += 1
        self._held = (f"{self._producer_id}:{self.last_seq // KEY_SPAN}".encode(), value)
        return self.push_held()

    def push_held(self) -> bool:
        """Offer the held event again, if there is one; True if nothing is held afterwards."""
        if self._held is None:
            return True
        sink = self._ready_sink()
        if sink is None:
            return False
        key, value = self._held
        self._count(self._epoch, 1, len(value))
        try:
            sink.send(key, value, self._done)
        except SinkFullError:
            self._count(self._epoch, -1, -len(value))
            return False
        except Exception:  # noqa: BLE001  # a sink of the app's own; the event is lost, counted
            self._notices.note("sink")
            self._done(Drop.DELIVERY_FAILED, len(value))
        self._held = None
        return True

    def poll(self, timeout_s: float = 0.0) -> None:
        """Let the sink report."""
        if self._sink is not None:
            self._sink.poll(timeout_s)

    def end_epoch(self) -> int:
        """The epoch of everything submitted so far; later events belong to the next one."""
        ended = self._epoch
        self._epoch += 1
        self._pending[self._epoch] = 0
        self._done = self._done_of(self._epoch)
        return ended

    def settled(self, epoch: int) -> bool:
        """Whether every event up to that epoch is decided."""
        for old in [e for e, n in self._pending.items() if n == 0 and e < self._epoch]:
            del self._pending[old]
        return self._held is None and min(self._pending) > epoch

    def give_up(self) -> None:
        """Count what is not decided as lost and free the sink."""
        if self._held is not None:
            self._held = None
            self.drop(Drop.PURGED)
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                if self._in_flight:
                    sink.purge()
                    sink.poll(PURGE_POLL_S)
                sink.close()
            except Exception:  # noqa: BLE001  # closing goes on; what is undecided is counted below
                self._notices.note("sink")
        if self._in_flight:
            self.dropped[Drop.UNCONFIRMED] = self.dropped.get(Drop.UNCONFIRMED, 0) + self._in_flight
            self._in_flight = self._in_flight_bytes = 0
            self._pending = {self._epoch: 0}

    def _ready_sink(self) -> Sink | None:
        if self._sink is None and time.monotonic() >= self._retry_at:
            try:
                self._sink = self._make_sink()
            except Exception:  # noqa: BLE001  # out of threads or files: try again later
                self._notices.note("sink")
                self._retry_at = time.monotonic() + SINK_RETRY_S
        return self._sink

    def _count(self, epoch: int, events: int, size: int) -> None:
        self._in_flight += events
        self._in_flight_bytes += size
        self._pending[epoch] += events

    def _done_of(self, epoch: int) -> Done:
        def done(reason: Drop | None, size: int) -> None:
            self._count(epoch, -1, -size)
            if reason is None:
                self.sent += 1
            else:
                self.drop(reason)

        return done
