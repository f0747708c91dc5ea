"""When the rules of the default pack must fire and resolve on the Azure trace, from the events.

Shares no code with the alert engine, the stream or the store: plain lists of events, exact
percentiles, list prices, and the rules' definitions written down here a second time. Exact
percentiles differ from the stream's histograms by up to 1 %, so an edge may lie a step away.

    python -m tests.independent.episodes 7

prints one line per episode: rule, app, fired and resolved at, in seconds of the trace's own time.
"""

from __future__ import annotations

import math
import statistics
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from streamgauge.producers.traffic import shipped_trace
from streamgauge.producers.traffic.catalog import APPS, MODELS
from streamgauge.producers.traffic.incidents import ALL_KINDS, apply_incidents, plan_incidents
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.traces import Format, read_trace

Events = list[dict[str, Any]]
Zone = str  # breach, recover (neither), ok, unknown
WINDOW, PIECES = 300, 6
TAIL_S, LATENESS_S = 120, 30


@dataclass(frozen=True)
class App:
    """One app's requests in order of completion."""

    at_s: list[float]
    events: Events

    def between(self, start_s: float, end_s: float) -> Events:
        return self.events[bisect_left(self.at_s, start_s) : bisect_left(self.at_s, end_s)]


@dataclass(frozen=True)
class Rule:
    """What of a rule the states need, and its judgement of an app at a step."""

    every: int
    hold: int
    keep: int
    judge: Callable[[App, int], Zone]


def usd(event: dict[str, Any]) -> float:
    spec = MODELS.get(event["model"])
    if spec is None:
        return 0.0
    paid_in, paid_out = spec.usd_per_m_input, spec.usd_per_m_output
    tokens = (event.get("input_tokens") or 0, event.get("output_tokens") or 0)
    return (tokens[0] * paid_in + tokens[1] * paid_out) / 1e6


def speed(event: dict[str, Any]) -> float | None:
    spent_ms = event["duration_ms"] - (event.get("ttft_ms") or 0)
    tokens = event.get("output_tokens")
    return tokens * 1000 / spent_ms if tokens and spent_ms >= 1 else None


def rank(values: Iterable[float | None], q: float) -> tuple[float | None, int]:
    known = sorted(v for v in values if v is not None)
    return (known[max(1, math.ceil(q * len(known))) - 1] if known else None), len(known)


def share(of: Events) -> tuple[int, int]:
    return sum(e["status"] in ("error", "timeout") for e in of), len(of)


def error_ratio(
    window: int, least: float, enough: int, recover: float
) -> Callable[[App, int], Zone]:
    def judge(app: App, at: int) -> Zone:
        bad, n = share(app.between(at - window, at))
        if n < enough:
            return "unknown"
        if bad / n >= least:
            return "breach" if bad >= 10 else "recover"
        return "recover" if bad / n >= recover else "ok"

    return judge


def zone(factor: float, least: float, recover: float) -> Zone:
    """Of a factor over its baseline; for drops both are below 1."""
    up = least > 1
    if factor >= least if up else factor <= least:
        return "breach"
    return "recover" if (factor >= recover if up else factor <= recover) else "ok"


def shifted(
    field: Callable[[dict[str, Any]], float | None], q: float, enough: int, floor: float,
    least: float, recover: float,
) -> Callable[[App, int], Zone]:  # fmt: skip
    def judge(app: App, at: int) -> Zone:
        values = [field(e) for e in app.between(at - WINDOW, at)]
        now, n = rank(values, q)
        past = [
            rank((field(e) for e in app.between(at - (k + 1) * WINDOW, at - k * WINDOW)), q)
            for k in range(1, PIECES + 1)
        ]
        held = [v for v, m in past if v is not None and m >= enough]
        if now is None or n < enough or len(held) < 3:
            return "unknown"
        base = statistics.median(held)
        found = zone(now / base, least, recover)
        if found == "breach" and abs(now - base) < floor:
            return "ok"
        if found == "breach":  # beyond chance: 4.5 sigma of the binomial
            above = least > 1
            beyond = sum((v > base) == above for v in values if v is not None)
            p = 1 - q if above else q
            if beyond < n * p + 4.5 * math.sqrt(n * p * (1 - p)) + 1:
                return "recover"
        return found

    return judge


def mean_usd(events: Events) -> float | None:
    priced = [e for e in events if e["model"] in MODELS]
    return sum(map(usd, priced)) / len(priced) if priced else None


def cost_per_request(app: App, at: int) -> Zone:
    def window(k: int) -> Events:
        return app.between(at - (k + 1) * WINDOW, at - k * WINDOW)

    now = mean_usd(window(0))
    held = [v for k in range(1, PIECES + 1) if len(window(k)) >= 50 and (v := mean_usd(window(k)))]
    if now is None or len(window(0)) < 50 or len(held) < 3:
        return "unknown"
    base = statistics.median(held)
    found = zone(now / base, 2.5, 1.6)
    if found == "breach":
        parts = [
            mean_usd(app.between(at - (k + 1) * 60, at - k * 60)) for k in range(5 * (PIECES + 1))
        ]
        agree = sum(v is not None and v / base >= 2.5 for v in parts[:5])
        before = [v for v in parts[5:] if v is not None]
        error = statistics.stdev(before) / math.sqrt(5)
        if agree < 3 or len(before) < 8 or now - statistics.fmean(before) < 6 * error:
            return "recover"
    return found


def spend(app: App, at: int) -> Zone:
    sums = [app.between(at - (k + 1) * WINDOW, at - k * WINDOW) for k in range(PIECES + 1)]
    held = [sum(map(usd, s)) for s in sums[1:] if len(s) >= 5]
    if len(sums[0]) < 5 or len(held) < 3:
        return "unknown"
    now, base = sum(map(usd, sums[0])), statistics.median(held)
    found = zone(now / base, 8.0, 3.0)
    return "ok" if found == "breach" and now - base < 10 else found


def budget(app: App, at: int) -> Zone:
    return "breach" if sum(map(usd, app.between(0, at))) >= 25 else "ok"


def silence(app: App, at: int) -> Zone:
    if app.between(at - WINDOW, at):
        return "ok"
    held = [app.between(at - (k + 1) * WINDOW, at - k * WINDOW) for k in range(1, PIECES + 1)]
    return "breach" if min(map(len, held)) >= 20 else "recover"


def unpriced(app: App, at: int) -> Zone:
    unknown = sum(e["model"] not in MODELS for e in app.between(at - WINDOW, at))
    return "breach" if unknown >= 5 else "ok"


RULES: dict[str, Rule] = {
    "ErrorBurstFast": Rule(10, 0, 60, error_ratio(120, 0.5, 10, 0.25)),
    "ErrorRateHigh": Rule(30, 120, 120, error_ratio(600, 0.1, 50, 0.05)),
    "LatencyShift": Rule(30, 60, 120, shifted(lambda e: e["duration_ms"], 0.95, 30, 500, 2.0, 1.5)),
    "TTFTShift": Rule(30, 120, 120, shifted(lambda e: e.get("ttft_ms"), 0.95, 30, 500, 2.5, 1.5)),
    "OutputSpeedDrop": Rule(30, 180, 120, shifted(speed, 0.5, 50, 0, 0.45, 0.7)),
    "CostPerRequestShift": Rule(30, 60, 120, cost_per_request),
    "SpendRunaway": Rule(30, 0, 0, spend),
    "BudgetSpent": Rule(60, 0, 0, budget),
    "NoTraffic": Rule(30, 0, 0, silence),
    "UnpricedModel": Rule(30, 0, 600, unpriced),
}


def episodes(rule: Rule, app: App, start_s: int, end_s: int) -> list[tuple[int, int | None]]:
    """(fired, resolved or None) of one series: pending for `hold`, recovering for `keep`."""
    found: list[tuple[int, int | None]] = []
    pending: int | None = None
    well: int | None = None
    for at in range(-(-start_s // rule.every) * rule.every, end_s + 1, rule.every):
        judged = rule.judge(app, at)
        is_open = bool(found) and found[-1][1] is None
        if judged == "breach":
            well = None
            pending = at if pending is None else pending
            if not is_open and at - pending >= rule.hold:
                found.append((at, None))
        elif judged == "ok" or (judged == "unknown" and (well is not None or not is_open)):
            pending = None
            if is_open:
                well = at if well is None else well
                if at - well >= rule.keep:
                    found[-1] = (found[-1][0], at)
                    well = None
    return found


def azure_with_incidents(seed: int) -> Events:
    """The events of a replay of the Azure trace, at the trace's own times."""
    path = shipped_trace(Format.AZURE)
    rows = sorted(read_trace(path, Format.AZURE), key=lambda row: row.arrival_ms)
    events = list(events_for(rows, seed, source="azure", run="run"))
    plan = plan_incidents(seed, events[0]["ts"], events[-1]["ts"], APPS, ALL_KINDS)
    return list(apply_incidents(events, plan, seed, run="run"))


def all_episodes(events: Events) -> dict[tuple[str, str], list[tuple[int, int | None]]]:
    """Episodes by (rule, app)."""
    by_app: dict[str, Events] = defaultdict(list)
    for event in sorted(events, key=lambda e: e["ts"]):
        by_app[event["app"]].append(event)
    first_s, last_s = events[0]["ts"] // 1000, max(e["ts"] for e in events) // 1000
    found = {}
    for name, rule in RULES.items():
        for app, own in by_app.items():
            series = App([e["ts"] / 1000 for e in own], own)
            if made := episodes(rule, series, first_s, last_s + TAIL_S - LATENESS_S):
                found[name, app] = made
    return found


if __name__ == "__main__":
    for (name, app), made in all_episodes(azure_with_incidents(int(sys.argv[1]))).items():
        print(name, app, made)
