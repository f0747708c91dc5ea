"""`track`: a call in the making, as a context manager for sync and async code.

Measures with the monotonic clock, shows the call in the heartbeat while it runs, and logs it once
when it ends: ok, or error, timeout or cancelled by the type of the exception, which goes on to the
app untouched.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from streamgauge.producers._build import REQUEST_TYPE
from streamgauge.producers._classes import ancestors, held, name_of
from streamgauge.producers._guard import never_raises
from streamgauge.producers._shapes import CallUpdate, Status
from streamgauge.producers._values import plain_str

if TYPE_CHECKING:
    from streamgauge.producers._client import Client
    from streamgauge.producers._pipe import Pipe

_CANCELLED: Final = ("CancelledError", "GeneratorExit", "KeyboardInterrupt", "SystemExit")


def outcome(kind: type[BaseException]) -> Status:
    """Status of a call that ended by an exception of this type, by the names in its ancestry."""
    names = [name_of(base) for base in ancestors(kind)]
    if any(name in _CANCELLED for name in names):
        return "cancelled"
    if any("Timeout" in name for name in names):
        return "timeout"
    return "error"


def error_fields(error: BaseException) -> dict[str, Any]:
    """Status, class name and HTTP status (of openai, anthropic, httpx ...); never message text."""
    kind = type(error)
    fields: dict[str, Any] = {"status": outcome(kind), "error_type": name_of(kind)}
    http_status = held(error, "status_code")
    if http_status is None:
        http_status = held(held(error, "response"), "status_code")
    if type(http_status) is int:
        fields["http_status"] = http_status
    return fields


class Call:
    """One call while it runs. `id` is the event's id: give it to your user's feedback button."""

    __slots__ = ("__weakref__", "_client", "_done", "_fields", "_first", "_pipe", "_started", "id")

    def __init__(self, client: Client | None, pipe: Pipe | None, fields: dict[str, Any]) -> None:
        self._client = client
        self._pipe = pipe
        self._fields = fields
        self._started = time.monotonic()
        self._first: float | None = None
        self._done = False
        self.id = pipe._id_of(fields) if pipe is not None else ""

    @never_raises(lambda: None)
    def set(self, **fields: Unpack[CallUpdate]) -> None:
        """Add or replace fields of the event."""
        self._fields.update(fields)

    @never_raises(lambda: None)
    def first_token(self) -> None:
        """The first content has come: gives ttft_ms. Later calls change nothing."""
        if self._first is None:
            self._first = time.monotonic()
            if self._pipe is not None:
                self._pipe.open_calls.first_token(self.id)

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)

    def __del__(self) -> None:
        """Forgotten without an end: no longer open, not logged."""
        pipe = getattr(self, "_pipe", None)
        if pipe is not None and not self._done:
            pipe.open_calls.remove(self.id)

    @never_raises(lambda: None)
    def _begin(self) -> None:
        self._started = time.monotonic()
        if self._pipe is not None:
            self._pipe.watch(self.id, plain_str(self._fields.get("model")) or "", self._started)

    @never_raises(lambda: None)
    def _end(self, error: BaseException | None) -> None:
        ended = time.monotonic()
        pipe = self._pipe
        if pipe is None or self._done:
            return
        self._done = True
        pipe.open_calls.remove(self.id)
        current = self._client.pipe if self._client is not None else None
        if current is not pipe:  # forked in between: the parent has this call too, and logs it
            if current is not None:
                current.call_from_before_fork()
            return
        fields = self._fields
        if error is not None:
            fields.update(error_fields(error))
        if fields.get("duration_ms") is None:
            fields["duration_ms"] = (ended - self._started) * 1000
        if self._first is not None and fields.get("ttft_ms") is None:
            fields["ttft_ms"] = (self._first - self._started) * 1000
        pipe.offer(REQUEST_TYPE, fields, event_id=self.id)
