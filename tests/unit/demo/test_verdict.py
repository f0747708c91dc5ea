"""The verdict compares planted incidents with alert episodes, by hand-made cases."""

from __future__ import annotations

import yaml

from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.rules.loader import DEFAULT_PACK
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts.alerts import Severity
from streamgauge.deploy.demo.verdict import (
    GRACE_MS,
    MEANT_FOR,
    SIDE_EFFECTS,
    Episode,
    Planted,
    judge,
)
from streamgauge.deploy.demo.watch import episodes_of
from streamgauge.producers.traffic.incidents import ALL_KINDS

BURST = Planted("error_burst", "search", 1_000_000, 1_300_000, page=True)


def alert(
    rule: str = "ErrorBurstFast",
    app: str = "search",
    at: int = 1_060_000,
    n: str = "1",
    severity: str = "page",
    paged_at: int | None = None,
) -> Episode:
    paged_ms = at if severity == "page" else paged_at
    return Episode(rule, app, severity, at, f"{rule}/{app}/{n}", paged_ms)


def test_incident_found_by_its_rule_has_its_delay_in_event_time() -> None:
    verdict = judge([BURST], [alert()])
    assert verdict.ok
    assert verdict.findings[0].delay_s == 60.0
    assert verdict.false_alarms == ()


def test_missed_page_class_incident_is_not_ok() -> None:
    verdict = judge([BURST], [])
    assert not verdict.ok
    assert verdict.missed == (BURST,)


def test_missed_ticket_class_incident_is_ok_but_named() -> None:
    ticket = Planted("unknown_model", "chat", 0, 10, page=False)
    verdict = judge([ticket], [])
    assert verdict.ok
    assert verdict.missed == (ticket,)


def test_page_class_incident_is_not_found_by_a_ticket() -> None:
    ticket = alert("ErrorRateHigh", severity="ticket")
    verdict = judge([BURST], [ticket])
    assert not verdict.ok
    assert verdict.missed == (BURST,)
    assert verdict.findings[0].also == (ticket,)
    assert verdict.false_alarms == ()


def test_page_class_incident_is_found_when_its_alert_escalates_to_a_page() -> None:
    runaway = Planted("runaway", "agent", 1_000_000, 1_300_000, page=True)
    budget = alert("BudgetSpent", "agent", severity="info", paged_at=1_200_000)
    verdict = judge([runaway], [budget])
    assert verdict.ok
    assert verdict.findings[0].delay_s == 200.0  # to the page, not to the info


def test_page_long_after_the_incident_does_not_find_it() -> None:
    runaway = Planted("runaway", "agent", 1_000_000, 1_300_000, page=True)
    late = runaway.end_ms + GRACE_MS + 1
    budget = alert("BudgetSpent", "agent", severity="info", paged_at=late)
    assert judge([runaway], [budget]).missed == (runaway,)


def test_first_page_finds_the_incident_though_another_alert_fired_before_it() -> None:
    runaway = Planted("runaway", "agent", 1_000_000, 1_300_000, page=True)
    budget = alert("BudgetSpent", "agent", 1_010_000, severity="info", paged_at=1_200_000)
    spend = alert("SpendRunaway", "agent", 1_090_000)
    (finding,) = judge([runaway], [budget, spend]).findings
    assert finding.by == spend
    assert finding.also == (budget,)


def test_side_effect_is_explained_and_finds_nothing() -> None:
    slow = Planted("latency_x3", "search", 1_000_000, 1_300_000, page=True)
    verdict = judge([slow], [alert("OutputSpeedDrop", severity="ticket")])
    assert verdict.missed == (slow,)
    assert [e.rule for e in verdict.findings[0].also] == ["OutputSpeedDrop"]
    assert verdict.false_alarms == ()


def test_alert_on_the_planted_app_that_its_incident_does_not_cause_is_false() -> None:
    verdict = judge([BURST], [alert(), alert("NoTraffic"), alert("LatencyShift")])
    assert not verdict.ok
    assert {e.rule for e in verdict.false_alarms} == {"NoTraffic", "LatencyShift"}


def test_every_rule_that_the_verdict_names_is_in_the_pack_and_every_kind_is_named() -> None:
    severities = {
        rule["name"]: {rule.get("severity"), *rule.get("levels", ())}
        for rule in yaml.safe_load(DEFAULT_PACK.read_text())["rules"]
    }
    assert set(MEANT_FOR) == set(ALL_KINDS)
    assert set(SIDE_EFFECTS) <= set(ALL_KINDS)
    for kind, rules in MEANT_FOR.items():
        assert rules <= set(severities)
        assert set(SIDE_EFFECTS.get(kind, ())) <= set(severities)
        assert not rules & set(SIDE_EFFECTS.get(kind, ()))
        # each kind can be found as loudly as it asks for; only the unknown model is no page
        assert kind == "unknown_model" or any("page" in severities[r] for r in rules)


def test_episode_tells_when_it_fired_and_when_it_first_reached_a_page() -> None:
    levels = {Severity.INFO: 0.5, Severity.TICKET: 0.8, Severity.PAGE: 1.0}
    rules = Policy(kind="budget", unit="ratio", levels=levels, dimensions=("app",))
    played = ["info", "ticket", "page", "info", "page", "ok", "ticket"]
    state, records = RuleState(), []
    for at, level in enumerate(played, start=1):
        breach = None if level == "ok" else level
        zone = "breach" if breach else "ok"
        found = LoggedSeries(labels={"app": "a"}, value=0.6, n=9, breach=breach, zone=zone)  # type: ignore[arg-type]
        logged = LoggedEvaluation(
            v=1, rule="BudgetSpent", rule_version="1", step_ms=at * 60_000,
            watermark_ms=at * 60_000, completeness=1.0, final=True, series=(found,), policy=rules,
        )  # fmt: skip
        state, made = step(state, logged)
        records += made
    first, second = episodes_of(records)
    assert (first.rule, first.app, first.severity) == ("BudgetSpent", "a", "info")
    assert (first.fired_ms, first.paged_ms) == (60_000, 180_000)
    assert (second.severity, second.fired_ms, second.paged_ms) == ("ticket", 420_000, None)


def test_alert_of_another_app_is_false() -> None:
    verdict = judge([BURST], [alert(), alert(app="chat")])
    assert not verdict.ok
    assert [e.app for e in verdict.false_alarms] == ["chat"]


def test_alert_before_the_start_or_after_the_grace_is_false() -> None:
    early, late = alert(at=999_999, n="2"), alert(at=BURST.end_ms + GRACE_MS + 1, n="3")
    verdict = judge([BURST], [alert(), early, late])
    assert set(verdict.false_alarms) == {early, late}


def test_alert_about_no_app_is_false() -> None:
    assert not judge([BURST], [alert(), alert("WatermarkStalled", app="")]).ok


def test_second_copy_of_an_episode_counts_once() -> None:
    verdict = judge([BURST], [alert(), alert()])
    assert verdict.findings[0].also == ()


def test_nothing_planted_and_nothing_fired_is_ok() -> None:
    assert judge([], []).ok
