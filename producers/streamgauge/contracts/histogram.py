"""Histogram law, scheme 1: logarithmic buckets with 1 % relative error.

x > 0 falls into bucket ceil(ln x / ln gamma) with gamma = 101/99 and reads back as
2 gamma^i / (gamma + 1), within 1 % of x. x <= 0 falls into ZERO_BUCKET and reads back as 0.
Buckets are counts, so histograms add in any order to the same bytes. Unknown values: not counted.
Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

SCHEME = 1
GAMMA = 101 / 99
ZERO_BUCKET = -32768
MIN_BUCKET = -32767
MAX_BUCKET = 32767
LN_GAMMA = math.log(GAMMA)


def bucket(x: float) -> int:
    """Bucket of a finite value, as an Int16.

    Values below 1e-284 and above 4e284 share the outermost buckets: they are no measurements, but
    a hostile event may hold them (5e-324 is a float, and its logarithm would not fit).
    """
    if x <= 0:
        return ZERO_BUCKET
    return min(max(math.ceil(math.log(x) / LN_GAMMA), MIN_BUCKET), MAX_BUCKET)


def value(i: int) -> float:
    """Value that a bucket stands for, within 1 % of everything in it."""
    if i == ZERO_BUCKET:
        return 0.0
    return 2 * GAMMA**i / (GAMMA + 1)


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """Nearest-rank quantile, 0 < q <= 1: rank = ceil(q n), at least 1; None if nothing counted."""
    n = sum(counts.values())
    if n == 0:
        return None
    rank = max(1, math.ceil(q * n))
    seen = 0
    for i in sorted(counts):
        seen += counts[i]
        if seen >= rank:
            return value(i)
    raise AssertionError("counts changed while summing")
