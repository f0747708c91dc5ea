"""One process's share of a client: queue, thread, numbering. A fork gets a new one.

`offer` is the hot path: it runs on the app's thread and costs a few microseconds.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from streamgauge.contracts import topics
from streamgauge.contracts.clock import Clock
from streamgauge.producers import _process
from streamgauge.producers._buffer import Buffer
from streamgauge.producers._build import FEEDBACK_TYPE, PROMPT_TYPE, Builder, Entry
from streamgauge.producers._console import ConsoleSink
from streamgauge.producers._counts import Drop, Stats
from streamgauge.producers._encode import Encoder
from streamgauge.producers._fields import REQUEST
from streamgauge.producers._guard import Notices, swallowed
from streamgauge.producers._open_calls import OpenCalls
from streamgauge.producers._otel import active_span
from streamgauge.producers._privacy import Privacy
from streamgauge.producers._sender import Sender
from streamgauge.producers._settings import ClientSettings
from streamgauge.producers._sink import Sink
from streamgauge.producers._values import MAX_FIELDS, freeze_fields
from streamgauge.producers._worker import Worker

_KNOWN = (*REQUEST, "id", "ts", "user_id", "key_id", "tags", "input_text", "output_text")


class Pipe:
    """Everything between the API and the sink that belongs to one process."""

    def __init__(
        self, settings: ClientSettings, *, static: dict[str, Any], encode: Encoder, clock: Clock
    ) -> None:
        self.producer_id = os.urandom(8).hex()
        self.open_calls = OpenCalls()
        self.notices = Notices()
        self.closed = False
        self._swallowed_before = swallowed().counts()
        self._clock = clock
        self._numbers = itertools.count(1)
        self._buffer: Buffer[Entry] = Buffer(
            max_events=settings.queue_events, max_bytes=settings.queue_bytes
        )
        self._sender = Sender(
            producer_id=self.producer_id,
            encode=encode,
            make_sink=lambda: make_sink(settings),
            notices=self.notices,
        )
        self._worker = Worker(
            buffer=self._buffer,
            builder=Builder(
                static={**static, "producer_id": self.producer_id},
                base_tags=settings.tags,
                privacy=Privacy(
                    capture=settings.capture,
                    mask=settings.mask,
                    key=settings.hmac_key,
                    hash_ids=settings.hash_ids,
                    text_probability=settings.text_probability,
                ),
                note=self.notices.note,
            ),
            sender=self._sender,
            open_calls=self.open_calls,
            notices=self.notices,
            clock=clock,
            heartbeat_s=settings.heartbeat_s,
            problems=self.problems,
            next_id=self.next_id,
            on_start=_process.in_worker_started,
        )

    def next_id(self) -> str:
        """A new event id, unique among all processes."""
        return f"{self.producer_id}-{next(self._numbers):x}"

    def offer(self, kind: str, fields: dict[str, Any], *, event_id: str | None = None) -> str:
        """Take one event from the app: returns its id at once, whatever becomes of it."""
        if event_id is None:
            event_id = self._id_of(fields)
        try:
            self._offer(kind, fields, event_id)
        except Exception:  # noqa: BLE001  # whatever it was: the event is lost, and counted
            self.notices.note("internal")
            self._buffer.turn_away(Drop.INTERNAL)
        return event_id

    def _offer(self, kind: str, fields: dict[str, Any], event_id: str) -> None:
        if self.closed:
            self._buffer.turn_away(Drop.AFTER_CLOSE)
            return
        if len(fields) > MAX_FIELDS:
            fields = {name: fields[name] for name in _KNOWN if name in fields}
            self.notices.note("unknown_field")
        # A judgement comes in another span than the call it judges.
        span = None if kind in (FEEDBACK_TYPE, PROMPT_TYPE) else active_span()
        size = freeze_fields(fields)
        entry = Entry(kind, event_id, self._clock.now_ms(), fields, span)
        if not self._worker.started:
            self._worker.start()
        self._buffer.offer(entry, size)

    def watch(self, call_id: str, model: str, started: float) -> None:
        """Register an open call; the heartbeat must run for it to be seen."""
        if self.closed:
            return
        if not self._worker.started:
            self._worker.start()
        if not self.open_calls.add(call_id, model, started):
            self.notices.note("open_calls_full")

    def call_from_before_fork(self) -> None:
        """Count a call that the parent process logs."""
        self._buffer.turn_away(Drop.FORKED)

    def flush(self, timeout_s: float) -> int:
        """See Client.flush."""
        return self._worker.flush(timeout_s)

    def close(self, timeout_s: float) -> int:
        """See Client.close."""
        if not self.closed:
            self.closed = True
            self._worker.close(timeout_s)
        return self._worker.waiting

    def problems(self) -> dict[str, int]:
        """Problems by kind; faults caught at the rim are those of all clients since this began."""
        problems = self.notices.counts()
        for kind, n in swallowed().counts().items():
            if n > self._swallowed_before.get(kind, 0):
                more = n - self._swallowed_before.get(kind, 0)
                problems[kind] = problems.get(kind, 0) + more
        return problems

    def stats(self) -> Stats:
        """Counters and gauges now."""
        problems = self.problems()
        return Stats(
            enabled=True,
            producer_id=self.producer_id,
            accepted=self._buffer.accepted + self._worker.beats,
            sent=self._sender.sent,
            dropped=self._worker.dropped(),
            errors=sum(problems.values()),
            problems=problems,
            queue_events=self._worker.waiting,
            queue_bytes=self._buffer.waiting_bytes + self._sender.waiting_bytes,
            open_calls=len(self.open_calls),
            last_seq=self._sender.last_seq,
        )

    def _id_of(self, fields: dict[str, Any]) -> str:
        given = fields.get("id")
        if given is None:
            return self.next_id()
        if type(given) is str and 0 < len(given) <= 64 and given.isascii() and given.isprintable():
            return given
        self.notices.note("unfit_field")
        return self.next_id()


def topic_of(settings: ClientSettings) -> str:
    """The topic that the events go to."""
    prefix = settings.kafka.prefix if settings.kafka is not None else topics.DEFAULT_PREFIX
    return topics.EVENTS.full_name(prefix)


def make_sink(settings: ClientSettings) -> Sink:
    """The sink that the settings ask for."""
    if settings.sink is not None:
        return settings.sink
    if settings.kafka is None:
        return ConsoleSink(topic_of(settings))
    from streamgauge.producers import _kafka  # imported by the Client already; not at import time

    config = _kafka.settings_of(settings.kafka, client_id=settings.labels["app"])
    return _kafka.KafkaSink(config, topic_of(settings))
