"""Bucket laws of drift histograms: which bin a value falls into, and what a bin stands for.

Decides: the bin id of a value. In: one value of one feature, or None. Out: a bin id that never
depends on other data, so histograms of any producer, partition or year add up exactly.
Not here: the 1 % latency law of `windows` (contracts.histogram, scheme 1).

A law is named by its `scheme` number, which is part of the row's key: a changed law is a new
number and is never added to an old one. Unknown (None) is a bin of its own: schema drift is drift.
"""

from __future__ import annotations

import math
import sys
from typing import Final

LOG2_SCHEME: Final = 2
"""floor(8 * log2(x + 1)): 9 % wide bins, for counts and sizes (x >= 0)."""
CATEGORY_SCHEME: Final = 4
"""The value itself is the bin: model, provider, finish reason."""

BINS_PER_OCTAVE: Final = 8
MAX_LOG2_BIN: Final = BINS_PER_OCTAVE * 64 - 1
MISSING_BIN: Final = 65535
"""Bin of an unknown value in the numeric laws."""
MISSING_KEY: Final = ""
"""Bin of an unknown value in the categorical law (the wire never uses "" for a value)."""


def log2_bin(x: float | None) -> int:
    """Bin of a count or size; None is MISSING_BIN, negative counts as 0.

    >>> [log2_bin(x) for x in (0, 1, 3, 1000, None)]
    [0, 8, 16, 79, 65535]
    """
    if x is None:
        return MISSING_BIN
    if x <= 0:
        return 0
    return min(math.floor(BINS_PER_OCTAVE * math.log2(x + 1)), MAX_LOG2_BIN)


def log2_low(i: int) -> float:
    """Smallest value of a bin of the log2 law.

    >>> log2_low(16)
    3.0
    """
    return float(2 ** (i / BINS_PER_OCTAVE) - 1)


def log2_mid(i: int) -> float:
    """Value that a bin stands for: its middle on the log scale, within 4.5 % of x + 1."""
    return float(2 ** ((i + 0.5) / BINS_PER_OCTAVE) - 1)


def category_bin(x: str | None) -> str:
    """Bin of a category: the value, or MISSING_KEY. Interned, since the same few come again."""
    return MISSING_KEY if x is None else sys.intern(x)
