"""The state machine: alerts as a deterministic function of the evaluation log.

In: the state of one rule and its next log record. Out: the next state and the transitions, each a
whole `Alert` record. All that matters of an alert's state is in its last record, so the state can
be restored from the alerts topic at any offset of the log. Durations are event time.

    inactive --breach--> pending --held `for`--> firing --ok--> recovering --held--> resolved
                 '-------- for = 0 --------------^  ^-- breach --'

A rule that cannot be evaluated freezes its alerts: after FROZEN_AFTER failures in a row each open
one says so (transition `error`; its status stays), and again when the rule can be evaluated
(`error_cleared`, if nothing else moves it). A record that names only some of its series
(`dropped_series`) changes nothing for the others.
A record that is not final can fire and escalate, nothing else; a series ignores inputs that are not
after its own last transition, so early records need no undoing when the final ones follow.
Not here: Kafka (machine_loop.py), what a transition looks like (transition.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from streamgauge.alerting.evaluation_log import FROZEN_AFTER, LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.states.transition import Cause, transition
from streamgauge.contracts.alerts import (
    Alert,
    AlertSource,
    AlertStatus,
    Severity,
    Transition,
    fingerprint,
)
from streamgauge.contracts.records import to_ms

RANK = {Severity.INFO: 0, Severity.TICKET: 1, Severity.PAGE: 2}
_CLOSED = (AlertStatus.RESOLVED,)


@dataclass(frozen=True, slots=True)
class RuleState:
    """State of a rule. last_step_ms: its last final record. alerts: last record by fingerprint."""

    last_step_ms: int = -1
    alerts: Mapping[str, Alert] = field(default_factory=dict)


def step(
    state: RuleState,
    record: LoggedEvaluation,
    *,
    src: AlertSource | None = None,
    append_ms: int | None = None,
) -> tuple[RuleState, list[Alert]]:
    """The state after a record, and what became public. Records not after the last are skipped.

    append_ms: when the broker took the record. It is the wall time of what the record causes: a
    clock read here would give another alert of the same id whenever a record is read again.
    """
    if record.step_ms <= state.last_step_ms and record.removed is None:
        return state, []
    made = _transitions(state, record, src)
    if record.live and append_ms is not None:
        late = max(0, append_ms - record.step_ms)  # a window that is open ends later than now
        made = [alert.model_copy(update={"late_by_ms": late}) for alert in made]
    alerts = {**state.alerts, **{a.fingerprint: a for a in made}} if made else state.alerts
    after = replace(state, alerts=alerts)
    if record.final:
        after = replace(after, last_step_ms=max(state.last_step_ms, record.step_ms))
    return after, made


def open_alert(alert: Alert | None) -> bool:
    """Whether an alert has a state that its rule must go on with."""
    return alert is not None and alert.status not in _CLOSED


def _transitions(
    state: RuleState, record: LoggedEvaluation, src: AlertSource | None
) -> list[Alert]:
    if record.removed is not None:
        return [
            _close(alert, record, None, src, reason=record.removed)
            for _, alert in sorted(state.alerts.items())
            if open_alert(alert)
        ]
    policy = record.policy
    if record.error is not None:
        return _frozen(state, record, src)
    if policy is None:
        return []
    made: list[Alert] = []
    present: set[str] = set()
    for series in record.series:
        key = fingerprint(record.rule, series.labels)
        present.add(key)
        last = state.alerts.get(key)
        if last is not None and record.step_ms <= to_ms(last.updated_at):
            continue
        found = _series(last, series, policy, record, src)
        if found is None and record.final:
            found = _thawed(last, Cause(record, policy, src, series))
        if found is not None:
            made.append(found)
    if record.final:
        periods = {s.labels["period"] for s in record.series if "period" in s.labels}
        still = sorted(k for k, a in state.alerts.items() if k not in present and open_alert(a))
        for key in still:
            last = state.alerts[key]
            if record.step_ms <= to_ms(last.updated_at):
                continue
            found = _missing(last, policy, record, src, periods)
            if found is None:
                found = _thawed(last, Cause(record, policy, src, None))
            if found is not None:
                made.append(found)
    return made


def _series(
    last: Alert | None,
    series: LoggedSeries,
    policy: Policy,
    record: LoggedEvaluation,
    src: AlertSource | None,
) -> Alert | None:
    zone, level = series.zone, series.breach
    if not record.final and zone != "breach":
        return None
    if zone == "unknown":
        if policy.no_data == "ok":
            zone = "ok"
        elif policy.no_data == "fire":
            zone, level = "breach", str(policy.mildest())
        else:
            return _unknown(last, series, policy, record, src)
    cause = Cause(record, policy, src, series)
    if zone == "breach" and level is not None:
        return _breach(last, Severity(level), cause)
    if last is None or not open_alert(last):
        return None
    if zone == "recover":
        if last.no_data or last.stale:
            return transition(last, cause, last.status, Transition.REFRESHED, level=last.severity)
        return None
    return _well(last, cause)


def _breach(last: Alert | None, level: Severity, cause: Cause) -> Alert | None:
    wait = cause.policy.for_ms
    # One that waits because nothing was known has not held a breach so far: it begins anew.
    waited_for_data = last is not None and last.status is AlertStatus.PENDING and last.no_data
    if last is None or not open_alert(last) or waited_for_data:
        status = AlertStatus.PENDING if wait > 0 else AlertStatus.FIRING
        what = Transition.PENDING if wait > 0 else Transition.FIRED
        return transition(last, cause, status, what, level=level, anew=waited_for_data)
    if last.status is AlertStatus.PENDING:
        started = to_ms(last.starts_at) if last.starts_at else cause.step_ms
        if cause.step_ms - started >= wait:
            return transition(last, cause, AlertStatus.FIRING, Transition.FIRED, level=level)
        return None
    if last.status in (AlertStatus.RECOVERING, AlertStatus.NODATA):
        what = Transition.REFIRED if last.fired_at else Transition.FIRED
        return transition(last, cause, AlertStatus.FIRING, what, level=level)
    if RANK[level] > RANK[last.severity]:
        return transition(last, cause, AlertStatus.FIRING, Transition.ESCALATED, level=level)
    if RANK[level] < RANK[last.severity] and cause.record.final:
        return transition(last, cause, AlertStatus.FIRING, Transition.DEESCALATED, level=level)
    if (last.no_data or last.stale) and cause.record.final:
        return transition(last, cause, AlertStatus.FIRING, Transition.REFRESHED, level=level)
    return None


def _well(last: Alert, cause: Cause) -> Alert | None:
    hold = cause.policy.keep_firing_for_ms
    match last.status:
        case AlertStatus.PENDING:
            return transition(
                last, cause, AlertStatus.RESOLVED, Transition.CANCELLED, level=last.severity
            )
        case AlertStatus.FIRING if hold > 0:
            return transition(
                last, cause, AlertStatus.RECOVERING, Transition.RECOVERING, level=last.severity
            )
        case AlertStatus.RECOVERING if cause.step_ms - to_ms(last.updated_at) < hold:
            return None
        case _:
            return transition(
                last, cause, AlertStatus.RESOLVED, Transition.RESOLVED, level=last.severity
            )


def _unknown(
    last: Alert | None,
    series: LoggedSeries,
    policy: Policy,
    record: LoggedEvaluation,
    src: AlertSource | None,
) -> Alert | None:
    """A series without a value, modes keep and nodata."""
    cause = Cause(record, policy, src, series)
    level = last.severity if last is not None and open_alert(last) else policy.mildest()
    if last is None or not open_alert(last):
        if policy.no_data != "nodata":
            return None
        if policy.no_data_after_ms > 0:
            return transition(
                last, cause, AlertStatus.PENDING, Transition.NODATA, level=level, no_data=True
            )
        return transition(
            last, cause, AlertStatus.NODATA, Transition.NODATA, level=level, no_data=True
        )
    return _silent(last, cause, policy, level)


def _missing(
    last: Alert,
    policy: Policy,
    record: LoggedEvaluation,
    src: AlertSource | None,
    periods: set[str],
) -> Alert | None:
    """An open alert whose series the record does not name."""
    own = set(last.labels) - {"alertname", "severity"} - set(policy.labels)
    if own != set(policy.dimensions):
        return _close(last, record, policy, src, reason="rule_changed")
    if periods and last.labels.get("period") not in periods:
        return _close(last, record, policy, src, reason="period_rolled")
    if record.dropped_series:
        return None  # it may just not be named
    cause = Cause(record, policy, src, None)
    if policy.no_data == "ok":
        return _well(last, cause)
    return _silent(last, cause, policy, last.severity)


def _silent(last: Alert, cause: Cause, policy: Policy, level: Severity) -> Alert | None:
    waited = cause.step_ms - to_ms(last.updated_at)
    stale = cause.series is None
    if last.status is AlertStatus.PENDING:
        if not last.no_data:
            return _well(last, cause)
        if waited >= policy.no_data_after_ms:
            return transition(
                last, cause, AlertStatus.NODATA, Transition.NODATA, level=level, no_data=True
            )
        return None
    if last.status is AlertStatus.RECOVERING:
        return _well(last, cause)
    if last.status is AlertStatus.NODATA:
        return None
    if not (last.no_data or last.stale):
        what = Transition.STALE if stale else Transition.NODATA
        return transition(
            last, cause, last.status, what, level=level, no_data=not stale, stale=stale
        )
    if waited < policy.no_data_after_ms:
        return None
    if policy.no_data == "nodata":
        return transition(
            last, cause, AlertStatus.NODATA, Transition.NODATA, level=level, no_data=True
        )
    return transition(
        last, cause, AlertStatus.RESOLVED, Transition.RESOLVED, level=level, reason="missing_series"
    )


def _frozen(state: RuleState, record: LoggedEvaluation, src: AlertSource | None) -> list[Alert]:
    """What open alerts say of a rule that fails again and again. Their status stays."""
    if (record.failures or 0) < FROZEN_AFTER:
        return []
    return [
        transition(
            last, Cause(record, record.policy or _bare(last), src, None), last.status,
            Transition.ERROR, level=last.severity, reason="evaluation_failed",
            no_data=last.no_data, stale=last.stale,
        )
        for _, last in sorted(state.alerts.items())
        if open_alert(last)
        and last.transition is not Transition.ERROR
        and record.step_ms > to_ms(last.updated_at)
    ]  # fmt: skip


def _thawed(last: Alert | None, cause: Cause) -> Alert | None:
    """An alert that was frozen and stays as it was, now that its rule is evaluated again."""
    if last is None or last.transition is not Transition.ERROR:
        return None
    return transition(
        last, cause, last.status, Transition.ERROR_CLEARED, level=last.severity,
        no_data=last.no_data, stale=last.stale,
    )  # fmt: skip


def _bare(last: Alert) -> Policy:
    """The policy of an alert whose rule is gone, or too large to be written."""
    return Policy(kind=last.kind, unit=last.unit or "", levels={})


def _close(
    last: Alert,
    record: LoggedEvaluation,
    policy: Policy | None,
    src: AlertSource | None,
    *,
    reason: str,
) -> Alert:
    cause = Cause(record, policy or _bare(last), src, None)
    what = Transition.CANCELLED if last.status is AlertStatus.PENDING else Transition.RESOLVED
    return transition(last, cause, AlertStatus.RESOLVED, what, level=last.severity, reason=reason)
