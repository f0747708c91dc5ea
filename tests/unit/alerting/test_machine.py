"""The state machine, row by row of its table."""

from __future__ import annotations

from typing import Any

import pytest

from streamgauge.alerting.carried_sql import NOTE
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.alerting.states.transition import OPEN_WINDOW
from streamgauge.contracts.alerts import Alert, AlertStatus, Severity, Transition

S = 10_000
LABELS = {"app": "a"}


def policy(**more: Any) -> Policy:
    base: dict[str, Any] = {
        "kind": "ratio", "unit": "ratio", "levels": {Severity.TICKET: 0.1, Severity.PAGE: 0.5},
        "dimensions": ("app",), "window_ms": 60_000,
        "query": "SELECT 1 AS value FROM windows WHERE $SERIES AND t < $TO_MS",
    }  # fmt: skip
    return Policy(**{**base, **more})


def series(what: str | None, labels: dict[str, str] | None = None) -> LoggedSeries:
    """`ticket` and `page` breach; `ok`, `recover` and `unknown` do not."""
    assert what is not None
    labels = labels or LABELS
    if what in ("ticket", "page"):
        value = 0.2 if what == "ticket" else 0.7
        return LoggedSeries(labels=labels, value=value, n=9, breach=what, zone="breach")
    value_or_none = None if what == "unknown" else 0.05
    return LoggedSeries(labels=labels, value=value_or_none, n=9, zone=what)  # type: ignore[arg-type]


def record(at: int, what: str | None, rules: Policy | None = None, **more: Any) -> LoggedEvaluation:
    """A record at step `at`; None: the series is missing."""
    base: dict[str, Any] = {
        "v": 1, "rule": "R", "rule_version": "1", "step_ms": at * S, "watermark_ms": at * S,
        "completeness": 1.0, "final": True, "series": () if what is None else (series(what),),
        "policy": rules or policy(),
    }  # fmt: skip
    return LoggedEvaluation(**{**base, **more})


def play(*whats: str | None, rules: Policy | None = None) -> list[Alert]:
    """What steps 1, 2, 3 ... make."""
    state, made = RuleState(), []
    for i, what in enumerate(whats, start=1):
        state, new = step(state, record(i, what, rules))
        made += new
    return made


def told(alerts: list[Alert]) -> list[tuple[int, str]]:
    """Step and transition."""
    return [(round(a.updated_at.timestamp() * 1000) // S, str(a.transition)) for a in alerts]


FOR = policy(for_ms=2 * S)
KEEP = policy(keep_firing_for_ms=2 * S)
PATIENT = policy(no_data_after_ms=2 * S)


@pytest.mark.parametrize(
    ("rules", "inputs", "expected"),
    [
        (None, ["ok", "page"], [(2, "fired")]),
        (None, ["page", "page", "page"], [(1, "fired")]),
        (None, ["page", "ok"], [(1, "fired"), (2, "resolved")]),
        (None, ["page", "recover", "recover"], [(1, "fired")]),
        (None, ["recover", "unknown"], []),
        (None, ["ticket", "page", "ticket"], [(1, "fired"), (2, "escalated"), (3, "deescalated")]),
        (FOR, ["page", "page"], [(1, "pending")]),
        (FOR, ["page", "page", "page"], [(1, "pending"), (3, "fired")]),
        (FOR, ["page", "recover", "page"], [(1, "pending"), (3, "fired")]),
        (FOR, ["page", "ok", "page"], [(1, "pending"), (2, "cancelled"), (3, "pending")]),
        (FOR, ["page", None], [(1, "pending"), (2, "cancelled")]),
        (KEEP, ["page", "ok", "ok"], [(1, "fired"), (2, "recovering")]),
        (KEEP, ["page", "ok", "ok", "ok"], [(1, "fired"), (2, "recovering"), (4, "resolved")]),
        (KEEP, ["page", "ok", "page"], [(1, "fired"), (2, "recovering"), (3, "refired")]),
        (
            KEEP, ["page", "ok", "page", "ok", "ok", "ok"],
            [(1, "fired"), (2, "recovering"), (3, "refired"), (4, "recovering"), (6, "resolved")],
        ),
        (PATIENT, ["page", None, None], [(1, "fired"), (2, "stale")]),
        (PATIENT, ["page", None, None, None], [(1, "fired"), (2, "stale"), (4, "resolved")]),
        (PATIENT, ["page", "unknown", "page"], [(1, "fired"), (2, "nodata"), (3, "refreshed")]),
        (PATIENT, ["page", None, "ok"], [(1, "fired"), (2, "stale"), (3, "resolved")]),
        (policy(no_data="ok"), ["page", None], [(1, "fired"), (2, "resolved")]),
        (policy(no_data="ok"), ["page", "unknown"], [(1, "fired"), (2, "resolved")]),
        (policy(no_data="fire"), ["ok", "unknown"], [(2, "fired")]),
        (policy(no_data="nodata", no_data_after_ms=0), ["ok", "unknown", "ok"],
         [(2, "nodata"), (3, "resolved")]),
        (policy(no_data="nodata", no_data_after_ms=S), ["page", "unknown", "unknown", "page"],
         [(1, "fired"), (2, "nodata"), (3, "nodata"), (4, "refired")]),
    ],
)  # fmt: skip
def test_table(
    rules: Policy | None, inputs: list[str | None], expected: list[tuple[int, str]]
) -> None:
    assert told(play(*inputs, rules=rules)) == expected


def test_pending_without_data_does_not_count_as_holding_a_breach() -> None:
    rules = policy(for_ms=2 * S, no_data="nodata", no_data_after_ms=100 * S)
    unknown, pending, fired = play("unknown", *["unknown"] * 9, *["page"] * 3, rules=rules)
    assert told([unknown, pending, fired]) == [(1, "nodata"), (11, "pending"), (13, "fired")]
    assert fired.starts_at == pending.updated_at
    assert unknown.episode != pending.episode == fired.episode
    assert told(play("unknown", "page", "ok", rules=rules))[1:] == [
        (2, "pending"),
        (3, "cancelled"),
    ]


@pytest.mark.parametrize(("share", "incomplete"), [(None, False), (1.0, False), (0.0, True)])
def test_record_of_no_partition_at_all_is_incomplete(share: float | None, incomplete: bool) -> None:
    _, (fired,) = step(RuleState(), record(1, "page", completeness=share))
    assert fired.incomplete == incomplete


def test_alert_whose_series_was_dropped_from_the_record_stays_as_it_is() -> None:
    for mode in ("keep", "ok", "nodata", "fire"):
        rules = policy(no_data=mode, no_data_after_ms=0)
        state, _ = step(RuleState(), record(1, "page", rules))
        assert step(state, record(2, None, rules, dropped_series=1))[1] == []
        assert step(state, record(2, None, rules))[1] != []


def test_alert_of_an_old_period_ends_though_other_series_were_dropped() -> None:
    rules = policy(kind="budget", dimensions=("app", "period"))
    old, new = ({"app": "a", "period": p} for p in ("2026-10", "2026-11"))
    state, _ = step(RuleState(), record(1, None, rules, series=(series("page", old),)))
    after = record(2, None, rules, series=(series("ok", new),), dropped_series=9)
    assert [a.reason for a in step(state, after)[1]] == ["period_rolled"]


def test_fired_carries_who_what_where_and_how_to_reproduce_it() -> None:
    rules = policy(
        annotations={"summary": "{app}: {value}, level {threshold}", "broken": "{nobody}"},
        labels={"team": "core"}, runbook_url="R.md",
    )  # fmt: skip
    (alert,) = play("page", rules=rules)
    assert alert.labels == {"app": "a", "team": "core", "alertname": "R", "severity": "page"}
    assert alert.annotations == {"summary": "a: 70 %, level 50 %", "broken": "{nobody}"}
    assert alert.query == "SELECT 1 AS value FROM windows WHERE app = 'a' AND t < 10000"
    assert (alert.value, alert.threshold, alert.runbook_url) == (0.7, 0.5, "R.md")
    assert alert.window is not None
    assert alert.window.end == alert.updated_at == alert.fired_at == alert.starts_at


def test_second_episode_goes_on_with_seq_and_has_another_id() -> None:
    first, end, second = play("page", "ok", "page")
    assert [first.seq, end.seq, second.seq] == [1, 2, 3]
    assert first.episode == end.episode != second.episode
    assert second.fired_at != first.fired_at


def test_four_fires_within_half_an_hour_are_flapping() -> None:
    alerts = play(*["page", "ok"] * 4)
    assert [a.flapping for a in alerts if a.transition is Transition.FIRED] == [
        False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("texts", [{}, {"summary": "{app} fails"}])
def test_alert_that_fired_on_an_open_window_says_so_beside_its_sql(texts: dict[str, str]) -> None:
    rules = policy(annotations=texts)
    state, (fired,) = step(RuleState(), record(1, "page", rules, final=False))
    assert fired.query is not None
    assert fired.annotations == {**texts, NOTE: OPEN_WINDOW} | (
        {"summary": "a fails"} if texts else {}
    )
    state, (stale,) = step(state, record(2, None, rules))
    assert stale.query == fired.query
    assert stale.annotations[NOTE] == OPEN_WINDOW, "the query is that of the open window still"
    _, (ended,) = step(state, record(3, "ok", rules))
    assert ended.query != fired.query
    assert NOTE not in ended.annotations, "this window is all there"


def test_alert_of_a_live_engine_says_how_late_it_is_and_one_of_a_replay_does_not() -> None:
    live, replayed = record(1, "page", live=True), record(1, "page")
    # Step 1 ends at 10 s of event time; the broker took the record 7.5 s later.
    _, (late,) = step(RuleState(), live, append_ms=S + 7500)
    _, (early,) = step(RuleState(), live, append_ms=S - 1)
    _, (old,) = step(RuleState(), replayed, append_ms=S + 7500)
    assert (late.late_by_ms, early.late_by_ms, old.late_by_ms) == (7500, 0, None)


def test_step_that_is_not_after_the_last_changes_nothing() -> None:
    state, _ = step(RuleState(), record(5, "page"))
    for at in (4, 5):
        assert step(state, record(at, "ok")) == (state, [])


def test_early_record_fires_and_the_final_ones_before_it_do_not_undo_it() -> None:
    state, (fired,) = step(RuleState(), record(5, "page", final=False))
    assert fired.incomplete
    for at, what in ((3, "ok"), (4, "ok"), (5, "page")):
        state, made = step(state, record(at, what))
        assert made == []
    _, (end,) = step(state, record(6, "ok"))
    assert end.transition is Transition.RESOLVED


def test_early_record_never_resolves_and_never_deescalates() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    for what in ("ok", "ticket", "unknown", None):
        assert step(state, record(2, what, final=False))[1] == []


def test_error_freezes_the_state() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    state, made = step(state, record(2, None, error="no such column"))
    assert made == []
    assert told(step(state, record(3, "ok"))[1]) == [(3, "resolved")]


def failing(at: int, failures: int, rules: Policy | None = None) -> LoggedEvaluation:
    return record(at, None, rules, error="no such column", failures=failures)


@pytest.mark.parametrize(
    ("rules", "before", "status"),
    [(None, ["page"], "firing"), (FOR, ["page"], "pending"), (KEEP, ["page", "ok"], "recovering"),
     (PATIENT, ["page", None], "firing")],
)  # fmt: skip
def test_alert_whose_rule_fails_three_times_says_so_once_and_keeps_its_state(
    rules: Policy | None, before: list[str | None], status: str
) -> None:
    state = RuleState()
    for at, what in enumerate(before, start=1):
        state, _ = step(state, record(at, what, rules))
    (last,) = state.alerts.values()
    made: list[Alert] = []
    for failures in range(1, 6):
        state, new = step(state, failing(10 + failures, failures, rules))
        made += new
    (frozen,) = made
    assert told(made) == [(13, "error")]
    assert (str(frozen.status), frozen.reason) == (status, "evaluation_failed")
    assert frozen.evidence["error"] == "no such column"
    same = ("episode", "severity", "stale", "no_data", "query", "starts_at", "fired_at", "labels")
    assert {n: getattr(frozen, n) for n in same} == {n: getattr(last, n) for n in same}


def test_alert_that_was_frozen_says_that_its_rule_is_evaluated_again() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    state, _ = step(state, failing(2, 3))
    state, (clear,) = step(state, record(3, "page"))
    assert (clear.transition, clear.status) == (Transition.ERROR_CLEARED, AlertStatus.FIRING)
    assert (clear.reason, clear.value) == (None, 0.7)
    assert "error" not in clear.evidence
    assert step(state, record(4, "page"))[1] == []
    state, _ = step(state, failing(5, 3))
    assert told(step(state, record(6, "ok"))[1]) == [(6, "resolved")], "that says it as well"


def test_failing_rule_whose_policy_is_too_large_to_write_freezes_its_alerts_too() -> None:
    state, (fired,) = step(RuleState(), record(1, "page"))
    too_large = failing(2, 3).model_copy(update={"policy": None})
    _, (frozen,) = step(state, too_large)
    assert frozen.transition is Transition.ERROR
    assert (frozen.labels, frozen.query) == (fired.labels, fired.query)


def test_failing_rule_without_open_alerts_makes_none() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    state, _ = step(state, record(2, "ok"))
    assert step(state, failing(3, 9))[1] == []


def test_removed_rule_ends_what_is_open_and_cancels_what_is_pending() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    _, (end,) = step(state, record(1, None, removed="rule_removed", policy=None))
    assert (end.status, end.reason) == (AlertStatus.RESOLVED, "rule_removed")
    assert end.labels["app"] == "a"
    state, _ = step(RuleState(), record(1, "page", FOR))
    _, (end,) = step(state, record(2, None, removed="rule_removed", policy=None))
    assert end.transition is Transition.CANCELLED


def test_rule_with_other_dimensions_ends_alerts_of_the_old_ones() -> None:
    state, _ = step(RuleState(), record(1, "page"))
    _, (end,) = step(state, record(2, None, policy(dimensions=("app", "model"))))
    assert (end.transition, end.reason) == (Transition.RESOLVED, "rule_changed")


def test_new_period_ends_the_alert_of_the_old_one() -> None:
    rules = policy(kind="budget", dimensions=("app", "period"))
    old, new = ({"app": "a", "period": p} for p in ("2026-10", "2026-11"))
    state, _ = step(RuleState(), record(1, None, rules, series=(series("page", old),)))
    _, (end,) = step(state, record(2, None, rules, series=(series("ok", new),)))
    assert (end.labels["period"], end.reason) == ("2026-10", "period_rolled")
