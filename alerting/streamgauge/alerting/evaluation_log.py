"""The evaluation log as the engine writes it: contracts.evaluations plus what makes it complete.

Alerts must be a function of this log alone, whatever rule files say by then. So every record
carries the `Policy` of its rule: what the state machine has to know. A rule that is gone ends with
one record that says `removed`. Readers of the plain contract ignore both.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streamgauge.contracts.alerts import Severity
from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.evaluations import EvaluationRecord, Series
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import Label, Lax, Record, parse_record

FROZEN_AFTER = 3
"""Failures in a row after which a rule's open alerts say that they are frozen, and
RuleEvaluationFailing fires."""


class LoggedSeries(Series):
    """One series, with the zone that its value lies in."""

    zone: Literal["breach", "recover", "ok", "unknown"] = Field(
        description="What it means for the state: conditions.py."
    )


class Policy(Record):
    """What the state machine must know of a rule. Durations in ms of event time."""

    kind: Label = Field(description="Kind of the rule.")
    unit: Label = Field(description="Unit of value and thresholds.")
    for_ms: int = Field(0, description="How long it must breach before it fires.")
    keep_firing_for_ms: int = Field(0, description="How long it must be well before it resolves.")
    window_ms: int | None = Field(None, description="Length of the rolling window.")
    levels: dict[Severity, float] = Field(description="Threshold of each level.")
    no_data: Literal["keep", "ok", "nodata", "fire"] = Field("keep", description="Mode.")
    no_data_after_ms: int = Field(3_600_000, description="Patience with a series without value.")
    dimensions: Annotated[tuple[Label, ...], Lax] = Field(
        (), description="Names of the labels that tell its series apart."
    )
    labels: dict[Label, Label] = Field(default_factory=dict, description="Further labels.")
    annotations: dict[Label, str] = Field(default_factory=dict, description="Templates.")
    facts: dict[Label, str] = Field(
        default_factory=dict, description="What annotations may name beside labels and value."
    )
    query: str | None = Field(None, description="SQL template; query.py fills it.")
    runbook_url: str | None = Field(None, description="What to do.")

    def threshold(self, level: str) -> float | None:
        """Threshold of a level; None where levels have no number."""
        return self.levels.get(Severity(level))

    def mildest(self) -> Severity:
        """The least severe level."""
        order = (Severity.INFO, Severity.TICKET, Severity.PAGE)
        return next((s for s in order if s in self.levels), Severity.TICKET)


class LoggedEvaluation(EvaluationRecord):
    """One record of the log."""

    series: Annotated[tuple[LoggedSeries, ...], Lax] = Field(description="All series of the rule.")
    policy: Policy | None = Field(None, description="None only when the rule is removed.")
    removed: Label | None = Field(None, description="Why the rule is gone: rule_removed.")
    failures: Annotated[int, Field(ge=0)] | None = Field(
        None, description="With `error`: how many steps in a row could not be evaluated."
    )
    live: bool = Field(False, description="Judged in clock mode live: lateness has a meaning.")


def logged(value: bytes, append_ms: int) -> LoggedEvaluation:
    """A record of the log, as read. append_ms: when the broker took it.

    BadInput if it is none, or of a step further ahead than any event may be: the state machine
    skips steps not after a rule's last, so such a record would silence its rule.
    """
    record = parse_record(LoggedEvaluation, value)
    if record.step_ms > append_ms + FUTURE_MS:
        raise BadInput(
            f"rule {record.rule}: step {record.step_ms} is {record.step_ms - append_ms} ms after"
            f" the broker took the record, at most {FUTURE_MS} may be",
            reason=Reject.TS_IN_FUTURE,
        )
    return record
