"""From a Kafka message's value to an event, or to the reason why it is none.

This is the reference: the fast decoder of the stream must take and refuse the same bytes and give
the same values (tests/property/contracts). `check_bounds` is apart because its bound,
Kafka's append time, is not in the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from pydantic import ValidationError

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events.envelope import Envelope, UnknownEvent
from streamgauge.contracts.events.others import (
    ClientStats,
    Evaluation,
    Feedback,
    LlmRetrieval,
    LlmStart,
    LlmTool,
    PromptRegistration,
)
from streamgauge.contracts.events.request import LlmRequest
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import refusal
from streamgauge.contracts.wire_json import load_object

Event = (
    LlmRequest
    | LlmStart
    | LlmTool
    | LlmRetrieval
    | Feedback
    | Evaluation
    | PromptRegistration
    | ClientStats
)

EVENT_TYPES: dict[str, type[Event]] = {
    "llm.request": LlmRequest,
    "llm.start": LlmStart,
    "llm.tool": LlmTool,
    "llm.retrieval": LlmRetrieval,
    "llm.feedback": Feedback,
    "llm.evaluation": Evaluation,
    "llm.prompt": PromptRegistration,
    "client.stats": ClientStats,
}


class HasTs(Protocol):
    """Anything with an event time."""

    @property
    def ts(self) -> int:
        """Milliseconds since the epoch."""


def parse_event(raw: bytes) -> Event | UnknownEvent:
    """The event in `raw`; an UnknownEvent (envelope only) if its type is not one of ours.

    Raises BadInput with a `Reject` reason. Unknown fields are ignored, null is absent, NUL and
    lone surrogates are replaced (wire_json.py).
    """
    return parse_counted(raw).event


@dataclass(frozen=True, slots=True)
class Counted:
    """An event, and how many of its characters had to be replaced (NUL, lone surrogates)."""

    event: Event | UnknownEvent
    replaced: int


def parse_counted(raw: bytes) -> Counted:
    """As parse_event, with the count of replaced characters."""
    loaded = load_object(raw)
    fields = loaded.fields
    check_major(fields)
    kind = fields.get("type")
    model: type[Envelope] = UnknownEvent
    if isinstance(kind, str):
        model = EVENT_TYPES.get(kind, UnknownEvent)
    try:
        event = model.model_validate(fields)
    except ValidationError as e:
        raise refusal(e, what="event" if model is UnknownEvent else str(kind)) from None
    return Counted(cast("Event | UnknownEvent", event), loaded.replaced)


def check_major(fields: dict[str, object]) -> None:
    """Refuse an event without a major version, or of another one, before anything else."""
    v = fields.get("v")
    if v is None:
        raise BadInput("event has no v", reason=Reject.MISSING_FIELD, hint='write "v": 1')
    if not isinstance(v, int) or isinstance(v, bool):
        raise BadInput(
            f"v is a JSON {type(v).__name__}, expected the integer 1", reason=Reject.WRONG_TYPE
        )
    if v != 1:
        raise BadInput(
            f"event has major version {v}, this reader knows 1",
            reason=Reject.UNKNOWN_MAJOR,
            hint="upgrade the stream before its producers",
        )


def check_bounds(event: HasTs, append_ms: int) -> None:
    """Refuse an event from the future. append_ms: Kafka's append time of the message.

    The other bounds do not depend on the clock and are part of parsing.
    """
    ahead = event.ts - append_ms
    if ahead > FUTURE_MS:
        raise BadInput(
            f"ts is {ahead} ms after the append time, at most {FUTURE_MS} ms are taken",
            reason=Reject.TS_IN_FUTURE,
            hint="set the sender's clock",
        )
