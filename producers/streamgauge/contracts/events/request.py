"""`llm.request`: one finished call of a model, whatever its outcome.

Token totals include their subsets: cached and cache-written tokens are in `input_tokens`,
reasoning is in `output_tokens` (OpenTelemetry's rule; Anthropic's raw usage must be summed by the
sender). Unknown is null, never 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streamgauge.contracts import bounds as b
from streamgauge.contracts.events.envelope import (
    Content,
    CostNanoUsd,
    Count,
    Counter,
    DurationMs,
    Envelope,
    Hex,
    Int64,
    Name,
    SmallCount,
    Status,
    String,
    Text,
    Tokens,
    Word,
)
from streamgauge.contracts.records import LOW_CARDINALITY, Lax, Record


class ToolCall(Record):
    """A tool that the answer called."""

    name: Name = Field(description="Tool.")
    ok: bool | None = Field(None, description="Whether the tool succeeded.")
    duration_ms: DurationMs | None = Field(None, description="How long the tool ran.")
    args_chars: Count | None = Field(None, description="Length of the arguments, characters.")
    result_chars: Count | None = Field(None, description="Length of the result, characters.")


class Source(Record):
    """A document that the answer stands on; never its text."""

    id: String = Field(description="Id of the document in its source.")
    source: Word | None = Field(None, description="Collection or index it came from.")
    score: float | None = Field(None, description="Relevance as the retriever gave it.")
    rank: Count | None = Field(None, description="Place in the retriever's answer, from 1.")


class Guardrail(Record):
    """A check that ran on the call."""

    name: Name = Field(description="Check.")
    action: Word | None = Field(None, description="What it did, such as `pass` or `block`.")
    score: float | None = Field(None, description="What it measured.")


class LlmRequest(Envelope):
    """A finished call: ok, error, cancelled or timeout."""

    type: Literal["llm.request"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )
    op: Name = Field(
        description="Operation in OpenTelemetry's words: chat, text_completion, embeddings, "
        "generate_content ..."
    )
    provider: Name = Field(
        description="Provider in OpenTelemetry's words: openai, azure.ai.openai, aws.bedrock, "
        "gcp.gemini, anthropic ..."
    )
    model: Name = Field(description="Model as asked for.")
    response_model: String | None = Field(None, description="Model as served.")
    response_id: String | None = Field(None, description="The provider's id of the answer.")
    system_fingerprint: String | None = Field(None, description="The provider's configuration.")
    server_address: String | None = Field(None, description="Host that was called.")
    status: Status = Field(description="How the call ended.", json_schema_extra=LOW_CARDINALITY)
    error_type: Word | None = Field(None, description="Class or code; never message text.")
    http_status: SmallCount | None = Field(None, description="HTTP status of the last attempt.")
    retries: SmallCount | None = Field(None, description="Attempts beyond the first.")
    stream: bool | None = Field(None, description="Whether the answer was streamed.")
    duration_ms: DurationMs = Field(
        description="From the call to the last chunk, by the monotonic clock."
    )
    ttft_ms: DurationMs | None = Field(
        None, description="From the call to the first chunk with content."
    )
    queue_ms: DurationMs | None = Field(None, description="Wait in a gateway.")
    chunks: Count | None = Field(None, description="Chunks of the stream.")
    chunk_gap_p50_ms: DurationMs | None = Field(None, description="Median gap between chunks.")
    chunk_gap_max_ms: DurationMs | None = Field(None, description="Longest gap between chunks.")
    stalls: Count | None = Field(None, description="Gaps of over 5 s.")
    input_tokens: Tokens | None = Field(
        None, description="Total, cached and cache-written included."
    )
    output_tokens: Tokens | None = Field(None, description="Total, reasoning included.")
    cache_read_tokens: Tokens | None = Field(None, description="Part of input: read from cache.")
    cache_write_tokens: Tokens | None = Field(
        None, description="Part of input: written to the cache, all lifetimes."
    )
    cache_write_1h_tokens: Tokens | None = Field(
        None, description="Part of cache_write_tokens: kept for an hour."
    )
    reasoning_tokens: Tokens | None = Field(None, description="Part of output: reasoning.")
    audio_input_tokens: Tokens | None = Field(None, description="Part of input: audio.")
    audio_output_tokens: Tokens | None = Field(None, description="Part of output: audio.")
    image_input_tokens: Tokens | None = Field(None, description="Part of input: images.")
    usage_source: Literal["provider", "estimated", "none"] | None = Field(
        None, description="Who counted the tokens.", json_schema_extra=LOW_CARDINALITY
    )
    service_tier: Word | None = Field(None, description="Price tier, such as `batch`.")
    speed: Word | None = Field(None, description="Speed class, such as `fast`.")
    cost_nano_usd: CostNanoUsd | None = Field(
        None, description="Only if the app knows its own price; else the stream fills it."
    )
    cost_source: Literal["app", "stream"] | None = Field(
        None, description="Who priced it; filled by the stream.", json_schema_extra=LOW_CARDINALITY
    )
    price_book: Word | None = Field(
        None, description="Version of the price book; filled by the stream."
    )
    temperature: float | None = Field(None, description="Sampling temperature asked for.")
    top_p: float | None = Field(None, description="Nucleus share asked for.")
    max_tokens: Tokens | None = Field(None, description="Limit of output tokens asked for.")
    seed: Int64 | None = Field(None, description="Seed asked for.")
    n: SmallCount | None = Field(None, description="Answers asked for.")
    reasoning_level: Word | None = Field(None, description="Reasoning effort asked for.")
    output_type: Word | None = Field(None, description="Output asked for, such as `json`.")
    finish_reason: Word | None = Field(
        None, description="Of the first choice; `error` when none came."
    )
    refused: bool | None = Field(None, description="The provider's refusal flag.")
    output_valid: bool | None = Field(None, description="Output parsed by the app's schema.")
    cache_status: Literal["hit", "miss", "bypass"] | None = Field(
        None, description="The app's own response cache.", json_schema_extra=LOW_CARDINALITY
    )
    prompt_name: Word | None = Field(None, description="Prompt template.")
    prompt_version: Word | None = Field(None, description="Version of the template.")
    template_hash: Word | None = Field(
        None, description="Hash of the template (not of the filled text)."
    )
    variant: Word | None = Field(None, description="A/B arm.")
    input_text: Text | None = Field(
        None, description="Last user turn; at most 8 KiB, head and tail kept."
    )
    output_text: Text | None = Field(None, description="Completion; cut like input_text.")
    reference_text: Text | None = Field(
        None, description="Expected answer, for BLEU and ROUGE; cut like input_text."
    )
    content: Content = Field(
        description="What the text fields are. The client's default is `redacted`.",
        json_schema_extra=LOW_CARDINALITY,
    )
    truncated: bool | None = Field(None, description="A text was cut.")
    text_probability: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="With which probability this text was kept; 1 when not sampled. Counts, "
        "tokens, cost and latency are never sampled.",
    )
    input_chars: Count | None = Field(None, description="Length of the full input, characters.")
    output_chars: Count | None = Field(None, description="Length of the full output, characters.")
    messages_n: Count | None = Field(None, description="Messages in the request.")
    input_hash: Hex | None = Field(None, description="HMAC, hex: exact repeats without text.")
    output_hash: Hex | None = Field(None, description="HMAC, hex.")
    logprob_mean: float | None = Field(
        None, description="Mean log probability per output token; perplexity = exp(-mean)."
    )
    logprob_min: float | None = Field(None, description="Least log probability.")
    logprob_n: Count | None = Field(None, description="Tokens that logprob_mean stands on.")
    tools: Annotated[tuple[ToolCall, ...], Lax, Field(max_length=b.MAX_TOOLS)] | None = Field(
        None, description="Tools that the answer called."
    )
    sources: Annotated[tuple[Source, ...], Lax, Field(max_length=b.MAX_SOURCES)] | None = Field(
        None, description="Documents the answer stands on; no text."
    )
    embedding: str | None = Field(
        None, description="Base64 of little-endian float32; only if the app has it already."
    )
    embedding_model: Word | None = Field(None, description="Model of `embedding`.")
    guardrails: Annotated[tuple[Guardrail, ...], Lax, Field(max_length=b.MAX_GUARDRAILS)] | None = (
        Field(None, description="Checks that ran on the call.")
    )
    directive_revision: Counter | None = Field(
        None, description="Last directive that the app obeyed."
    )
