"""The keyword arguments of the client's functions, for editors and type checkers.

At run time anything is taken: a wrong value leaves its field out and is counted, it never raises.
Meanings, units and bounds are those of the wire (docs: event reference); `ts` is the completion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

Capture = Literal["redacted", "full", "hash", "none"]
Status = Literal["ok", "error", "cancelled", "timeout"]


class EnvelopeFields(TypedDict, total=False):
    """What any event may carry. Those that `init` knows too are overridden for this event."""

    id: str
    ts: int
    tenant: str
    app: str
    env: str
    team: str
    feature: str
    release: str
    region: str
    trace_id: str
    span_id: str
    parent_span_id: str
    session_id: str
    user_id: str
    key_id: str
    tags: Mapping[str, str]


class _CallFields(EnvelopeFields, total=False):
    op: str
    provider: str
    response_model: str
    response_id: str
    system_fingerprint: str
    server_address: str
    status: Status
    error_type: str
    http_status: int
    retries: int
    stream: bool
    ttft_ms: float
    queue_ms: float
    chunks: int
    chunk_gap_p50_ms: float
    chunk_gap_max_ms: float
    stalls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    usage_source: Literal["provider", "estimated", "none"]
    service_tier: str
    speed: str
    cost_nano_usd: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    n: int
    reasoning_level: str
    output_type: str
    finish_reason: str
    refused: bool
    output_valid: bool
    cache_status: Literal["hit", "miss", "bypass"]
    prompt_name: str
    prompt_version: str
    template_hash: str
    variant: str
    input_text: str
    output_text: str
    reference_text: str
    input_chars: int
    output_chars: int
    messages_n: int
    logprob_mean: float
    logprob_min: float
    logprob_n: int
    tools: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    guardrails: Sequence[Mapping[str, Any]]
    embedding: str
    embedding_model: str
    directive_revision: int


class RequestFields(_CallFields, total=False):
    """A finished call. Durations in milliseconds by a monotonic clock."""

    model: Required[str]
    duration_ms: Required[float]


class OpenCallFields(_CallFields, total=False):
    """A call that begins: the client measures `duration_ms` itself unless it is given."""

    model: Required[str]
    duration_ms: float


class CallUpdate(_CallFields, total=False):
    """What becomes known while a call runs."""

    model: str
    duration_ms: float


class FeedbackFields(EnvelopeFields, total=False):
    """A judgement: `name` and one of `value`, `label`."""

    name: Required[str]
    value: float
    label: str
    comment: str
    annotator: Literal["human", "llm", "code"]
    evaluator: str
    response_id: str
