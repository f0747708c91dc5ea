"""One rule, one step, cells in: one record of the evaluation log out. Pure."""

from __future__ import annotations

from streamgauge.alerting.evaluation.conditions import Judged, judge, most_telling
from streamgauge.alerting.evaluation.panes import Panes
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.rules.model import Rule

MAX_ERROR_CHARS = 500


def evaluate(
    rule: Rule,
    panes: Panes,
    step_ms: int,
    *,
    policy: Policy,
    version: str,
    watermark_ms: int | None,
    completeness: float | None = 1.0,
    final: bool = True,
) -> LoggedEvaluation:
    """The record of a rule at a step. A record that is not final holds breaches only.

    At most `max_series` are named; how many more there are is said.
    """
    every = judge(rule, panes, step_ms)
    if not final:
        every = [j for j in every if j.breach is not None]
    judged = most_telling(every, rule.max_series)
    return LoggedEvaluation(
        v=1,
        rule=rule.name,
        rule_version=version,
        step_ms=step_ms,
        watermark_ms=watermark_ms,
        completeness=completeness,
        final=final,
        series=tuple(_logged(j) for j in judged),
        dropped_series=len(every) - len(judged) or None,
        policy=policy,
    )


def failed(
    rule: Rule, step_ms: int, *, policy: Policy | None, version: str, watermark_ms: int | None,
    error: str, failures: int,
) -> LoggedEvaluation:  # fmt: skip
    """The record of a step that could not be judged: it freezes the rule's alerts.

    failures: how many such steps in a row there are with this one.
    policy: None where the policy itself is what does not fit.
    """
    return LoggedEvaluation(
        v=1, rule=rule.name, rule_version=version, step_ms=step_ms, watermark_ms=watermark_ms,
        completeness=None, final=True, series=(), error=error[:MAX_ERROR_CHARS], policy=policy,
        failures=failures,
    )  # fmt: skip


def removed(
    rule: str, version: str, step_ms: int, reason: str = "rule_removed"
) -> LoggedEvaluation:
    """The last record of a rule that is gone: it ends the rule's alerts."""
    return LoggedEvaluation(
        v=1, rule=rule, rule_version=version, step_ms=step_ms, watermark_ms=None,
        completeness=None, final=True, series=(), removed=reason,
    )  # fmt: skip


def _logged(j: Judged) -> LoggedSeries:
    return LoggedSeries(
        labels=j.labels,
        value=j.value,
        n=j.n,
        bad=j.bad or None,
        breach=j.breach,
        evidence=j.evidence or None,
        zone=j.zone,
    )
