"""The envelope that every event carries, and the field types that all events are built from.

Strings have lengths, numbers have bounds (contracts/bounds.py); `x-low-cardinality` marks a label,
`x-unit` a unit. Required means: not absent and not null. Not here: bodies (request.py, others.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streamgauge.contracts import bounds as b
from streamgauge.contracts.records import LOW_CARDINALITY, Major1, Record

Name = Annotated[
    str,
    Field(min_length=1, max_length=b.MAX_STRING_CHARS, json_schema_extra=LOW_CARDINALITY),
]
"""A label that may not be empty."""
Word = Annotated[str, Field(max_length=b.MAX_STRING_CHARS, json_schema_extra=LOW_CARDINALITY)]
"""A label."""
String = Annotated[str, Field(max_length=b.MAX_STRING_CHARS)]
Id = Annotated[str, Field(min_length=1, max_length=b.MAX_ID_CHARS)]
Hex = Annotated[str, Field(max_length=b.MAX_ID_CHARS)]
Text = Annotated[str, Field(json_schema_extra={"x-max-bytes": b.MAX_TEXT_BYTES})]
"""Length is the sender's duty: a longer one is kept (the event's 64 KiB bound it)."""
Tokens = Annotated[int, Field(ge=0, le=b.MAX_TOKENS, json_schema_extra={"x-unit": "tokens"})]
Count = Annotated[int, Field(ge=0, le=b.MAX_COUNT)]
SmallCount = Annotated[int, Field(ge=0, le=b.MAX_SMALL_COUNT)]
Counter = Annotated[int, Field(ge=0, le=b.MAX_INT64)]
Int64 = Annotated[int, Field(ge=b.MIN_INT64, le=b.MAX_INT64)]
DurationMs = Annotated[float, Field(ge=0, le=b.MAX_DURATION_MS, json_schema_extra={"x-unit": "ms"})]
CostNanoUsd = Annotated[
    int, Field(ge=0, le=b.MAX_COST_NANO_USD, json_schema_extra={"x-unit": "1e-9 USD"})
]
TagKey = Annotated[str, Field(max_length=b.MAX_TAG_KEY_CHARS)]
TagValue = Annotated[str, Field(max_length=b.MAX_TAG_VALUE_CHARS)]
Content = Literal["full", "redacted", "hash", "none", "sampled_out"]
Status = Literal["ok", "error", "cancelled", "timeout"]


class Envelope(Record):
    """What every event says about itself, whatever its type."""

    v: Major1 = Field(description="Major version of the event format.")
    id: Id = Field(
        description="Unique per event. For a request it is the call's id, which feedback, "
        "evaluations, tools and retrievals point to."
    )
    type: Annotated[str, Field(min_length=1, max_length=b.MAX_TYPE_CHARS)] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )
    ts: Annotated[int, Field(ge=b.TS_MIN_MS, le=b.MAX_INT64)] = Field(
        description="When it happened, milliseconds since the epoch, UTC; for a call its "
        "completion (its start is ts - duration_ms). From 2015 to append time + 60 s.",
        json_schema_extra={"x-unit": "ms"},
    )
    tenant: Name = Field(b.DEFAULT_TENANT, description="Tenant.")
    app: Name = Field(description="Service name.")
    env: Name = Field(b.DEFAULT_ENV, description="Deployment environment.")
    team: Word | None = Field(None, description="Owner, for routing alerts.")
    feature: Word | None = Field(
        None, description="Feature of the app, such as `search` or `summarise`."
    )
    release: Word | None = Field(None, description="Version of the app.")
    producer_id: Annotated[str, Field(max_length=b.MAX_PRODUCER_ID_CHARS)] | None = Field(
        None, description="New per client start and per fork; null for producers not ours."
    )
    seq: Annotated[int, Field(ge=1, le=b.MAX_INT64)] | None = Field(
        None,
        description="1, 2, 3 ... without gaps per producer_id, over everything accepted into "
        "the client's send path.",
    )
    sdk: String | None = Field(None, description="Name/version of the sending library.")
    host: String | None = Field(None, description="Machine; no label.")
    region: String | None = Field(None, description="Cloud region.")
    trace_id: Hex | None = Field(None, description="Hex; of the active OpenTelemetry span.")
    span_id: Hex | None = Field(None, description="Hex; of the active OpenTelemetry span.")
    parent_span_id: Hex | None = Field(None, description="Hex; of the span's parent.")
    session_id: String | None = Field(None, description="Conversation; never invented.")
    user_id: String | None = Field(
        None, description="End user: HMAC-SHA256 with the deployment's key, raw on request."
    )
    key_id: String | None = Field(
        None, description="API key or virtual key: HMAC-SHA256 as user_id."
    )
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=b.MAX_TAGS)] | None = Field(
        None,
        description=f"Free labels: at most {b.MAX_TAGS} keys of {b.MAX_TAG_KEY_CHARS} "
        f"characters, values of {b.MAX_TAG_VALUE_CHARS}.",
    )


class UnknownEvent(Envelope):
    """An event of a type that this version does not know: envelope kept, body dropped."""
