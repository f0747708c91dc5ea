"""Builds the record of a transition from the alert's last record and its cause. Pure.

Everything in it is a function of the log: the id from fingerprint, seq, transition and step; the
episode from the fingerprint and the step at which it began; texts from the rule's templates.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import JsonValue

from streamgauge.alerting.carried_sql import NOTE, fill
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.contracts.alerts import (
    Alert,
    AlertSource,
    AlertStatus,
    Severity,
    Transition,
    Window,
    fingerprint,
)
from streamgauge.contracts.records import from_ms

EPOCH = 1
"""Generation of the engine. Constant: Kafka's transactions fence zombies."""
FLAPS = 4
FLAP_SPAN_MS = 30 * 60_000
FLAP_SPAN_IN_FOR = 6
FIRES = "recent_fires_ms"
OPEN_WINDOW = (
    "Judged before all of the window was stored: the value is of that moment. The query gives what"
    " the window has come to since; a count or an amount spent is then no less."
)
"""Windows are sums, so the store cannot be asked what one was at an earlier moment."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an alert moves. series: None when the record does not name it."""

    record: LoggedEvaluation
    policy: Policy
    src: AlertSource | None
    series: LoggedSeries | None

    @property
    def step_ms(self) -> int:
        """Event time of the transition."""
        return self.record.step_ms


def transition(
    last: Alert | None,
    cause: Cause,
    status: AlertStatus,
    what: Transition,
    *,
    level: Severity,
    reason: str | None = None,
    no_data: bool = False,
    stale: bool = False,
    anew: bool = False,
) -> Alert:
    """The next record of an alert. last: its record before, None for the first ever.

    anew: another episode begins, though the last one has not ended.
    """
    record, policy, series = cause.record, cause.policy, cause.series
    assert last is not None or series is not None, "an alert begins with a series"
    at = from_ms(record.step_ms)
    begins = anew or last is None or last.status is AlertStatus.RESOLVED
    own = dict(series.labels) if series is not None else _own_labels(last, policy)
    key = last.fingerprint if last is not None else fingerprint(record.rule, own)
    seq = 1 if last is None else last.seq + 1
    episode = _digest("episode", key, record.step_ms) if begins or last is None else last.episode
    fired = what in (Transition.FIRED, Transition.REFIRED)
    fires = _fires(last, record.step_ms, policy, add=fired)
    closed = status is AlertStatus.RESOLVED
    value = series.value if series is not None else None
    evidence: dict[str, JsonValue] = dict((series.evidence if series else None) or {})
    if series is not None:
        evidence["n"] = series.n
        if series.bad is not None:
            evidence["bad"] = series.bad
    if record.error is not None:
        evidence["error"] = record.error
    if fires:
        evidence[FIRES] = list(fires)
    start, query = _window(policy, record, series, own)
    threshold = policy.threshold(level)
    incomplete = not record.final or not (record.completeness is None or record.completeness >= 1)
    labels = {**own, **policy.labels, "alertname": record.rule, "severity": str(level)}
    if last is not None and record.policy is None:
        labels = dict(last.labels)
    return Alert(
        schema_version=1,
        id=_digest("id", key, seq, what, record.step_ms),
        fingerprint=key,
        seq=seq,
        epoch=EPOCH,
        episode=episode,
        status=status,
        transition=what,
        reason=reason,
        severity=level,
        level=str(level),
        rule=record.rule,
        rule_version=record.rule_version,
        kind=policy.kind,
        labels=labels,
        annotations=_noted(
            _texts(policy, labels, value, threshold, last), last, policy,
            asked=query is not None, incomplete=incomplete,
        ),
        value=value,
        threshold=threshold,
        unit=policy.unit or None,
        window=Window(start=from_ms(start), end=at) if start is not None else None,
        starts_at=at if begins or last is None else last.starts_at,
        fired_at=at
        if what is Transition.FIRED
        else (None if begins or last is None else last.fired_at),
        ends_at=at if closed else None,
        updated_at=at,
        event_time=from_ms(record.watermark_ms) if record.watermark_ms is not None else at,
        flapping=len(fires) >= FLAPS,
        no_data=no_data,
        stale=stale,
        incomplete=incomplete,
        evidence=evidence,
        query=query if query is not None else (last.query if last else None),
        runbook_url=policy.runbook_url or (last.runbook_url if last else None),
        src=cause.src,
    )  # fmt: skip


def _own_labels(last: Alert | None, policy: Policy) -> dict[str, str]:
    engine = {"alertname", "severity", *policy.labels}
    return {k: v for k, v in (last.labels if last else {}).items() if k not in engine}


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def _fires(last: Alert | None, step_ms: int, policy: Policy, *, add: bool) -> tuple[int, ...]:
    span = max(FLAP_SPAN_MS, FLAP_SPAN_IN_FOR * policy.for_ms)
    before = last.evidence.get(FIRES) if last is not None else None
    kept = [t for t in before if isinstance(t, int)] if isinstance(before, list) else []
    if add:
        kept.append(step_ms)
    return tuple(t for t in kept if t > step_ms - span)[-FLAPS:]


def _window(
    policy: Policy, record: LoggedEvaluation, series: LoggedSeries | None, own: dict[str, str]
) -> tuple[int | None, str | None]:
    """Start of the window that the value covers, and the SQL that reproduces the value."""
    if series is None:
        return None, None
    found = (series.evidence or {}).get("from_ms")
    start = found if isinstance(found, int) else None
    if start is None and policy.window_ms is not None:
        start = record.step_ms - policy.window_ms
    if policy.query is None:
        return start, None
    first = record.step_ms if start is None else start
    return start, fill(policy.query, labels=own, start_ms=first, end_ms=record.step_ms)


def _noted(
    texts: dict[str, str], last: Alert | None, policy: Policy, *, asked: bool, incomplete: bool
) -> dict[str, str]:
    """The texts with what has to be said of the query. asked: the record has a query of its own."""
    if asked and incomplete:
        return {**texts, NOTE: OPEN_WINDOW}
    if not asked and last is not None and NOTE in last.annotations:
        return {**texts, NOTE: last.annotations[NOTE]}  # the query is the last record's too
    if asked and NOTE not in policy.annotations:
        return {name: text for name, text in texts.items() if name != NOTE}
    return texts


def format_value(value: float | None, unit: str) -> str:
    """A value as people read it.

    >>> format_value(0.4567, "ratio"), format_value(1234567.0, "tokens"), format_value(None, "ms")
    ('45.7 %', '1,234,567 tokens', 'unknown')
    """
    if value is None:
        return "unknown"
    if unit in ("ratio", "share"):
        return f"{value * 100:.3g} %"
    if unit == "times":
        return f"{value:.3g} times"
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}".strip()


def _texts(
    policy: Policy,
    labels: dict[str, str],
    value: float | None,
    threshold: float | None,
    last: Alert | None,
) -> dict[str, str]:
    """The rule's texts, filled. One that cannot be filled stays as it is: no alert is lost."""
    if not policy.annotations and last is not None:
        return dict(last.annotations)
    names = {
        **policy.facts,
        **labels,
        "rule": labels.get("alertname", ""),
        "value": format_value(value, policy.unit),
        "threshold": format_value(threshold, policy.unit),
        "unit": policy.unit,
    }
    out = {}
    for name, text in sorted(policy.annotations.items()):
        try:
            out[name] = text.format_map(names)
        except (KeyError, IndexError, ValueError):
            out[name] = text
    return out
