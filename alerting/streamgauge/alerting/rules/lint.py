"""What is refused although every single field is well formed.

In: a rule. Out: the complaints, each with the field it is about, so that the loader can point at
its line. A rule that can never fire, never end or never be evaluated in time is refused at load,
not found out during an incident. Pure.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from streamgauge.alerting.rules.durations import format_duration, parse_duration
from streamgauge.alerting.rules.kept import VARIABLES
from streamgauge.alerting.rules.metrics import DIMENSIONS, METRICS
from streamgauge.alerting.rules.model import (
    Absence,
    Budget,
    Change,
    Novelty,
    Ratio,
    Rule,
    Threshold,
)
from streamgauge.alerting.rules.resolution import FINE_MS, horizon_ms, resolution_ms

RESERVED = ("alertname", "severity", "rule", "test", "period")
TEMPLATE_NAMES = ("rule", "value", "threshold", "severity", "unit")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a rule. field: its name in the file."""

    field: str
    message: str


def is_monotone(rule: Rule) -> bool:
    """Whether more data in the open window can only bring the condition nearer."""
    if isinstance(rule, Threshold):
        return METRICS[rule.metric].monotone and rule.op in (">=", ">")
    return isinstance(rule, Budget | Novelty)


def fires_early(rule: Rule) -> bool:
    """Whether a rule is judged on open windows. Novelty only when asked to: it reads far back."""
    if rule.early is None:
        return is_monotone(rule) and not rule.for_ms and not isinstance(rule, Novelty)
    return rule.early


def lint(rule: Rule, kept_ms: Mapping[int, int]) -> list[Complaint]:
    """All complaints about one rule, in a stable order. kept_ms: kept.py."""
    return [*_times(rule, kept_ms), *_levels(rule), *_recover(rule), *_kind(rule), *_texts(rule)]


def _times(rule: Rule, kept_ms: Mapping[int, int]) -> Iterator[Complaint]:
    if not 10_000 <= rule.every <= 3_600_000:
        yield Complaint("every", f"{format_duration(rule.every)} is outside 10s..1h")
    for name in ("every", "window", "baseline"):
        ms = getattr(rule, name, 0)
        if ms % 10_000:
            yield Complaint(name, f"{format_duration(ms)} is no multiple of 10s, the finest cell")
        if name != "every" and hasattr(rule, name) and ms < 10_000:
            yield Complaint(name, "must be at least 10s")
    step = resolution_ms(rule)
    if horizon_ms(rule) > kept_ms[step]:
        yield Complaint(
            next(name for name in ("baseline", "window", "period") if hasattr(rule, name)),
            f"looks back {format_duration(horizon_ms(rule))}, but cells of {format_duration(step)} "
            f"are kept {format_duration(kept_ms[step])} ({VARIABLES[step]})"
            + ("; use multiples of 1m to look further" if step == FINE_MS else ""),
        )
    window, baseline = getattr(rule, "window", 0), getattr(rule, "baseline", 0)
    if baseline and window and baseline < window:
        yield Complaint("baseline", "is shorter than the window it is compared with")
    if rule.early and not is_monotone(rule):
        yield Complaint("early", "only counts, sums, budgets and novelty may fire on open windows")
    if rule.early and rule.for_ms:
        yield Complaint("early", 'cannot be combined with "for": waiting needs final windows')


def _levels(rule: Rule) -> Iterator[Complaint]:
    if isinstance(rule, Budget):
        if rule.severity:
            yield Complaint("severity", "a budget takes its severities from levels")
        yield from _ladder(rule)
        return
    if not isinstance(rule, Threshold | Ratio | Change):
        if rule.severity is None:
            yield Complaint("severity", "is missing; write info, ticket or page")
        return
    if (rule.value is None) == (not rule.levels):
        yield Complaint("value", 'exactly one of "value" and "levels" is needed')
        return
    if rule.levels and rule.severity:
        yield Complaint("severity", 'is given by "levels" already')
    if not rule.levels and rule.severity is None:
        yield Complaint("severity", "is missing; write info, ticket or page")
    yield from _ladder(rule)


def _ladder(rule: Threshold | Ratio | Change | Budget) -> Iterator[Complaint]:
    steps = [value for _, value in rule.ladder()]
    if not steps:
        yield Complaint("levels", "is empty")
    upward = rule.op in (">=", ">")
    ordered = all((a < b) if upward else (a > b) for a, b in pairwise(steps))
    if not ordered:
        yield Complaint(
            "levels",
            f"a harder severity must be {'higher' if upward else 'lower'}: {steps} is not monotone",
        )


def _recover(rule: Rule) -> Iterator[Complaint]:
    if rule.recover is None:
        return
    if not isinstance(rule, Threshold | Ratio | Change | Budget):
        yield Complaint("recover", f'has no meaning for kind "{rule.kind}"')
        return
    if not rule.ladder():
        return
    mildest = rule.ladder()[0][1]
    wrong = rule.recover > mildest if rule.op in (">=", ">") else rule.recover < mildest
    if wrong:
        yield Complaint("recover", f"{rule.recover:g} lies on the bad side of {mildest:g}")


def _kind(rule: Rule) -> Iterator[Complaint]:
    if isinstance(rule, Novelty) and rule.for_ms:
        yield Complaint("for", "a new value is new once: novelty cannot wait")
    if isinstance(rule, Novelty) and rule.dimension in rule.group_by:
        yield Complaint(
            "dimension", f'"{rule.dimension}" is in group_by: each value would be its own series'
        )
    if isinstance(rule, Absence) and not METRICS[rule.metric].monotone:
        yield Complaint("metric", f'"{rule.metric}" is no count: nothing can be missing from it')
    if isinstance(rule, Ratio):
        for severity, value in rule.ladder():
            if rule.op in (">=", ">") and (value > 1 or (value == 1 and rule.op == ">")):
                yield Complaint(
                    "levels" if rule.levels else "value",
                    f"a ratio never passes {value:g} ({severity}): can never fire",
                )
        for name, metric in (("bad", rule.bad), ("total", rule.total)):
            if not METRICS[metric].monotone:
                yield Complaint(name, f'"{metric}" is no count')
    if isinstance(rule, Change):
        pieces = rule.baseline // rule.window if rule.window else 0
        if rule.window and rule.baseline % rule.window:
            yield Complaint(
                "baseline", "must be a multiple of window: it is cut into pieces of that length"
            )
        if pieces < rule.min_windows:
            yield Complaint(
                "min_windows", f"{rule.min_windows} pieces are asked for, the baseline has {pieces}"
            )
        if rule.window % (rule.parts * 10_000):
            yield Complaint("parts", f"{rule.parts} parts of the window are no multiples of 10s")
        if rule.agree > rule.parts:
            yield Complaint("agree", f"{rule.agree} of {rule.parts} parts cannot agree")
        worse = [v for _, v in rule.ladder() if (v <= 1 if rule.op in (">=", ">") else v >= 1)]
        if rule.value is not None or rule.levels:
            for value in worse:
                yield Complaint(
                    "value", f"{value:g} times its own past is no change in the direction {rule.op}"
                )
    if isinstance(rule, Budget):
        if rule.period in ("day", "week", "month") and not rule.tz:
            yield Complaint(
                "tz", f'period "{rule.period}" begins at midnight somewhere: name the time zone'
            )
        if (
            rule.period.startswith("rolling:")
            and parse_duration(rule.period.partition(":")[2]) % 60_000
        ):
            yield Complaint("period", "must be a multiple of 1m")


def _texts(rule: Rule) -> Iterator[Complaint]:
    known = {*rule.group_by, *rule.labels, *TEMPLATE_NAMES}
    if isinstance(rule, Novelty):
        known.add(rule.dimension)
    if isinstance(rule, Budget):
        known |= {"period", "amount_usd"}
    for name, text in rule.annotations.items():
        try:
            parsed = [p[1:] for p in string.Formatter().parse(text) if p[1] is not None]
        except ValueError as e:
            yield Complaint("annotations", f'"{name}": {e}')
            continue
        for word, form, conversion in parsed:
            if form or conversion:
                yield Complaint(
                    "annotations", f'"{name}": {{{word}}} is text already: write it without a form'
                )
            if word not in known:
                yield Complaint(
                    "annotations",
                    f'"{name}" names {{{word}}}; known here: {", ".join(sorted(known))}',
                )
    for name in rule.labels:
        if name in RESERVED or name in DIMENSIONS:
            yield Complaint("labels", f'"{name}" is set by the engine')
