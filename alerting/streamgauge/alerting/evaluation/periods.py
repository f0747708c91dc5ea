"""Budget periods: where the one that a step lies in began, and what it is called.

In: a budget rule and a step (ms). Out: start and label. Calendar periods begin at midnight of the
rule's time zone, so they are 23 or 25 hours longer or shorter when its clocks change. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from streamgauge.alerting.rules.durations import parse_duration
from streamgauge.alerting.rules.model import Budget

CELL_MS = 60_000


@dataclass(frozen=True, slots=True)
class Period:
    """start_ms: first ms of it. name: part of the alert's labels; empty for rolling periods."""

    start_ms: int
    name: str


def period_at(rule: Budget, step_ms: int) -> Period:
    """The period that the last instant before `step_ms` lies in."""
    kind, _, length = rule.period.partition(":")
    if kind == "rolling":
        return Period(step_ms - parse_duration(length), "")
    zone = ZoneInfo(rule.tz or "UTC")
    last = datetime.fromtimestamp((step_ms - 1) / 1000, UTC).astimezone(zone)
    day = last.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return Period(_ms(day), day.strftime("%Y-%m-%d"))
    if kind == "week":
        monday = day - timedelta(days=day.weekday())
        return Period(_ms(monday), monday.strftime("%G-W%V"))
    first = day.replace(day=1)
    return Period(_ms(first), first.strftime("%Y-%m"))


def _ms(local_midnight: datetime) -> int:
    ms = round(local_midnight.astimezone(UTC).timestamp() * 1000)
    return ms // CELL_MS * CELL_MS
