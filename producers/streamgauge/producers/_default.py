"""The process's one client and the functions that use it: the ten lines that an app writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from streamgauge.producers._calls import Call
from streamgauge.producers._client import FLUSH_TIMEOUT_S, Client
from streamgauge.producers._counts import Stats
from streamgauge.producers._guard import Notices, never_raises
from streamgauge.producers._settings import ClientOptions
from streamgauge.producers._shapes import FeedbackFields, OpenCallFields, RequestFields

_off = Client(enabled=False)
_current = _off
_missing = Notices()


def init(**options: Unpack[ClientOptions]) -> Client:
    """Make the process's client from arguments and environment, closing the one before.

    Raises Misconfigured; nothing else of this package ever raises.
    """
    return install(Client(**options))


def install(new: Client) -> Client:
    """Make this client the process's one, closing the one before."""
    before = swap(new)
    before.close()
    return new


def swap(new: Client) -> Client:
    """Make this client the process's one; returns the one before, still open."""
    global _current
    before, _current = _current, new
    return before


def client() -> Client:
    """The process's client; one that is off before `init`."""
    if _current is _off and not _missing.counts().get("not_initialised"):
        _missing.note("not_initialised")
        _missing.report()
    return _current


@never_raises(str)
def log(**fields: Unpack[RequestFields]) -> str:
    """Log a finished call; returns the event's id. See Client.log."""
    return client().log(**fields)


@never_raises(lambda: Call(None, None, {}))
def track(**fields: Unpack[OpenCallFields]) -> Call:
    """Measure a call: `with track(model=...) as call:`. See Client.track."""
    return client().track(**fields)


@never_raises(str)
def feedback(target_id: str = "", **fields: Unpack[FeedbackFields]) -> str:
    """Log a judgement of a request; returns its own id. See Client.feedback."""
    return client().feedback(target_id, **fields)


@never_raises(str)
def prompt(name: str, template: str, *, version: str = "", labels: Sequence[str] = ()) -> str:
    """Register a version of a prompt template; returns its hash. See Client.prompt."""
    return client().prompt(name, template, version=version, labels=labels)


@never_raises(int)
def flush(timeout: float = FLUSH_TIMEOUT_S) -> int:
    """Wait at most `timeout` seconds for delivery; returns how many are not delivered yet."""
    return client().flush(timeout)


@never_raises(Stats)
def stats() -> Stats:
    """Counters and gauges of the process's client."""
    return client().stats()


@never_raises(int)
def close(timeout: float | None = None) -> int:
    """Deliver, say goodbye, stop; returns how many were given up. See Client.close."""
    return client().close(timeout)
