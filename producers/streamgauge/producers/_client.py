"""The client: what an app embeds. Every public method returns at once, whatever it is given.

In: keyword fields of calls. Out: events in the sink, ids to point feedback at, counters. A call of
`log` costs the app's thread one clock reading, one pass over the given fields and one append; all
else happens in the worker thread. After construction nothing raises into the app.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any, Final, Self, Unpack, cast

from streamgauge.contracts.clock import SystemClock
from streamgauge.producers import _process
from streamgauge.producers._build import FEEDBACK_TYPE, PROMPT_TYPE, REQUEST_TYPE
from streamgauge.producers._calls import Call
from streamgauge.producers._counts import Stats
from streamgauge.producers._encode import find_encoder
from streamgauge.producers._guard import never_raises
from streamgauge.producers._pipe import Pipe
from streamgauge.producers._settings import ClientOptions, ClientSettings, resolve
from streamgauge.producers._shapes import FeedbackFields, OpenCallFields, RequestFields
from streamgauge.producers._values import plain_str
from streamgauge.producers._version import SDK

FLUSH_TIMEOUT_S: Final = 5.0
MAX_TIMEOUT_S: Final = 3_600.0
HASHED_CHARS: Final = 1_000_000
"""Of a longer template both ends and the length are hashed: the app's thread waits for the hash."""


def _seconds(timeout: object, default: float) -> float:
    """A usable timeout of whatever was given."""
    if (type(timeout) is int or type(timeout) is float) and timeout >= 0:
        return float(min(timeout, MAX_TIMEOUT_S))  # NaN fails the comparison
    return default


def _hash(template: str) -> str:
    """SHA-256 of a template's UTF-8, its first 128 bits in hex."""
    if len(template) > HASHED_CHARS:
        half = HASHED_CHARS // 2
        template = f"{template[:half]}{len(template)}{template[-half:]}"
    return hashlib.sha256(template.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Client:
    """Logs LLM calls of one app. Safe from any thread; `close` it, or let the exit handler do so.

    Options: see the table in the producers' README. Raises Misconfigured, here and nowhere else.
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._settings = resolve(options)
        self._static: dict[str, Any] = {}
        self.pipe: Pipe | None = None
        if not self._settings.enabled:
            return
        if self._settings.kafka is not None:
            # Here, not in the worker: an import that a fork interrupts would hang the child.
            from streamgauge.producers import _kafka

            _kafka.check(
                _kafka.settings_of(self._settings.kafka, client_id=self._settings.labels["app"])
            )
        self._encode = find_encoder()
        self._static = {"v": 1, **self._settings.labels, "sdk": SDK, "host": os.uname().nodename}
        self.pipe = self._new_pipe()
        _process.manage(self)

    def _new_pipe(self) -> Pipe:
        return Pipe(self._settings, static=self._static, encode=self._encode, clock=SystemClock())

    @property
    def settings(self) -> ClientSettings:
        """What the client runs with."""
        return self._settings

    @never_raises(str)
    def log(self, **fields: Unpack[RequestFields]) -> str:
        """Log a finished call; returns the event's id (empty if the client is off).

        `model` and `duration_ms` are required (else the event is dropped and counted as `invalid`);
        `op` is chat, `provider` unknown and `status` ok unless given.
        """
        pipe = self.pipe
        return pipe.offer(REQUEST_TYPE, cast(dict[str, Any], fields)) if pipe is not None else ""

    @never_raises(lambda: Call(None, None, {}))
    def track(self, **fields: Unpack[OpenCallFields]) -> Call:
        """Measure a call: `with client.track(model=...) as call:`, or `async with`."""
        return Call(self, self.pipe, cast(dict[str, Any], fields))

    @never_raises(str)
    def feedback(self, target_id: str = "", **fields: Unpack[FeedbackFields]) -> str:
        """Log a judgement of a request: `name` and one of `value`, `label`; returns its own id.

        target_id: the event id that `log` or `call.id` gave; or name a `response_id` or `trace_id`.
        """
        pipe = self.pipe
        if pipe is None:
            return ""
        judged = cast(dict[str, Any], fields)
        if plain_str(target_id) != "":
            judged["target_id"] = target_id
        return pipe.offer(FEEDBACK_TYPE, judged)

    @never_raises(str)
    def prompt(
        self, name: str, template: str, *, version: str = "", labels: Sequence[str] = ()
    ) -> str:
        """Register a version of a prompt template; returns its hash, for `template_hash`.

        The hash (SHA-256, 128 bits in hex; of a template of over a million characters that of its
        ends and length) is the version if none is named. Texts the app fills in are no part of a
        template.
        """
        text = plain_str(template)
        if text is None:
            return ""
        digest = _hash(text)
        unnamed = version is None or plain_str(version) == ""
        pipe = self.pipe
        if pipe is not None:
            pipe.offer(
                PROMPT_TYPE,
                {
                    "prompt_name": name, "prompt_version": digest if unnamed else version,
                    "template_hash": digest, "template": text, "labels": labels,
                },
            )  # fmt: skip
        return digest

    @never_raises(int)
    def flush(self, timeout: float = FLUSH_TIMEOUT_S) -> int:
        """Wait at most `timeout` seconds for delivery; returns how many are not delivered yet."""
        pipe = self.pipe
        return pipe.flush(_seconds(timeout, FLUSH_TIMEOUT_S)) if pipe is not None else 0

    @never_raises(Stats)
    def stats(self) -> Stats:
        """Counters and gauges; accepted = sent + sum(dropped) + queue_events.

        Nobody waits for a reading, so while threads log and the worker sends it may be off by the
        few events that are just on their way. After `close` it is exact.
        """
        pipe = self.pipe
        return pipe.stats() if pipe is not None else Stats()

    @never_raises(int)
    def close(self, timeout: float | None = None) -> int:
        """Deliver what waits within `timeout` seconds, say goodbye, stop; how many were given up.

        Later events are dropped and counted. A second call does nothing.
        """
        pipe = self.pipe
        if pipe is None:
            return 0
        _process.release(self)
        before = pipe.stats()
        if pipe.closed:
            return 0
        pipe.close(_seconds(timeout, self._settings.close_timeout_s))
        after = pipe.stats()
        lost = sum(after.dropped.values()) - sum(before.dropped.values())
        return lost + after.queue_events

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for _process --------------------------------------------------------------------------
    def reset_after_fork(self) -> object:
        """Start anew in a forked child; the inherited pipe must never be collected."""
        inherited = self.pipe
        if inherited is not None and not inherited.closed:
            self.pipe = self._new_pipe()
        return inherited

    def close_at_exit(self) -> None:
        """Close within the configured time."""
        self.close()
