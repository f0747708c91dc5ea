"""What the engine says about itself: WatermarkStalled, IngestStalled, RuleEvaluationFailing.

Their records go into the same log as those of any rule, so they fire, resolve and reach subscribers
alike. Their steps are wall time, because they exist for the case that event time stands still.
In: what the evaluator sees. Out: records, when something changed or REPEAT_MS have passed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.contracts.alerts import Severity

WATERMARK, INGEST, FAILING = "WatermarkStalled", "IngestStalled", "RuleEvaluationFailing"
FIRE_TEST = "FireTest"
RESERVED_RULES = frozenset({WATERMARK, INGEST, FAILING, FIRE_TEST})
"""Rules that no file may name and that no reload removes."""
REPEAT_MS = 60_000
VERSION = "engine-1"
_SAYS = {
    WATERMARK: (
        Severity.PAGE, "s", ("source",),
        "{source} has stored nothing new for {value}, though there is something to read",
    ),
    INGEST: (
        Severity.PAGE, "s", (),
        "The metrics worker has not reported for {value}: no rule can be judged",
    ),
    FAILING: (
        Severity.TICKET, "failures", ("failing_rule",),
        "Rule {failing_rule} could not be evaluated {value} in a row; its alerts are frozen",
    ),
}  # fmt: skip


def policy(rule: str, *, runbook_base: str) -> Policy:
    """The policy of a self-alert."""
    severity, unit, dimensions, summary = _SAYS[rule]
    return Policy(
        kind="engine",
        unit=unit,
        levels={severity: 0.0},
        no_data="ok",
        dimensions=dimensions,
        annotations={"summary": summary},
        runbook_url=f"{runbook_base}{rule}.md",
    )


@dataclass(slots=True)
class SelfWatch:
    """Remembers what was said last."""

    runbook_base: str
    _said: dict[str, tuple[frozenset[tuple[tuple[str, str], ...]], int]] = field(
        default_factory=dict
    )

    def record(
        self, rule: str, troubles: Mapping[tuple[tuple[str, str], ...], float], now_ms: int
    ) -> LoggedEvaluation | None:
        """The record to write now, or None. troubles: labels of what is wrong, with its value."""
        keys = frozenset(troubles)
        said = self._said.get(rule)
        if said is not None:
            keys_before, at = said
            if now_ms <= at or (keys == keys_before and now_ms - at < REPEAT_MS):
                return None
        self._said[rule] = (keys, now_ms)
        says = policy(rule, runbook_base=self.runbook_base)
        level = str(next(iter(says.levels)))
        return LoggedEvaluation(
            v=1,
            rule=rule,
            rule_version=VERSION,
            step_ms=now_ms,
            watermark_ms=None,
            completeness=1.0,
            final=True,
            series=tuple(
                LoggedSeries(labels=dict(k), value=v, n=1, breach=level, zone="breach")
                for k, v in sorted(troubles.items())
            ),
            policy=says,
        )
