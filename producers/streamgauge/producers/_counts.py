"""What the client counts, and the closed set of reasons for which it drops.

    accepted = sent + sum(dropped) + waiting        at every moment the worker is between two events

`accepted` is everything handed to the client while it was on, and its own heartbeats. Reasons are
of two groups, because only the second leaves a gap in `seq`: BEFORE_SEQ (the event was never
numbered) and AFTER_SEQ (numbered, then not delivered). So a reader that sees `last_seq` and counts
what arrived knows the loss, and adds the BEFORE_SEQ reasons to it.
Not here: who counts (buffer: the caller's side; worker: the rest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Drop(StrEnum):
    """Why an event did not reach the topic."""

    QUEUE_EVENTS = "queue_events"
    QUEUE_BYTES = "queue_bytes"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"
    FORKED = "forked"
    AFTER_CLOSE = "after_close"
    CLOSED = "closed"

    DELIVERY_TIMEOUT = "delivery_timeout"
    UNKNOWN_TOPIC = "unknown_topic"
    REFUSED = "refused"
    DELIVERY_FAILED = "delivery_failed"
    PURGED = "purged"
    UNCONFIRMED = "unconfirmed"


MEANING: dict[Drop, str] = {
    Drop.QUEUE_EVENTS: "the client's queue held its maximum number of events",
    Drop.QUEUE_BYTES: "the client's queue held its maximum number of bytes",
    Drop.INVALID: "a required field was missing or could not be used (model, duration_ms, ...)",
    Drop.TOO_LARGE: "over 64 KiB even after lists, tags and texts were cut",
    Drop.INTERNAL: "a fault of the client itself while it built the event",
    Drop.FORKED: "the call began before a fork and ended in the child: the parent logs it",
    Drop.AFTER_CLOSE: "logged after close()",
    Drop.CLOSED: "still in the client's queue when close() ran out of time",
    Drop.DELIVERY_TIMEOUT: "the broker did not confirm it within message.timeout.ms",
    Drop.UNKNOWN_TOPIC: "the broker has no such topic: run `streamgauge topics create`",
    Drop.REFUSED: "the broker refused it (size, authorization, policy)",
    Drop.DELIVERY_FAILED: "any other delivery error",
    Drop.PURGED: "numbered, not yet sent when close() ran out of time",
    Drop.UNCONFIRMED: "sent, not yet confirmed when close() ran out of time: it may have arrived",
}

BEFORE_SEQ = frozenset(
    {
        Drop.QUEUE_EVENTS, Drop.QUEUE_BYTES, Drop.INVALID, Drop.TOO_LARGE, Drop.INTERNAL,
        Drop.FORKED, Drop.AFTER_CLOSE, Drop.CLOSED,
    }
)  # fmt: skip
AFTER_SEQ = frozenset(Drop) - BEFORE_SEQ


@dataclass(frozen=True, slots=True)
class Stats:
    """One reading of a client's counters (since it started, or since the fork) and gauges.

    problems: what went wrong, by kind (a field left out, a mask callback that raised). errors:
    their sum; an event that was lost by it is in `dropped` too. queue_events and queue_bytes: in
    the client and in librdkafka.
    """

    enabled: bool = False
    producer_id: str = ""
    accepted: int = 0
    sent: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    spooled: int = 0
    errors: int = 0
    problems: Mapping[str, int] = field(default_factory=dict)
    queue_events: int = 0
    queue_bytes: int = 0
    open_calls: int = 0
    last_seq: int = 0
