"""The events beside the request: starts, steps, judgements, prompts and the client's heartbeat."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from streamgauge.contracts import bounds as b
from streamgauge.contracts.events.envelope import (
    Content,
    CostNanoUsd,
    Count,
    Counter,
    DurationMs,
    Envelope,
    Id,
    Name,
    Status,
    String,
    TagKey,
    Text,
    Word,
)
from streamgauge.contracts.events.request import Source
from streamgauge.contracts.records import LOW_CARDINALITY, Lax, Record


class LlmStart(Envelope):
    """A call began. Optional and off by default: the heartbeat shows open calls without it."""

    type: Literal["llm.start"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )
    call_id: Id = Field(description="Id that the finished request will have.")
    op: Name = Field(description="As in llm.request.")
    provider: Name = Field(description="As in llm.request.")
    model: Name = Field(description="As in llm.request.")


class Step(Envelope):
    """A step around a call: what llm.tool and llm.retrieval share."""

    call_id: Id | None = Field(None, description="Id of the request it belongs to.")
    name: Name = Field(description="Tool or retriever.")
    status: Status = Field(description="How the step ended.", json_schema_extra=LOW_CARDINALITY)
    error_type: Word | None = Field(None, description="Class or code; never message text.")
    duration_ms: DurationMs = Field(description="How long the step took.")
    input_chars: Count | None = Field(None, description="Arguments or query, characters.")
    output_chars: Count | None = Field(None, description="Result, characters.")
    sources: Annotated[tuple[Source, ...], Lax, Field(max_length=b.MAX_SOURCES)] | None = Field(
        None, description="Documents found; no text."
    )
    input_text: Text | None = Field(
        None, description="Arguments or query, under the privacy rules of llm.request."
    )
    output_text: Text | None = Field(
        None, description="Result, under the privacy rules of llm.request."
    )
    content: Content | None = Field(
        None, description="What the text fields are.", json_schema_extra=LOW_CARDINALITY
    )
    truncated: bool | None = Field(None, description="A text was cut.")


class LlmTool(Step):
    """A tool ran."""

    type: Literal["llm.tool"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )


class LlmRetrieval(Step):
    """Documents were looked up."""

    type: Literal["llm.retrieval"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )


def _has(kind: str, name: str) -> dict[str, JsonValue]:
    return {"required": [name], "properties": {name: {"type": kind}}}


def _one_of(kind: str, *names: str) -> dict[str, JsonValue]:
    return {"anyOf": [_has(kind, name) for name in names]}


class Judgement(Envelope):
    """Somebody's verdict on a request: what llm.feedback and llm.evaluation share.

    At least one of target_id, response_id and trace_id, and at least one of value and label. The
    last one per (target, name, evaluator or user) counts.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                _one_of("string", "target_id", "response_id", "trace_id"),
                {"anyOf": [_has("number", "value"), _has("string", "label")]},
            ]
        }
    )

    target_id: Id | None = Field(None, description="Id of the request.")
    response_id: String | None = Field(None, description="The provider's id of the answer.")
    name: Name = Field(description="What is judged, such as `thumbs` or `groundedness`.")
    value: float | None = Field(None, description="Verdict as a number.")
    label: Word | None = Field(None, description="Verdict as a word.")
    annotator: Literal["human", "llm", "code"] = Field(
        description="Kind of judge.", json_schema_extra=LOW_CARDINALITY
    )
    evaluator: Word | None = Field(None, description="Which judge.")
    evaluator_version: Word | None = Field(None, description="Version of the judge.")
    evaluator_model: Word | None = Field(None, description="Model that an LLM judge used.")
    comment: Text | None = Field(None, description="Why; cut and redacted.")
    cost_nano_usd: CostNanoUsd | None = Field(None, description="What the judgement cost.")

    @model_validator(mode="after")
    def _points_and_says(self) -> Self:
        if self.target_id is None and self.response_id is None and self.trace_id is None:
            raise PydanticCustomError(
                "one_of_missing", "one of target_id, response_id, trace_id is required"
            )
        if self.value is None and self.label is None:
            raise PydanticCustomError("one_of_missing", "one of value, label is required")
        return self


class Feedback(Judgement):
    """A user's judgement of an answer."""

    type: Literal["llm.feedback"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )


class Evaluation(Judgement):
    """An evaluator's judgement of an answer."""

    type: Literal["llm.evaluation"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )


class PromptRegistration(Envelope):
    """A version of a prompt template."""

    type: Literal["llm.prompt"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )
    prompt_name: Name = Field(description="Prompt template.")
    prompt_version: Name = Field(description="Version; the hash when the app names none.")
    template_hash: Name = Field(description="Hash of the template, hex.")
    template: str | None = Field(None, description="The template itself.")
    labels: Annotated[tuple[Word, ...], Lax, Field(max_length=b.MAX_PROMPT_LABELS)] | None = Field(
        None, description="Marks such as `production`."
    )


class OpenCall(Record):
    """A call that has not ended yet."""

    call_id: Id = Field(description="Id that the finished request will have.")
    model: Word | None = Field(None, description="Model as asked for.")
    age_ms: DurationMs | None = Field(None, description="Time since the call began.")
    first_token: bool | None = Field(None, description="Whether content has come yet.")


class ClientStats(Envelope):
    """The client's heartbeat, every 10 s and at close. Counters run since the client's start."""

    type: Literal["client.stats"] = Field(
        description="Type of the event.", json_schema_extra=LOW_CARDINALITY
    )
    accepted: Counter | None = Field(None, description="Events taken from the app.")
    sent: Counter | None = Field(None, description="Events that Kafka acknowledged.")
    dropped: Annotated[dict[TagKey, Counter], Field(max_length=b.MAX_DROP_REASONS)] | None = Field(
        None, description="Events given up, by reason."
    )
    spooled: Counter | None = Field(None, description="Events written to the disk spool.")
    errors: Counter | None = Field(None, description="Errors inside the client.")
    queue_events: Counter | None = Field(None, description="Events waiting now.")
    queue_bytes: Counter | None = Field(None, description="Bytes waiting now.")
    open_calls: Counter | None = Field(None, description="Calls running now.")
    open_oldest_ms: DurationMs | None = Field(None, description="Age of the oldest open call.")
    open: Annotated[tuple[OpenCall, ...], Lax, Field(max_length=b.MAX_OPEN_CALLS)] | None = Field(
        None, description="The oldest open calls."
    )
    last_seq: Counter | None = Field(None, description="Last sequence number given out.")
