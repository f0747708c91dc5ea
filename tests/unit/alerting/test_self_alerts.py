"""What the engine says about itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.alerting.carried_sql import NOTE
from streamgauge.alerting.evaluation.self_alerts import (
    FAILING,
    INGEST,
    REPEAT_MS,
    RESERVED_RULES,
    WATERMARK,
    SelfWatch,
)
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts.alerts import Alert, Transition

RUNBOOKS = Path(__file__).resolve().parents[3] / "deploy" / "runbooks"
LABELS = {
    INGEST: (),
    WATERMARK: (("source", "metrics"),),
    FAILING: (("failing_rule", "Money"),),
}


def episode(rule: str) -> list[Alert]:
    """What the state machine makes of a trouble that comes and goes."""
    watch, state, made = SelfWatch("runbooks/"), RuleState(), []
    for now, troubles in ((1000, {LABELS[rule]: 70.0}), (2000, {})):
        record = watch.record(rule, troubles, now)
        assert record is not None
        state, new = step(state, record)
        made += new
    assert [a.transition for a in made] == [Transition.FIRED, Transition.RESOLVED]
    return made


def test_self_alert_speaks_on_change_and_once_a_minute() -> None:
    watch = SelfWatch("runbooks/")
    moves: tuple[tuple[int, dict[tuple[tuple[str, str], ...], float]], ...] = (
        (1, {}), (2, {}), (3, {(): 70.0}), (4, {(): 71.0}), (3 + REPEAT_MS, {(): 130.0}),
        (4 + REPEAT_MS, {}),
    )  # fmt: skip
    said = [watch.record(INGEST, troubles, now) for now, troubles in moves]
    assert [None if r is None else len(r.series) for r in said] == [0, None, 1, None, 1, 0]


@pytest.mark.parametrize("rule", sorted(RESERVED_RULES))
def test_every_rule_of_the_engine_itself_has_a_runbook_with_the_four_parts(rule: str) -> None:
    text = (RUNBOOKS / f"{rule}.md").read_text()
    assert text.startswith(f"# {rule}\n")
    for part in ("## Meaning", "## First three commands", "## Fix", "## Escalation"):
        assert part in text, f"{rule}: {part} is missing"
    assert f"({rule}.md)" in (RUNBOOKS / "README.md").read_text()


@pytest.mark.parametrize("rule", [INGEST, WATERMARK])
def test_self_alert_of_a_silence_carries_sql_and_what_it_can_tell(rule: str) -> None:
    for alert in episode(rule):
        assert alert.query is not None
        assert "$" not in alert.query, "every placeholder is filled"
        assert "fromUnixTimestamp64Milli(1000" in alert.query, "the moment that it tells of"
        assert "last flush" in alert.annotations[NOTE]
        assert alert.runbook_url == f"runbooks/{rule}.md"


def test_alert_of_a_failing_rule_says_that_no_sql_gives_its_value() -> None:
    for alert in episode(FAILING):
        assert alert.query is None
        assert "no SQL" in alert.annotations[NOTE]


def test_alert_of_a_failing_rule_says_what_the_last_evaluation_said() -> None:
    watch, key = SelfWatch("runbooks/"), LABELS[FAILING]
    record = watch.record(FAILING, {key: 3.0}, 1000, errors={key: "no such column"})
    assert record is not None
    _, (fired,) = step(RuleState(), record)
    assert fired.evidence["error"] == "no such column"
