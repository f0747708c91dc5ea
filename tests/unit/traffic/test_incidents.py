"""Incidents: planted where they must be, big enough to be found, and nothing near an alert else."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers.traffic import catalog
from streamgauge.producers.traffic.incidents import (
    ALL_KINDS,
    Incident,
    Kind,
    apply_incidents,
    parse_kinds,
    plan_incidents,
    read_truth,
    write_truth,
)
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.traces import Format, read_trace, shipped_trace
from tests.support.traffic import MINUTE, Event, p95, usd, worst

SEEDS = range(20)
FEW = (0, 1, 2)
AGENTS = {app.name for app in catalog.APPS if app.agent}


@cache
def clean(seed: int) -> tuple[Event, ...]:
    return tuple(events_for(read_trace(shipped_trace(Format.AZURE)), seed))


@cache
def planted(seed: int) -> tuple[dict[Kind, Incident], tuple[Event, ...]]:
    events = clean(seed)
    plan = plan_incidents(seed, events[0]["ts"], events[-1]["ts"])
    return {i.kind: i for i in plan}, tuple(apply_incidents(events, plan, seed))


def of_app(events: tuple[Event, ...], incident: Incident) -> list[Event]:
    return [e for e in events if e["app"] == incident.app]


def between(events: list[Event], start: int, end: int) -> list[Event]:
    return [e for e in events if start <= e["ts"] < end]


def best_ratio(
    events: list[Event], incident: Incident, value: Callable[[list[Event]], float]
) -> float:
    """Largest value(5 min) / value(30 min before) while the incident lasts."""
    return max(
        value(between(events, now - 5 * MINUTE, now))
        / value(between(events, now - 35 * MINUTE, now - 5 * MINUTE))
        for now in range(incident.start_ms + MINUTE, incident.end_ms, MINUTE // 2)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_plan_leaves_history_before_time_after_and_one_app_per_kind(seed: int) -> None:
    start, end = 1_700_000_000_000, 1_700_000_000_000 + 58 * MINUTE
    plan = plan_incidents(seed, start, end)
    assert {i.kind for i in plan} == set(ALL_KINDS)
    assert len({i.app for i in plan}) == len(ALL_KINDS)
    for i in plan:
        assert i.start_ms >= start + 29 * MINUTE  # the second half, and 22 clean minutes
        if i.kind in (Kind.SILENCE, Kind.UNKNOWN_MODEL):
            assert i.start_ms <= end - 12 * MINUTE
            assert i.end_ms > end
        else:
            assert i.end_ms <= end - 4 * MINUTE
        assert i.severity_class == ("ticket" if i.kind is Kind.UNKNOWN_MODEL else "page")
        if i.kind is Kind.RUNAWAY:
            assert i.app in AGENTS


def test_seed_moves_times_sizes_and_apps() -> None:
    plans = [plan_incidents(s, 0, 58 * MINUTE) for s in SEEDS]
    for kind in ALL_KINDS:
        of_kind = [next(i for i in plan if i.kind is kind) for plan in plans]
        assert len({i.app for i in of_kind}) >= 3
        assert len({i.start_ms for i in of_kind}) == len(plans)
    for kind in (Kind.ERROR_BURST, Kind.RUNAWAY, Kind.UNKNOWN_MODEL):
        of_kind = [next(i for i in plan if i.kind is kind) for plan in plans]
        assert len({tuple(i.params.values()) for i in of_kind}) >= 10


def test_whole_plan_moves_with_the_traffic() -> None:
    here = plan_incidents(3, 0, 58 * MINUTE)
    later = plan_incidents(3, 7 * MINUTE, 65 * MINUTE)
    assert [(i.kind, i.app, i.start_ms + 7 * MINUTE, i.params) for i in here] == [
        (i.kind, i.app, i.start_ms, i.params) for i in later
    ]


def test_no_incidents_change_nothing() -> None:
    assert tuple(apply_incidents(clean(0), [], 0)) == clean(0)
    assert plan_incidents(0, 0, 1, kinds=()) == []


def test_traffic_that_is_too_short_for_incidents_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"lasts 30\.0 min, incidents need 44"):
        plan_incidents(0, 0, 30 * MINUTE)


def test_too_few_apps_are_refused() -> None:
    with pytest.raises(Misconfigured, match="no app is left"):
        plan_incidents(0, 0, 60 * MINUTE, catalog.APPS[:2], ALL_KINDS)


@pytest.mark.parametrize("seed", FEW)
def test_apps_without_an_incident_stay_as_they_were(seed: int) -> None:
    plan, events = planted(seed)
    touched = {i.app for i in plan.values()}
    assert [e for e in events if e["app"] not in touched] == [
        e for e in clean(seed) if e["app"] not in touched
    ]


@pytest.mark.parametrize("seed", FEW)
def test_planted_events_are_valid_and_in_order(seed: int) -> None:
    _, events = planted(seed)
    times = [e["ts"] for e in events]
    assert times == sorted(times)
    assert len({e["id"] for e in events}) == len(events)
    for event in events[::23]:
        assert isinstance(parse_event(json.dumps(event).encode()), LlmRequest)


@pytest.mark.parametrize("seed", FEW)
def test_no_event_tells_that_it_is_an_incident(seed: int) -> None:
    plan, events = planted(seed)
    text = "\n".join(json.dumps(e) for e in events[::5])
    assert not [kind for kind in plan if kind.value in text]


@pytest.mark.parametrize("seed", FEW)
def test_error_burst_fails_most_calls_of_every_two_minutes(seed: int) -> None:
    plan, events = planted(seed)
    burst = plan[Kind.ERROR_BURST]
    calls = of_app(events, burst)
    assert 5 * MINUTE <= burst.end_ms - burst.start_ms <= 8 * MINUTE
    for at in range(burst.start_ms, burst.end_ms - 2 * MINUTE, MINUTE // 4):
        window = between(calls, at, at + 2 * MINUTE)
        bad = [e for e in window if e["status"] == "error"]
        assert len(bad) >= 20  # the rule wants 10
        assert len(bad) / len(window) >= 0.6  # the rule wants 0.5
        assert {e["http_status"] for e in bad} & {500, 503}


@pytest.mark.parametrize("seed", FEW)
def test_latency_incident_more_than_doubles_the_p95(seed: int) -> None:
    plan, events = planted(seed)
    slow = plan[Kind.LATENCY_X3]
    ratio = best_ratio(of_app(events, slow), slow, lambda es: p95(e["duration_ms"] for e in es))
    assert ratio >= 2.4  # the rule wants 2


@pytest.mark.parametrize("seed", FEW)
def test_cost_incident_raises_cost_per_call_beyond_two_and_a_half(seed: int) -> None:
    plan, events = planted(seed)
    dear = plan[Kind.COST_X4]
    calls = of_app(events, dear)
    ratio = best_ratio(calls, dear, lambda es: sum(map(usd, es)) / len(es))
    assert ratio >= 2.7  # the rule wants 2.5
    assert sum(map(usd, calls)) < 20  # and the day's budget of 50 USD is not its business


@pytest.mark.parametrize("seed", FEW)
def test_silent_app_spoke_before_and_never_again(seed: int) -> None:
    plan, events = planted(seed)
    silence = plan[Kind.SILENCE]
    calls = of_app(events, silence)
    assert len(between(calls, silence.start_ms - 30 * MINUTE, silence.start_ms)) >= 500
    assert not [e for e in calls if e["ts"] >= silence.start_ms]
    assert events[-1]["ts"] - silence.start_ms >= 12 * MINUTE - 1


@pytest.mark.parametrize("seed", FEW)
def test_runaway_spends_over_a_hundred_dollars_from_one_user(seed: int) -> None:
    plan, events = planted(seed)
    runaway = plan[Kind.RUNAWAY]
    known = {e["id"] for e in clean(seed)}
    extra = [e for e in events if e["id"] not in known]
    assert sum(map(usd, extra)) >= 100
    assert {e["app"] for e in extra} == {runaway.app}
    assert len({(e["user_id"], e["key_id"]) for e in extra}) == 1
    limit = {m.name: m.max_input_tokens for m in catalog.MODELS.values()}
    assert all(e["input_tokens"] <= limit[e["model"]] for e in extra)
    others = [e for e in of_app(events, runaway) if e["id"] in known]
    assert sum(map(usd, others)) < 20


@pytest.mark.parametrize("seed", FEW)
def test_unknown_model_takes_a_third_to_a_half_of_the_calls(seed: int) -> None:
    plan, events = planted(seed)
    novel = plan[Kind.UNKNOWN_MODEL]
    after = [e for e in of_app(events, novel) if e["ts"] >= novel.start_ms]
    share = sum(e["model"] == catalog.UNKNOWN_MODEL for e in after) / len(after)
    assert 0.25 <= share <= 0.55
    assert not [
        e for e in events if e["model"] == catalog.UNKNOWN_MODEL and e["ts"] < novel.start_ms
    ]


@pytest.mark.parametrize("seed", FEW)
def test_without_incidents_nothing_comes_near_an_alert(seed: int) -> None:
    found = worst(clean(seed))
    assert found.p95 < 1.6  # rule: 2
    assert found.cost < 1.7  # rule: 2.5
    assert found.gap_s < 60  # rule: 300
    assert found.bad < 10  # rule: 10 and half of the calls
    assert found.bad_share == 0.0
    assert found.spend < 12  # rule: 25 and more
    assert found.fewest >= 0.07 * 19_366


def test_truth_file_holds_what_was_planted(tmp_path: Path) -> None:
    plan = plan_incidents(5, 0, 58 * MINUTE)
    path = tmp_path / "run" / "truth.json"
    write_truth(path, plan, 5)
    assert read_truth(path) == plan


@pytest.mark.parametrize("text", ["", "{}", '{"v": 2, "incidents": []}', "[]"])
def test_file_that_is_no_truth_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(Misconfigured, match="is no truth file"):
        read_truth(path)


def test_kinds_are_read_from_text() -> None:
    assert parse_kinds("none") == ()
    assert parse_kinds("all") == ALL_KINDS
    assert parse_kinds("silence, cost_x4,silence") == (Kind.SILENCE, Kind.COST_X4)
    with pytest.raises(Misconfigured, match="flood"):
        parse_kinds("flood")
