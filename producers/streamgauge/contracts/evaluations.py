"""Rule evaluations (`llm.alert-evals.v1`): the log that alerts are a function of.

One record per rule and step of event time, with all its series. The state machine skips steps that
are not after its last one, so a record written twice changes nothing.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from streamgauge.contracts.records import EpochMs, Label, Lax, Major1, Record
from streamgauge.contracts.ticks import Completeness


class Series(Record):
    """One label set of a rule, at one step."""

    labels: dict[Label, Label] = Field(description="The rule's group_by dimensions.")
    value: float | None = Field(None, description="What was measured; null: nothing to judge.")
    n: Annotated[int, Field(ge=0)] = Field(description="Events that the value stands on.")
    bad: Annotated[int, Field(ge=0)] | None = Field(None, description="Bad ones of a ratio.")
    breach: Label | None = Field(None, description="Level that is broken; null: none.")
    evidence: dict[str, JsonValue] | None = Field(
        None, description="What the verdict stands on: baseline, threshold, bins ..."
    )


class EvaluationRecord(Record):
    """What one rule found at one step."""

    v: Major1 = Field(description="Major version of the record.")
    rule: Label = Field(description="Name of the rule; the record's key.")
    rule_version: Label = Field(description="Hash of the rule's definition.")
    step_ms: EpochMs = Field(description="End of the step, event time, on the rule's grid.")
    watermark_ms: EpochMs | None = Field(
        None, description="Clock of the rule's sources at the evaluation."
    )
    completeness: Completeness | None = Field(
        None, description="Share of the sources' partitions behind the values."
    )
    final: bool = Field(
        description="The watermark has passed the step. An open step can fire, never resolve."
    )
    series: Annotated[tuple[Series, ...], Lax] = Field(
        description="All series of the rule; a missing one had no data, if none were dropped."
    )
    dropped_series: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Series judged and left out, beyond the rule's max_series; null: none."
    )
    error: str | None = Field(None, description="Why the rule could not be evaluated.")
