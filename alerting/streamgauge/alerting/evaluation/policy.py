"""From a rule to the policy that its records carry. Pure."""

from __future__ import annotations

from streamgauge.alerting.evaluation.query import template
from streamgauge.alerting.evaluation_log import Policy
from streamgauge.alerting.rules.metrics import METRICS
from streamgauge.alerting.rules.model import Absence, Budget, Novelty, Rule, Threshold
from streamgauge.contracts.alerts import Severity

RUNBOOK_BASE = "deploy/runbooks/"
"""Where runbooks lie, seen from the repository; STREAMGAUGE_RUNBOOK_BASE names a web address."""


def unit_of(rule: Rule) -> str:
    """Unit of a rule's value."""
    if isinstance(rule, Threshold | Absence):
        return METRICS[rule.metric].unit
    return {"ratio": "ratio", "change": "times", "budget": "share"}.get(rule.kind, "requests")


def _facts(rule: Rule) -> dict[str, str]:
    """What the texts of a rule may name that no label says."""
    if not isinstance(rule, Budget):
        return {}
    # A calendar period is a label; a rolling one has no name but its length.
    return {"amount_usd": f"{rule.amount_usd:f}", "period": rule.period.removeprefix("rolling:")}


def policy_of(rule: Rule, *, runbook_base: str = RUNBOOK_BASE, live: bool = False) -> Policy:
    """Everything of the rule that the state machine needs. live: clock mode."""
    if isinstance(rule, Absence | Novelty):
        levels = {
            Severity(rule.severity or "ticket"): 0.0
            if isinstance(rule, Absence)
            else float(rule.min_count)
        }
    else:
        levels = {Severity(s): float(t) for s, t in rule.ladder()}
    dimensions = rule.group_by
    if isinstance(rule, Novelty):
        dimensions = (*dimensions, rule.dimension)
    if isinstance(rule, Budget) and not rule.period.startswith("rolling:"):
        dimensions = (*dimensions, "period")
    runbook = rule.runbook
    if runbook and "://" not in runbook:
        runbook = runbook_base + runbook
    annotations = dict(rule.annotations)
    if rule.description:
        annotations.setdefault("description", rule.description.strip())
    return Policy(
        kind=rule.kind,
        unit=unit_of(rule),
        for_ms=rule.for_ms,
        keep_firing_for_ms=rule.keep_firing_for,
        window_ms=getattr(rule, "window", None),
        levels=levels,
        no_data=rule.no_data.mode,
        no_data_after_ms=rule.no_data.after,
        dimensions=dimensions,
        labels=rule.labels,
        annotations=annotations,
        facts=_facts(rule),
        query=template(rule, live=live),
        runbook_url=runbook or None,
    )
