"""Directives (`llm.directives.v1`): the state that is wished for apps, one record per scope.

Key: scope. The topic is compacted, so the last record per scope is what is wished now; a tombstone
withdraws it. A directive ends by itself at `expires_at`: then the app is back at its own default.
The client obeys only what the app allowed. Not here: who decides (streamgauge.alerting).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, JsonValue

from streamgauge.contracts.bounds import MAX_INT64
from streamgauge.contracts.records import Instant, Label, Major1, Record

CE_TYPE = "io.streamgauge.directive.v1"
KILL_SWITCH_SCOPE = "*"


class DirectiveKind(StrEnum):
    """What is wished."""

    MODEL_FALLBACK = "model_fallback"
    PROMPT_ROLLBACK = "prompt_rollback"
    PROMPT_PIN = "prompt_pin"
    RATE_CAP = "rate_cap"
    CACHE_MODE = "cache_mode"
    SAMPLE_RATE = "sample_rate"
    DISABLE_FEATURE = "disable_feature"
    RETRAIN_REQUEST = "retrain_request"
    REEVAL_REQUEST = "reeval_request"


class DirectiveMode(StrEnum):
    """How firmly: an app obeys `enforce` only where it registered a handler."""

    SUGGEST = "suggest"
    ENFORCE = "enforce"


class DirectiveReason(Record):
    """The alert behind a directive."""

    alert_id: Label | None = Field(None, description="Record of llm.alerts.v1.")
    episode: Label | None = Field(None, description="Its episode.")
    rule: Label | None = Field(None, description="Its rule.")


class Directive(Record):
    """One wish for one scope."""

    schema_version: Major1 = Field(
        alias="schema", description="Major version of the record; `schema` on the wire."
    )
    scope: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="env/app/feature/kind, or `*` for the kill switch; the record's key."
    )
    kind: DirectiveKind = Field(description="What is wished.")
    params: dict[str, JsonValue] = Field(
        default_factory=dict, description="By kind: from, to, rps, rate ..."
    )
    mode: DirectiveMode = Field(DirectiveMode.SUGGEST, description="How firmly.")
    reason: DirectiveReason | None = Field(None, description="The alert behind it.")
    revision: Annotated[int, Field(ge=1, le=MAX_INT64)] = Field(
        description="Rises with each record of the scope; events carry the one they obeyed."
    )
    issued_at: Instant = Field(description="When it was decided.")
    expires_at: Instant = Field(description="When it ends by itself; never absent.")
    issued_by: Label = Field(description="Engine or person.")
    requires_ack: bool = Field(False, description="A person must agree first.")
    signature: str | None = Field(None, description="HMAC or ed25519 over the other fields.")
