"""A straight line through a figure, and how much of it may be growth. Pure.

    found = trend(events, cpu_us, over=(1e6, 20e6))
    found.most        0.04: with 97.5 % certainty it grows by at most 4 % from 1 to 20 million

Least squares. The bound is the upper end of the two-sided 95 % interval of the slope (Student's t),
the stricter reading of an upper 95 % bound, over the whole range and as a share of the level that
the line has at its beginning. Noise makes it wider: a noisy run misses, it never passes by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, mean

from scipy import stats

FEWEST = 20
"""Slices that a judged line needs."""
CERTAIN = 0.975


@dataclass(frozen=True, slots=True)
class Trend:
    """level: of the line where the range begins, in the figure's unit. growth, most: over the whole
    range, shares of the level: as the line has it, and its upper bound.
    """

    level: float
    growth: float
    most: float


def trend(x: Sequence[float], y: Sequence[float], *, over: tuple[float, float]) -> Trend:
    """The line through y at x, and its growth over a range of x.

    ValueError (StatisticsError): fewer than 3 points, all at one x, a level that is not above 0.
    """
    if len(x) < 3:
        raise ValueError(f"{len(x)} points: expected at least 3")
    slope, intercept = linear_regression(x, y)
    begin, end = over
    level = intercept + slope * begin
    if level <= 0:
        raise ValueError(f"the line begins at {level:g}: expected more than 0")
    rest = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    middle = mean(x)
    spread = sum((a - middle) ** 2 for a in x)
    error = math.sqrt(rest / (len(x) - 2) / spread)
    margin = float(stats.t.ppf(CERTAIN, len(x) - 2)) * error
    share = (end - begin) / level
    return Trend(level, slope * share, (slope + margin) * share)


def means(
    x: Sequence[float], y: Sequence[float], *, over: tuple[float, float], slices: int = FEWEST
) -> tuple[list[float], list[float]]:
    """Middle and mean of equal slices of a range of x, without those that have no point.

    Samples that follow closely upon each other say the same thing; a bound that took each for news
    would be too narrow.
    """
    begin, end = over
    width = (end - begin) / slices
    within: dict[int, list[float]] = {}
    for at, value in zip(x, y, strict=True):
        if begin <= at < end:
            within.setdefault(int((at - begin) / width), []).append(value)
    middles = [begin + (number + 0.5) * width for number in sorted(within)]
    return middles, [mean(within[number]) for number in sorted(within)]
