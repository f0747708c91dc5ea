"""Law 3: windows and raw rows, per hour, as far as both sides are there. Pure.

In: rows of queries, sums by hour of event time (`hour`) and day of writing (`day`). Out:
differences, and the hours of which something was written before both sides begin.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from streamgauge.storage.audit_model import EPOCH, Difference, NotCompared, Since

FIGURES = ("cost_nano_usd", "duration_us_sum", "errors", "input_tokens", "n", "output_tokens")
REQUESTS = "n"
HOUR = timedelta(hours=1)

Row = Mapping[str, Any]
Sums = dict[datetime, Counter[str]]


def by_hour(rows: Iterable[Row], since: date = EPOCH) -> Sums:
    """Sums of what was written from this day on."""
    sums: Sums = defaultdict(Counter)
    for row in rows:
        if row["day"] >= since:
            sums[row["hour"]].update({name: int(row[name]) for name in FIGURES})
    return dict(sums)


def first_days(*tables: Iterable[Row]) -> dict[datetime, date]:
    """Per hour, the day on which its first row was written, as far as any table still knows."""
    found: dict[datetime, date] = {}
    for rows in tables:
        for row in rows:
            found[row["hour"]] = min(row["day"], found.get(row["hour"], row["day"]))
    return found


def compared(
    raw: Sums,
    cells: Sums,
    how: str,
    *,
    figures: Sequence[str] = FIGURES,
    hours: Collection[datetime] | None = None,
) -> Iterator[Difference]:
    """Figures that differ, by hour.

    how: which windows. figures: only these are compared. hours: only these; None: all.
    """
    for hour in sorted(raw.keys() | cells.keys() if hours is None else hours):
        expected, found = raw.get(hour, Counter()), cells.get(hour, Counter())
        for what in figures:
            if expected[what] != found[what]:
                yield Difference(
                    "windows", f"{hour:%Y-%m-%d %H:00} at {how}", what, expected[what], found[what]
                )


def cut_hours(days: Mapping[datetime, date], what: str, since: Since) -> Iterator[NotCompared]:
    """Hours that were not compared, or only in part: one entry per run of them."""
    run: list[datetime] = []
    for hour in [*sorted(days), None]:
        if hour is not None and days[hour] < since.day:
            run.append(hour)
        elif run:
            yield NotCompared("windows", what, run[0], run[-1] + HOUR, since.day, since.why)
            run.clear()
