"""What the engine says about itself: WatermarkStalled, IngestStalled, RuleEvaluationFailing and
RulesRefused.

Their records go into the same log as those of any rule, so they fire, resolve and reach subscribers
alike. Their steps are wall time, because they exist for the case that event time stands still.
In: what the evaluator sees. Out: records, when something changed or REPEAT_MS have passed. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgauge.alerting.carried_sql import NOTE, TO_MS
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.contracts.alerts import Severity

WATERMARK, INGEST, FAILING = "WatermarkStalled", "IngestStalled", "RuleEvaluationFailing"
REFUSED = "RulesRefused"
FIRE_TEST = "FireTest"
RESERVED_RULES = frozenset({WATERMARK, INGEST, FAILING, REFUSED, FIRE_TEST})
"""Rules that no file may name and that no reload removes."""
REPEAT_MS = 60_000
VERSION = "engine-1"


@dataclass(frozen=True, slots=True)
class _Says:
    """How a self-alert is told. note: what its SQL can tell and what not."""

    severity: Severity
    unit: str
    dimensions: tuple[str, ...]
    summary: str
    query: str | None
    note: str


_SINCE_LAST_STORED = (
    "SELECT if(count() = 0, NULL, dateDiff('second', max(written_at),"  # noqa: S608 ours
    f" fromUnixTimestamp64Milli({TO_MS}, 'UTC'))) AS value FROM ingest_log WHERE kind = 0"
)
"""Only the metrics worker writes `ingest_log`. Its rows are merged, so the past cannot be asked."""
_SAYS = {
    WATERMARK: _Says(
        Severity.PAGE, "s", ("source",),
        "{source} has stored nothing new for {value}, though there is something to read",
        _SINCE_LAST_STORED,
        "Seconds from the metrics worker's last flush to this record: the value, or more if there"
        " was nothing to store before. Once the worker has stored again, it tells of that flush.",
    ),
    INGEST: _Says(
        Severity.PAGE, "s", (),
        "The metrics worker has not reported for {value}: no rule can be judged",
        _SINCE_LAST_STORED,
        "The worker's reports are on Kafka, not in the store. These are the seconds from its last"
        " flush to this record: the value, or more if there was nothing to store before. Once the"
        " worker has stored again, it tells of that flush.",
    ),
    FAILING: _Says(
        Severity.TICKET, "failures", ("failing_rule",),
        "Rule {failing_rule} could not be evaluated {value} in a row; its alerts are frozen",
        None,
        "There is no SQL for this value: failures are in the evaluation log on Kafka, not in the"
        " store. The error of the last one is in the evidence.",
    ),
    REFUSED: _Says(
        Severity.PAGE, "refusals", (),
        "The rule files are refused as they are now; the rules of before are in force",
        None,
        "There is no SQL for this value: the files are beside the engine. What is wrong with them"
        " is in the evidence.",
    ),
}  # fmt: skip


def policy(rule: str, *, runbook_base: str) -> Policy:
    """The policy of a self-alert."""
    says = _SAYS[rule]
    return Policy(
        kind="engine",
        unit=says.unit,
        levels={says.severity: 0.0},
        no_data="ok",
        dimensions=says.dimensions,
        annotations={"summary": says.summary, NOTE: says.note},
        query=says.query,
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
        self,
        rule: str,
        troubles: Mapping[tuple[tuple[str, str], ...], float],
        now_ms: int,
        *,
        errors: Mapping[tuple[tuple[str, str], ...], str] | None = None,
    ) -> LoggedEvaluation | None:
        """The record to write now, or None. troubles: labels of what is wrong, with its value.

        errors: what was said of some of them, for their evidence.
        """
        why = errors or {}
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
                LoggedSeries(
                    labels=dict(k),
                    value=v,
                    n=1,
                    breach=level,
                    zone="breach",
                    evidence={"error": why[k]} if k in why else None,
                )
                for k, v in sorted(troubles.items())
            ),
            policy=says,
        )
