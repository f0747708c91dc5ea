"""Figures over synthetic traffic that several traffic tests need. No code of the model in here."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from streamgauge.producers.traffic.catalog import MODELS

MINUTE = 60_000
Event = dict[str, Any]


def p95(values: Iterable[float]) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def usd(event: Event) -> float:
    """List price of a call; 0 for a model without one or a call without tokens."""
    spec = MODELS.get(event["model"])
    if spec is None or event.get("input_tokens") is None:
        return 0.0
    tokens_in, tokens_out = int(event["input_tokens"]), int(event["output_tokens"])
    return (tokens_in * spec.usd_per_m_input + tokens_out * spec.usd_per_m_output) / 1e6


def by_app(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Events per app, in order of `ts`."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        groups[event["app"]].append(event)
    return dict(groups)


@dataclass
class Worst:
    """The nearest that traffic comes to an alert, over all apps and moments.

    p95, cost: last 5 min over the 30 min before. gap_s: longest silence. bad: failures in 2 min,
    bad_share: their share where there are 10 or more. spend: USD of an app in all.
    """

    p95: float = 0.0
    cost: float = 0.0
    gap_s: float = 0.0
    bad: int = 0
    bad_share: float = 0.0
    spend: float = 0.0
    fewest: int = 10**9


def worst(events: Sequence[Event]) -> Worst:
    """Slide the windows of the default rules over the traffic, every 30 s, from minute 6 on."""
    found = Worst()
    start, end = events[0]["ts"], events[-1]["ts"]
    for calls in by_app(events).values():
        ts = [e["ts"] for e in calls]
        duration = [e["duration_ms"] for e in calls]
        cost = [usd(e) for e in calls]
        bad = [e["status"] != "ok" for e in calls]
        found.gap_s = max(found.gap_s, max(b - a for a, b in pairwise(ts)) / 1000)
        found.spend = max(found.spend, sum(cost))
        found.fewest = min(found.fewest, len(calls))
        for now in range(start + 6 * MINUTE, end + MINUTE, MINUTE // 2):
            here = bisect.bisect(ts, now)
            near = bisect.bisect(ts, now - 5 * MINUTE)
            far = bisect.bisect(ts, now - 35 * MINUTE)
            if here - near >= 50 and near - far >= 50:
                found.p95 = max(found.p95, p95(duration[near:here]) / p95(duration[far:near]))
                mean = sum(cost[near:here]) / (here - near)
                found.cost = max(found.cost, mean / (sum(cost[far:near]) / (near - far)))
            two = bisect.bisect(ts, now - 2 * MINUTE)
            failures = sum(bad[two:here])
            found.bad = max(found.bad, failures)
            if failures >= 10:
                found.bad_share = max(found.bad_share, failures / (here - two))
    return found
