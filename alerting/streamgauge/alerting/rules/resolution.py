"""Which cells a rule reads and how far back: 10 s cells for fast rules, 60 s ones for long looks.

In: a rule. Out: the resolution of its cells and its horizon, in ms. Pure.
"""

from __future__ import annotations

from streamgauge.alerting.rules.durations import parse_duration
from streamgauge.alerting.rules.model import Budget, Rule

FINE_MS = 10_000
COARSE_MS = 60_000
COARSE_FROM_MS = 2 * 3_600_000
CALENDAR_MS = {"day": 25 * 3_600_000, "week": 8 * 86_400_000, "month": 32 * 86_400_000}
"""Longest span of a calendar period, a change of the clock included."""


def horizon_ms(rule: Rule) -> int:
    """How far before a step the rule looks."""
    if isinstance(rule, Budget):
        kind, _, length = rule.period.partition(":")
        return parse_duration(length) if length else CALENDAR_MS[kind]
    return rule.window + (getattr(rule, "baseline", 0) or 0)


def resolution_ms(rule: Rule) -> int:
    """10 000, or 60 000 if it looks back 2 h or more and everything in it is whole minutes."""
    if horizon_ms(rule) < COARSE_FROM_MS:
        return FINE_MS
    lengths = (rule.every, getattr(rule, "window", 0), getattr(rule, "baseline", 0))
    return COARSE_MS if all(ms % COARSE_MS == 0 for ms in lengths) else FINE_MS
