"""Conditions, one kind at a time, on cells small enough to add up by hand."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from streamgauge.alerting.evaluation_log import LoggedSeries
from streamgauge.alerting.rules.model import Rule
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts import histogram
from tests.support.alerting import Cells, judge_at

T = 1_700_006_400_000  # 2023-11-15T00:00Z
MIN = 60_000


def rule(**fields: Any) -> Rule:
    base = {"name": "R", "severity": "page", "group_by": ["app"], "every": "10s"}
    made: Rule = TypeAdapter(Rule).validate_python(
        {k: v for k, v in {**base, **fields}.items() if v is not None}
    )
    return made


def series(made: Rule, cells: Cells, at: int = T) -> list[LoggedSeries]:
    return list(judge_at(made, cells, at).series)


def one(made: Rule, cells: Cells, at: int = T) -> LoggedSeries:
    (found,) = series(made, cells, at)
    return found


def test_window_holds_its_first_cell_and_not_its_last() -> None:
    cells = Cells()
    for t, n in ((T - MIN - 10_000, 100), (T - MIN, 1), (T - 10_000, 2), (T, 400)):
        cells.add(t, {"app": "a"}, {"n": n})
    found = one(rule(kind="threshold", metric="requests", window="1m", value=3), cells)
    assert (found.value, found.breach, found.zone) == (3.0, "page", "breach")


def test_ratio_is_unknown_below_min_events_and_never_zero() -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 4, "errors": 4})
    made = rule(kind="ratio", bad="errors", window="5m", value=0.5, min_events=5)
    assert (one(made, cells).value, one(made, cells).zone) == (None, "unknown")


def test_ratio_above_the_level_with_few_bad_ones_neither_fires_nor_resolves() -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 6, "errors": 3, "timeouts": 1})
    made = rule(kind="ratio", bad="errors", window="5m", value=0.5, min_bad=10)
    found = one(made, cells)
    assert found.value == pytest.approx(4 / 6)
    assert (found.breach, found.zone, found.bad) == (None, "recover", 4)


def test_ladder_takes_the_hardest_level_reached() -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 100})
    levels = {"info": 10.0, "ticket": 100.0, "page": 101.0}
    made = rule(kind="threshold", metric="requests", window="5m", levels=levels, severity=None)
    assert one(made, cells).breach == "ticket"


def test_value_between_recover_and_level_is_in_the_recover_zone() -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 7})
    made = rule(kind="threshold", metric="requests", window="5m", value=10, recover=5)
    assert one(made, cells).zone == "recover"


def test_percentile_comes_from_the_summed_histogram() -> None:
    cells = Cells()
    for t, ms, n in ((T - MIN, 100.0, 94), (T - 2 * MIN, 5000.0, 6)):
        cells.add(t, {"app": "a"}, {"n": n, "duration_ms_hist": {histogram.bucket(ms): n}})
    made = rule(kind="threshold", metric="latency_p95_ms", window="5m", value=1000)
    # rank 95 of 100: 94 values are 100 ms, so it is 5000 ms
    assert one(made, cells).value == pytest.approx(5000, rel=0.01)


def change(**more: Any) -> Rule:
    return rule(
        kind="change", metric="cost_per_request_usd", window="5m", baseline="30m", value=2.5, **more
    )


def test_change_compares_with_the_median_of_its_own_pieces() -> None:
    cells = Cells()
    # six pieces of 1, 1, 1, 2, 2 and 50 cents: median 1.5; now 4.5 cents: 3 times
    for k, cents in enumerate((1, 1, 1, 2, 2, 50), start=1):
        cells.add(T - (k * 5 + 1) * MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": cents * 10**7})
    cells.add(T - MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 45 * 10**6})
    found = one(change(), cells)
    assert found.value == pytest.approx(3.0)
    assert found.breach == "page"
    assert found.evidence is not None
    assert found.evidence["baseline"] == pytest.approx(0.015)


def test_one_dear_call_is_no_shift_when_parts_must_agree() -> None:
    made = change(parts=5, agree=3)
    for dear_minutes, expected in (((3,), "recover"), ((1, 2, 3), "breach")):
        cells = Cells()
        for minute in range(1, 36):
            usd = 0.50 if minute in dear_minutes and minute == 3 else 0.01
            usd = 0.06 if minute in dear_minutes and len(dear_minutes) > 1 else usd
            cost = round(usd * 10**9)
            cells.add(T - minute * MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": cost})
        # now: (0.50 + 4 * 0.01) / 5 = 10.8 times, or (3 * 0.06 + 2 * 0.01) / 5 = 4 times
        assert one(made, cells).zone == expected


def test_change_is_unknown_without_enough_history() -> None:
    cells = Cells()
    for k in (1, 2):
        cells.add(T - (k * 5 + 1) * MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 1})
    cells.add(T - MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 10**9})
    assert one(change(min_windows=3), cells).zone == "unknown"


def test_change_below_the_absolute_floor_is_well() -> None:
    cells = Cells()
    for k in range(1, 7):
        cells.add(T - (k * 5 + 1) * MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 10**6})
    cells.add(T - MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 9 * 10**6})
    assert one(change(floor_abs=0.01), cells).zone == "ok"


def test_two_slow_calls_of_thirty_are_chance_and_half_of_them_are_not() -> None:
    made = rule(
        kind="change", metric="latency_p95_ms", window="5m", baseline="15m", value=2, min_events=30
    )
    for slow, expected in ((2, "recover"), (15, "breach")):
        cells = Cells()
        for k in (1, 2, 3):
            hist = {histogram.bucket(100.0): 28, histogram.bucket(200.0): 2}
            cells.add(T - (k * 5 + 1) * MIN, {"app": "a"}, {"n": 30, "duration_ms_hist": hist})
        hist = {histogram.bucket(100.0): 30 - slow, histogram.bucket(900.0): slow}
        cells.add(T - MIN, {"app": "a"}, {"n": 30, "duration_ms_hist": hist})
        assert one(made, cells).zone == expected


def absent() -> Rule:
    return rule(kind="absence", window="5m", baseline="30m", expected=20)


def busy(cells: Cells, first: int, last: int, n: int = 10) -> None:
    for minute in range(first, last):
        cells.add(T + minute * MIN, {"app": "a"}, {"n": n})


def test_absence_breaches_when_a_steady_series_stops() -> None:
    cells = Cells()
    busy(cells, -35, -5)
    assert one(absent(), cells).breach == "page"


def test_absence_expects_nothing_after_a_burst() -> None:
    cells = Cells()
    busy(cells, -15, -10, n=500)
    assert one(absent(), cells).breach is None


def test_absence_stays_undecided_when_its_own_past_runs_out() -> None:
    cells = Cells()
    busy(cells, -35, -9)  # the last piece holds one minute: 10, fewer than 20
    assert one(absent(), cells).zone == "recover"


def test_absence_is_well_with_a_single_request() -> None:
    cells = Cells()
    busy(cells, -35, -5)
    busy(cells, -1, 0, n=1)
    assert one(absent(), cells).zone == "ok"


def new_model(**more: Any) -> Rule:
    return rule(
        kind="novelty", dimension="model", window="10m", baseline="1h", learn="20m", min_count=3,
        severity="info", **more,
    )  # fmt: skip


def test_novelty_fires_for_a_value_that_the_baseline_never_held() -> None:
    cells = Cells()
    for minute in range(-60, 0):
        cells.add(T + minute * MIN, {"app": "a", "model": "old"}, {"n": 1})
    cells.add(T - 2 * MIN, {"app": "a", "model": "new"}, {"n": 3})
    found = {s.labels["model"]: s.zone for s in series(new_model(), cells)}
    assert found == {"old": "ok", "new": "breach"}


def test_novelty_learns_first_and_what_it_learned_never_becomes_new() -> None:
    cells = Cells()
    cells.add(T - 60 * MIN, {"app": "a", "model": "first"}, {"n": 9})
    for minute in range(-55, 0):
        cells.add(T + minute * MIN, {"app": "a", "model": "soon after"}, {"n": 9})
    for minute in range(-60, 1):
        for s in series(new_model(), cells, T + minute * MIN):
            assert s.breach is None, f"{s.labels} at minute {minute}"


def test_novelty_counts_below_min_count_are_not_yet_a_value() -> None:
    cells = Cells()
    for minute in range(-60, 0):
        cells.add(T + minute * MIN, {"app": "a", "model": "old"}, {"n": 1})
    cells.add(T - 2 * MIN, {"app": "a", "model": "new"}, {"n": 2})
    assert [s.labels["model"] for s in series(new_model(), cells)] == ["old"]


def test_novelty_of_a_map_dimension_reads_the_counts_in_the_cell() -> None:
    cells = Cells()
    for minute in range(-60, 0):
        cells.add(T + minute * MIN, {"app": "a"}, {"n": 1, "error_types": {"Timeout": 1}})
    cells.add(T - MIN, {"app": "a"}, {"n": 5, "error_types": {"Quota": 5}})
    made = rule(
        kind="novelty", dimension="error_type", window="10m", baseline="1h", learn="20m",
        min_count=3, severity="info",
    )  # fmt: skip
    found = {s.labels["error_type"]: s.breach for s in series(made, cells)}
    assert found == {"Timeout": None, "Quota": "info"}


def test_budget_adds_nano_dollars_exactly_and_names_the_period() -> None:
    cells = Cells()
    for minute in range(-10, 0):
        cells.add(T + minute * MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 10**8 + 1})
    made = rule(
        kind="budget", amount_usd="0.1", period="day", tz="UTC", severity=None,
        levels={"info": 0.5, "page": 10.0}, every="60s",
    )  # fmt: skip
    found = one(made, cells)
    assert found.labels["period"] == "2023-11-14", "midnight ends the day that it closes"
    assert found.evidence is not None
    assert found.evidence["spent_nano_usd"] == 10**9 + 10
    assert found.breach == "page"


def test_early_record_holds_breaches_only() -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 9})
    cells.add(T - MIN, {"app": "b"}, {"n": 1})
    made = rule(kind="threshold", metric="requests", window="5m", value=5)
    record = judge_at(made, cells, T, final=False)
    assert [s.labels["app"] for s in record.series] == ["a"]


def test_max_series_keeps_the_hardest_breaches() -> None:
    cells = Cells()
    for i in range(5):
        cells.add(T - MIN, {"app": f"a{i}"}, {"n": 9 if i > 2 else 1})
    made = rule(kind="threshold", metric="requests", window="5m", value=5, max_series=2)
    record = judge_at(made, cells, T)
    assert [s.labels["app"] for s in record.series] == ["a3", "a4"]
    assert record.dropped_series == 3


def test_record_says_how_many_breaches_it_leaves_out() -> None:
    cells = Cells()
    for i in range(5):
        cells.add(T - MIN, {"app": f"a{i}"}, {"n": 9})
    made = rule(kind="threshold", metric="requests", window="5m", value=5, max_series=2)
    for final in (True, False):
        assert judge_at(made, cells, T, final=final).dropped_series == 3
    assert judge_at(made.model_copy(update={"max_series": 5}), cells, T).dropped_series is None


def test_series_that_are_not_well_stay_before_those_that_are() -> None:
    cells = Cells()
    for app, n in (("a", 1), ("b", 1), ("c", 7)):
        cells.add(T - MIN, {"app": app}, {"n": n})
    made = rule(kind="threshold", metric="requests", window="5m", value=10, recover=5, max_series=1)
    assert [s.labels["app"] for s in series(made, cells)] == ["c"]


@pytest.mark.parametrize(("period", "said"), [("rolling:24h", "24h"), ("month", "2023-11")])
def test_text_of_a_budget_may_name_its_amount_and_period(period: str, said: str) -> None:
    cells = Cells()
    cells.add(T - MIN, {"app": "a"}, {"n": 1, "cost_nano_usd": 99 * 10**9})
    made = rule(
        kind="budget", amount_usd="49.50", period=period, tz="UTC", severity=None, every="60s",
        annotations={"summary": "{app}: {value} of {amount_usd} USD in {period}"},
    )  # fmt: skip
    (alert,) = step(RuleState(), judge_at(made, cells, T))[1]
    assert alert.annotations["summary"] == f"a: 200 % of 49.50 USD in {said}"
