"""The state machine under any input: replayable, restorable, in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamgauge.alerting.alert_log import from_record, latest, to_record
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts.alerts import Alert, AlertStatus, Severity, Transition
from streamgauge.contracts.records import parse_record, to_json_bytes

S = 10_000
ZONES = ("page", "ticket", "recover", "ok", "unknown", "missing")

policies = st.builds(
    Policy,
    kind=st.just("ratio"),
    unit=st.just("ratio"),
    levels=st.just({Severity.TICKET: 0.1, Severity.PAGE: 0.5}),
    for_ms=st.sampled_from([0, S, 3 * S]),
    keep_firing_for_ms=st.sampled_from([0, S, 3 * S]),
    no_data=st.sampled_from(["keep", "ok", "nodata", "fire"]),
    no_data_after_ms=st.sampled_from([0, S, 4 * S]),
    dimensions=st.just(("app",)),
)
inputs = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["final", "final", "early", "error"]),
        st.lists(st.sampled_from(ZONES), min_size=2, max_size=2),
    ),
    max_size=40,
)  # fmt: skip


def log_of(policy: Policy, moves: list[tuple[int, str, list[str]]]) -> list[LoggedEvaluation]:
    """Records at steps that move on by 0 to 3; early ones hold breaches only."""
    at, failures, records = 1, 0, []
    for ahead, how, zones in moves:
        at += ahead
        final = how != "early"
        failures = failures + 1 if how == "error" else 0 if final else failures
        found = []
        for app, zone in zip("ab", zones, strict=True):
            breach = zone if zone in ("page", "ticket") else None
            if how == "error" or zone == "missing" or (not final and breach is None):
                continue
            more: dict[str, Any] = {"zone": "breach" if breach else zone}
            value = None if zone == "unknown" else 0.2
            found.append(LoggedSeries(labels={"app": app}, value=value, n=1, breach=breach, **more))
        records.append(
            LoggedEvaluation(
                v=1, rule="R", rule_version="1", step_ms=at * S, watermark_ms=at * S,
                completeness=1.0, final=final, series=tuple(found), policy=policy,
                error="refused" if how == "error" else None,
                failures=failures if how == "error" else None,
            )
        )  # fmt: skip
    return records


def play(records: list[LoggedEvaluation]) -> list[Alert]:
    state, made = RuleState(), []
    for record in records:
        state, new = step(state, record)
        made += new
    return made


@settings(max_examples=300, deadline=None)
@given(policies, inputs)
def test_seq_has_no_gap_and_no_two_states_in_a_row_are_the_same(
    policy: Policy, moves: list[tuple[int, str, list[str]]]
) -> None:
    by_alert: dict[str, list[Alert]] = {}
    for alert in play(log_of(policy, moves)):
        by_alert.setdefault(alert.fingerprint, []).append(alert)
    for alerts in by_alert.values():
        assert [a.seq for a in alerts] == list(range(1, len(alerts) + 1))
        public = [
            (a.status, a.severity, a.no_data, a.stale, a.episode, a.transition is Transition.ERROR)
            for a in alerts
        ]
        assert all(x != y for x, y in pairwise(public)), public
        times = [a.updated_at for a in alerts]
        assert times == sorted(set(times)), "at most one transition of an alert per step"


@settings(max_examples=300, deadline=None)
@given(policies, inputs)
def test_episodes_begin_once_end_once_and_wait_for_their_time(
    policy: Policy, moves: list[tuple[int, str, list[str]]]
) -> None:
    episodes: dict[str, list[Alert]] = {}
    for alert in play(log_of(policy, moves)):
        episodes.setdefault(alert.episode, []).append(alert)
    for alerts in episodes.values():
        assert sum(a.status is AlertStatus.RESOLVED for a in alerts) <= 1
        assert all(a.status is not AlertStatus.RESOLVED for a in alerts[:-1])
        fires = [a for a in alerts if a.transition is Transition.FIRED]
        assert len(fires) <= 1
        if fires and policy.for_ms and policy.no_data != "nodata":
            assert alerts[0].transition is Transition.PENDING
            assert (
                fires[0].updated_at - alerts[0].updated_at
            ).total_seconds() * 1000 >= policy.for_ms


@settings(max_examples=300, deadline=None)
@given(policies, inputs, st.integers(0, 40), st.integers(0, 3))
def test_restored_from_the_topic_anywhere_it_goes_on_with_the_same_bytes(
    policy: Policy, moves: list[tuple[int, str, list[str]]], cut: int, back: int
) -> None:
    records = [parse_record(LoggedEvaluation, to_json_bytes(r)) for r in log_of(policy, moves)]
    whole = [to_record(a) for a in play(records)]
    cut = min(cut, len(records))
    before = play(records[:cut])
    # What is left after a kill: the published records, and the log up to the committed offset,
    # of which the last records are seen again.
    alerts = latest(from_record(to_record(a)[0]) for a in before)
    last = max((r.step_ms for r in records[:cut] if r.final), default=-1)
    state, after = RuleState(last, alerts), []
    for record in records[max(0, cut - back) :]:
        state, new = step(state, record)
        after += new
    assert [to_record(a) for a in before] + [to_record(a) for a in after] == whole
