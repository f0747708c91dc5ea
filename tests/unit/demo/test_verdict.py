"""The verdict compares planted incidents with alert episodes, by hand-made cases."""

from __future__ import annotations

from streamgauge.deploy.demo.verdict import GRACE_MS, Episode, Planted, judge

BURST = Planted("error_burst", "search", 1_000_000, 1_300_000, page=True)


def alert(
    rule: str = "ErrorBurstFast", app: str = "search", at: int = 1_060_000, n: str = "1"
) -> Episode:
    return Episode(rule, app, "page", at, f"{rule}/{app}/{n}")


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


def test_alert_of_another_rule_is_a_consequence_and_finds_nothing() -> None:
    verdict = judge([BURST], [alert("LatencyShift")])
    assert verdict.missed == (BURST,)
    assert [e.rule for e in verdict.findings[0].also] == ["LatencyShift"]
    assert verdict.false_alarms == ()


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
