"""Alerts (`llm.alerts.v1`): one record per transition is both the state and the public alert.

Key: fingerprint. The last record per key is the alert's state; within a fingerprint `seq` orders
them, and no two records share an id. A subscriber ignores fields it does not know.
Not here: the state machine and the rules (streamgauge.alerting).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field, JsonValue

from streamgauge.contracts.bounds import MAX_ID_CHARS, MAX_INT64
from streamgauge.contracts.records import Instant, Label, Lax, Major1, Record

CE_TYPE = "io.streamgauge.alert.transition.v1"


class AlertStatus(StrEnum):
    """State of an alert. Being silenced or inhibited is not a state: the alert fires underneath."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    NODATA = "nodata"
    ERROR = "error"


ACTIVE = frozenset({AlertStatus.FIRING, AlertStatus.RECOVERING, AlertStatus.NODATA})
"""States in which an episode is open, as people see it."""


class Transition(StrEnum):
    """What happened. The status says where it led."""

    PENDING = "pending"
    CANCELLED = "cancelled"
    FIRED = "fired"
    ESCALATED = "escalated"
    DEESCALATED = "deescalated"
    REFRESHED = "refreshed"
    RECOVERING = "recovering"
    REFIRED = "refired"
    RESOLVED = "resolved"
    NODATA = "nodata"
    STALE = "stale"
    ERROR = "error"
    ERROR_CLEARED = "error_cleared"


class Severity(StrEnum):
    """Who must act, when: page = a person now, ticket = a person this week, info = nobody."""

    PAGE = "page"
    TICKET = "ticket"
    INFO = "info"


class Window(Record):
    """Stretch of event time that the value covers: start included, end not."""

    start: Instant = Field(description="First moment in it.")
    end: Instant = Field(description="First moment after it.")


class Exemplar(Record):
    """An event that shows the trouble. Never its text."""

    event_id: Annotated[str, Field(max_length=MAX_ID_CHARS)] = Field(description="Id of the event.")
    trace_id: Annotated[str, Field(max_length=MAX_ID_CHARS)] | None = Field(
        None, description="Its trace."
    )
    value: float | None = Field(None, description="Its own value.")


class AlertSource(Record):
    """The input record that caused the transition."""

    topic: Label = Field(description="Topic read.")
    partition: Annotated[int, Field(ge=0)] = Field(description="Partition read.")
    offset: Annotated[int, Field(ge=0, le=MAX_INT64)] = Field(description="Offset read.")


class Alert(Record):
    """One transition of one alert, and the whole state after it."""

    schema_version: Major1 = Field(
        alias="schema", description="Major version of the record; `schema` on the wire."
    )
    id: Label = Field(description="sha256 of fingerprint, seq and cause: the same on every replay.")
    fingerprint: Label = Field(
        description="First 16 hex digits of sha256 over rule and labels; the record's key."
    )
    seq: Annotated[int, Field(ge=1, le=MAX_INT64)] = Field(
        description="1, 2, 3 ... per fingerprint: the order of its records."
    )
    epoch: Annotated[int, Field(ge=0, le=MAX_INT64)] = Field(
        description="Generation of the engine; a reader drops a lower one after a higher."
    )
    episode: Label = Field(description="Id of this episode, from pending or fired to resolved.")
    status: AlertStatus = Field(description="State after the transition.")
    transition: Transition = Field(description="What happened.")
    reason: Label | None = Field(
        None, description="Why, if not by the rule: missing_series, rule_removed, rule_changed ..."
    )
    severity: Severity = Field(description="Who must act.")
    level: Label | None = Field(None, description="Level of the rule's ladder that is broken.")
    rule: Label = Field(description="Name of the rule.")
    rule_version: Label = Field(description="Hash of the rule's definition.")
    kind: Label = Field(description="Kind of the rule: threshold, ratio, absence ...")
    labels: dict[Label, Label] = Field(
        description="What it is about: group_by dimensions, alertname, severity, team."
    )
    annotations: dict[Label, str] = Field(
        default_factory=dict, description="Texts for people: summary, description."
    )
    value: float | None = Field(None, description="What was measured.")
    threshold: float | None = Field(None, description="What it was compared with.")
    unit: Label | None = Field(None, description="Unit of value and threshold.")
    window: Window | None = Field(None, description="Event time that the value covers.")
    starts_at: Instant | None = Field(None, description="First breach, event time.")
    fired_at: Instant | None = Field(None, description="When it fired, event time.")
    ends_at: Instant | None = Field(None, description="When it resolved, event time.")
    updated_at: Instant = Field(description="Event time of this transition.")
    event_time: Instant = Field(description="Clock of the rule's sources at this transition.")
    late_by_ms: Annotated[int, Field(ge=0, le=MAX_INT64)] | None = Field(
        None, description="Wall time behind event time at publication; null in a replay."
    )
    flapping: bool = Field(False, description="It fires and resolves again and again.")
    no_data: bool = Field(False, description="There was nothing to judge.")
    stale: bool = Field(False, description="Its series is missing while the rule has data.")
    incomplete: bool = Field(False, description="Judged before all sources had reported.")
    exemplars: Annotated[tuple[Exemplar, ...], Lax] = Field(
        (), description="Events that show the trouble."
    )
    evidence: dict[str, JsonValue] = Field(
        default_factory=dict, description="By kind of rule: baseline, burn rates, bins that moved."
    )
    query: str | None = Field(None, description="ClickHouse SQL that reproduces the value.")
    runbook_url: str | None = Field(None, description="What to do.")
    generator_url: str | None = Field(None, description="Where to look.")
    actions: Annotated[tuple[str, ...], Lax] = Field(
        (), description="Directives that the rule suggests."
    )
    src: AlertSource | None = Field(None, description="Input record that caused the transition.")

    @property
    def active(self) -> bool:
        """Whether an episode is open: firing, recovering or without data."""
        return self.status in ACTIVE


def fingerprint(rule: str, labels: Mapping[str, str]) -> str:
    """Identity of an alert: 16 hex digits of sha256 over rule and labels, NFC, sorted.

    Severity, value, annotations and rule version are not part of it.
    """
    canonical = json.dumps(
        {"rule": rule, "labels": dict(labels)},
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return hashlib.sha256(unicodedata.normalize("NFC", canonical).encode()).hexdigest()[:16]
