"""Law 3 of the audit: sums by hour, what differs, and which hours are not whole."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from streamgauge.storage.audit_model import Difference, NotCompared, Since
from streamgauge.storage.audit_windows import (
    FIGURES,
    by_hour,
    compared,
    cut_hours,
    first_days,
)

HOUR = timedelta(hours=1)
T = datetime(2026, 2, 28, 22, tzinfo=UTC)
OLD, NEW = date(2026, 3, 1), date(2026, 3, 9)


def row(hour: int, day: date, **figures: int) -> dict[str, Any]:
    return {"hour": T + hour * HOUR, "day": day} | dict.fromkeys(FIGURES, 0) | figures


def test_only_what_was_written_from_the_day_on_counts() -> None:
    rows = [row(0, OLD, n=5), row(0, NEW, n=2, errors=1), row(1, NEW, n=3)]
    assert {hour: sums["n"] for hour, sums in by_hour(rows).items()} == {T: 7, T + HOUR: 3}
    assert {hour: sums["n"] for hour, sums in by_hour(rows, NEW).items()} == {T: 2, T + HOUR: 3}


def test_an_hour_that_one_side_lacks_differs_in_every_figure_that_is_not_0() -> None:
    raw = by_hour([row(0, NEW, n=2, input_tokens=9), row(1, NEW, n=1)])
    cells = by_hour([row(1, NEW, n=1), row(2, NEW, n=4)])
    assert list(compared(raw, cells, "60 s")) == [
        Difference("windows", "2026-02-28 22:00 at 60 s", "input_tokens", 9, 0),
        Difference("windows", "2026-02-28 22:00 at 60 s", "n", 2, 0),
        Difference("windows", "2026-03-01 00:00 at 60 s", "n", 0, 4),
    ]
    assert list(compared(raw, cells, "60 s", hours=[T + HOUR])) == []


def test_cost_is_compared_only_where_it_is_of_the_same_prices() -> None:
    raw, cells = by_hour([row(0, NEW, cost_nano_usd=7)]), by_hour([row(0, NEW, cost_nano_usd=8)])
    assert len(list(compared(raw, cells, "10 s"))) == 1
    assert list(compared(raw, cells, "10 s", figures=("n",))) == []


def test_hours_that_are_not_whole_are_named_in_runs_that_whole_ones_part() -> None:
    raw = [row(3, NEW), row(5, NEW)]
    cells = [row(0, OLD), row(1, OLD), row(1, NEW), row(3, NEW), row(4, OLD)]
    days = first_days(raw, cells)
    assert days[T + HOUR] == OLD
    since = Since(NEW, "kept 3 days")
    assert [(n.start, n.end) for n in cut_hours(days, "10 s", since)] == [
        (T, T + 2 * HOUR),
        (T + 4 * HOUR, T + 5 * HOUR),
    ]
    assert list(cut_hours({T: OLD}, "10 s", since)) == [
        NotCompared("windows", "10 s", T, T + HOUR, NEW, "kept 3 days")
    ]
    assert list(cut_hours(days, "10 s", Since())) == []
