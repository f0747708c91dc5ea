"""Judges one rule at one step over summed cells.

In: a rule, the `Panes` of its batch and a step. Out: one `Judged` per series: its value, whether
and how hard it breaches, and in which zone it lies for the state machine:

    breach   a level is reached
    recover  not breached, but not on the safe side of `recover` either: nothing changes
    ok       on the safe side
    unknown  no value: too few events, no baseline. Never taken for 0, never for well

Pure: no clock, no store. The same cells give the same verdicts.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from streamgauge.alerting.evaluation.panes import FIRST, Labels, Panes, RawCell, merge
from streamgauge.alerting.evaluation.periods import period_at
from streamgauge.alerting.rules.metrics import MAP_DIMENSIONS, METRICS, Metric, buckets, total
from streamgauge.alerting.rules.model import (
    Absence,
    Budget,
    Change,
    Novelty,
    Op,
    Ratio,
    Rule,
    Severity,
    Threshold,
)
from streamgauge.contracts import histogram

Zone = Literal["breach", "recover", "ok", "unknown"]
NANO = 1_000_000_000
CHANCE_SIGMAS = 4.5
SCATTER_SIGMAS = 6.0
MIN_PARTS = 8


@dataclass(frozen=True, slots=True)
class Judged:
    """One series at one step. n: events counted. bad: the bad ones, where that has a meaning."""

    labels: dict[str, str]
    value: float | None
    n: int
    zone: Zone
    breach: Severity | None = None
    bad: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)


def passes(value: float, op: Op, threshold: float) -> bool:
    """value op threshold."""
    match op:
        case ">=":
            return value >= threshold
        case ">":
            return value > threshold
        case "<=":
            return value <= threshold
        case "<":
            return value < threshold
        case _:
            assert_never(op)


def level_of(
    rule: Threshold | Ratio | Change | Budget, value: float
) -> tuple[Severity | None, Zone]:
    """The hardest level that the value reaches, and its zone."""
    reached = [s for s, threshold in rule.ladder() if passes(value, rule.op, threshold)]
    if reached:
        return reached[-1], "breach"
    if rule.recover is not None and passes(value, rule.op, rule.recover):
        return None, "recover"
    return None, "ok"


def dimensions_of(rule: Rule) -> tuple[str, ...]:
    """Dimensions that the cells of a rule must be split by."""
    if isinstance(rule, Novelty) and rule.dimension not in MAP_DIMENSIONS:
        return (*rule.group_by, rule.dimension)
    return rule.group_by


def aggregates_of(rule: Rule) -> tuple[str, ...]:
    """Aggregates that a rule reads."""
    match rule:
        case Threshold() | Change():
            return METRICS[rule.metric].aggregates
        case Absence():
            all_of = METRICS[rule.metric].aggregates
            return (*all_of, *(f"timely:{a}" for a in all_of))
        case Ratio():
            both = (*METRICS[rule.bad].aggregates, *METRICS[rule.total].aggregates)
            return tuple(dict.fromkeys(both))
        case Novelty():
            return (
                ("n",) if rule.dimension not in MAP_DIMENSIONS else ("n", f"map:{rule.dimension}")
            )
        case Budget():
            return ("cost_nano_usd", "n")
        case _:
            assert_never(rule)


def breaks_of(rule: Rule, step_ms: int) -> list[int]:
    """Edges of the windows that a rule reads at a step."""
    match rule:
        case Threshold() | Ratio():
            return [step_ms - rule.window, step_ms]
        case Change() | Absence():
            parts = rule.parts if isinstance(rule, Change) else 1
            count = (_pieces(rule) + 1) * parts
            return [step_ms - k * (rule.window // parts) for k in range(count + 1)]
        case Novelty():
            return [step_ms - rule.window - rule.baseline, step_ms - rule.window, step_ms]
        case Budget():
            return [period_at(rule, step_ms).start_ms, step_ms]
        case _:
            assert_never(rule)


def judge(rule: Rule, panes: Panes, step_ms: int) -> list[Judged]:
    """One verdict per series that has any cell in the rule's horizon, ordered by labels."""
    if isinstance(rule, Novelty):
        return list(_novelty(rule, panes, step_ms))
    found = []
    for labels in sorted(panes.cells):
        named = dict(zip(panes.dimensions, labels, strict=True))
        judged = _series(rule, panes, labels, named, step_ms)
        if judged is not None:
            found.append(judged)
    return found


def most_telling(found: list[Judged], at_most: int) -> list[Judged]:
    """Of too many series those that say most: the hardest breaches, then those that are not well.

    Among equals the order of labels decides, so that it is the same ones at every step.
    """
    if len(found) <= at_most:
        return found
    level = {"page": 0, "ticket": 1, "info": 2, None: 3}
    zone = {"breach": 0, "recover": 1, "unknown": 2, "ok": 3}
    kept = sorted(found, key=lambda j: (level[j.breach], zone[j.zone]))[:at_most]
    return sorted(kept, key=lambda j: tuple(j.labels.values()))


def _pieces(rule: Change | Absence) -> int:
    return max(1, rule.baseline // rule.window)


def _series(
    rule: Threshold | Ratio | Change | Absence | Budget,
    panes: Panes,
    labels: Labels,
    named: dict[str, str],
    step_ms: int,
) -> Judged | None:
    if isinstance(rule, Budget):
        return _budget(rule, panes, labels, named, step_ms)
    now = panes.window(labels, step_ms - rule.window, step_ms)
    match rule:
        case Threshold():
            if not now:
                return None
            return _threshold(rule, named, now)
        case Ratio():
            if not now:
                return None
            return _ratio(rule, named, now)
        case Change():
            return _change(rule, panes, labels, named, step_ms, now)
        case Absence():
            return _absence(rule, panes, labels, named, step_ms, now)
        case _:
            assert_never(rule)


def _threshold(rule: Threshold, named: dict[str, str], now: RawCell) -> Judged:
    metric = METRICS[rule.metric]
    n = total(now, metric.count)
    value = metric.read(now)
    if value is None or n < rule.min_events:
        return Judged(named, None, n, "unknown")
    breach, zone = level_of(rule, value)
    return Judged(named, value, n, zone, breach)


def _ratio(rule: Ratio, named: dict[str, str], now: RawCell) -> Judged:
    bad, whole = METRICS[rule.bad].read(now) or 0.0, METRICS[rule.total].read(now) or 0.0
    n, bad_n = int(whole), int(bad)
    if n < max(1, rule.min_events):
        return Judged(named, None, n, "unknown", bad=bad_n)
    value = bad / whole
    breach, zone = level_of(rule, value)
    if breach is not None and bad_n < rule.min_bad:
        breach, zone = None, "recover"
    return Judged(named, value, n, zone, breach, bad_n)


def _past(rule: Change | Absence, panes: Panes, labels: Labels, step_ms: int) -> Iterator[RawCell]:
    for k in range(1, _pieces(rule) + 1):
        yield panes.window(labels, step_ms - (k + 1) * rule.window, step_ms - k * rule.window)


def _change(
    rule: Change, panes: Panes, labels: Labels, named: dict[str, str], step_ms: int, now: RawCell
) -> Judged:
    metric = METRICS[rule.metric]
    n = total(now, metric.count)
    value = metric.read(now)
    past = [
        v
        for piece in _past(rule, panes, labels, step_ms)
        if total(piece, metric.count) >= max(1, rule.min_events)
        and (v := metric.read(piece)) is not None
    ]
    if value is None or n < rule.min_events or len(past) < rule.min_windows:
        return Judged(named, None, n, "unknown")
    base = statistics.median(past)
    if base <= 0:
        return Judged(named, None, n, "unknown", evidence={"baseline": base})
    factor = value / base
    breach, zone = level_of(rule, factor)
    if breach is not None and abs(value - base) < rule.floor_abs:
        breach, zone = None, "ok"
    if breach is not None and not beyond_chance(metric, now, base, rule.op):
        breach, zone = None, "recover"
    if breach is not None and rule.parts > 1:
        parts = _parts(rule, panes, labels, step_ms)
        mildest = rule.ladder()[0][1]
        agree = sum(
            v is not None and passes(v / base, rule.op, mildest) for v in parts[: rule.parts]
        )
        before = [v for v in parts[rule.parts :] if v is not None]
        if agree < rule.agree or not beyond_scatter(value, before, rule.parts):
            breach, zone = None, "recover"
    evidence = {"now": value, "baseline": base, "windows": len(past), "unit": metric.unit}
    return Judged(named, factor, n, zone, breach, evidence=evidence)


def _parts(rule: Change, panes: Panes, labels: Labels, step_ms: int) -> list[float | None]:
    """Values of the parts of window and baseline, newest first, on the scale of the window."""
    metric, length = METRICS[rule.metric], rule.window // rule.parts
    scale = rule.parts if metric.monotone else 1
    found: list[float | None] = []
    for k in range((_pieces(rule) + 1) * rule.parts):
        end = step_ms - k * length
        value = metric.read(panes.window(labels, end - length, end))
        found.append(None if value is None else value * scale)
    return found


def beyond_scatter(value: float, before: Sequence[float], parts: int) -> bool:
    """Whether a window's mean lies SCATTER_SIGMAS standard errors from what its parts were before.

    before: values of single parts. A mean of `parts` of them scatters by their deviation over the
    root of `parts`. False with fewer than MIN_PARTS, since nothing is known of the scatter.
    """
    if len(before) < MIN_PARTS:
        return False
    error = statistics.stdev(before) / math.sqrt(parts)
    return abs(value - statistics.fmean(before)) >= SCATTER_SIGMAS * error


def beyond_chance(metric: Metric, now: RawCell, base: float, op: Op) -> bool:
    """Whether a percentile's move stands on many events, not on two slow ones.

    If nothing had changed, a share of 1 - q of the events would lie above the old quantile (of q
    below it). True if the events beyond it are CHANCE_SIGMAS standard deviations of that binomial
    more. Always true for what is no percentile.
    """
    if metric.quantile is None:
        return True
    counts = buckets(now, metric.aggregates[0])
    n = sum(counts.values())
    upward = op in (">=", ">")
    share = 1 - metric.quantile if upward else metric.quantile
    beyond = sum(
        c for i, c in counts.items() if (histogram.value(i) > base) == upward
    )  # the bucket of the old quantile itself counts as below
    return beyond >= n * share + CHANCE_SIGMAS * math.sqrt(n * share * (1 - share)) + 1


def _absence(
    rule: Absence, panes: Panes, labels: Labels, named: dict[str, str], step_ms: int, now: RawCell
) -> Judged:
    metric: Metric = METRICS[rule.metric]
    seen = metric.read(now) or 0.0
    # Late events break a silence, but what was not there in time is no rate to be expected.
    expected = min(
        metric.read({a: piece[f"timely:{a}"] for a in metric.aggregates if piece}) or 0.0
        for piece in _past(rule, panes, labels, step_ms)
    )
    evidence = {"expected": expected}
    if seen > 0:
        return Judged(named, seen, int(seen), "ok", evidence=evidence)
    if expected >= rule.expected:
        return Judged(named, 0.0, 0, "breach", rule.severity, evidence=evidence)
    # Still nothing, but its own past has run out too: neither well nor a new breach.
    return Judged(named, 0.0, 0, "recover", evidence=evidence)


def _budget(
    rule: Budget, panes: Panes, labels: Labels, named: dict[str, str], step_ms: int
) -> Judged | None:
    period = period_at(rule, step_ms)
    cell = panes.window(labels, period.start_ms, step_ms)
    if not cell:
        return None
    spent, n = total(cell, "cost_nano_usd"), total(cell, "n")
    share = spent / int(rule.amount_usd * NANO)
    breach, zone = level_of(rule, share)
    if period.name:
        named = {**named, "period": period.name}
    evidence = {"spent_nano_usd": spent, "from_ms": period.start_ms}
    return Judged(named, share, n, zone, breach, evidence=evidence)


def _novelty(rule: Novelty, panes: Panes, step_ms: int) -> Iterator[Judged]:
    edge = step_ms - rule.window
    for group, members in panes.project(rule.group_by).items():
        named = dict(zip(rule.group_by, group, strict=True))
        values: dict[str, tuple[int, int]] = {}
        first: int | None = None
        for labels in members:
            old = panes.window(labels, edge - rule.baseline, edge)
            new = panes.window(labels, edge, step_ms)
            both = merge((old, new))
            if FIRST in both:
                first = both[FIRST] if first is None else min(first, both[FIRST])
            for value, (a, b) in _counts(rule, panes, labels, old, new).items():
                before = values.get(value, (0, 0))
                values[value] = (before[0] + a, before[1] + b)
        learned = first is not None and first <= edge - rule.learn
        for value, (old_n, new_n) in sorted(values.items()):
            labels_of = {**named, rule.dimension: value}
            if not value or value == "__other__" or (old_n == 0 and not learned):
                continue
            if old_n:
                if new_n:
                    yield Judged(labels_of, 0.0, new_n, "ok")
            elif new_n >= rule.min_count:
                yield Judged(labels_of, float(new_n), new_n, "breach", rule.severity)


def _counts(
    rule: Novelty, panes: Panes, labels: Labels, old: RawCell, new: RawCell
) -> Mapping[str, tuple[int, int]]:
    if rule.dimension in MAP_DIMENSIONS:
        name = f"map:{rule.dimension}"
        a, b = old.get(name, {}), new.get(name, {})
        return {v: (a.get(v, 0), b.get(v, 0)) for v in {*a, *b}}
    value = labels[panes.dimensions.index(rule.dimension)]
    return {value: (total(old, "n"), total(new, "n"))}
