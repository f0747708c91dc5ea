"""What drift watches: features read off a finished call, each with the law of its bins.

In: a request (a Struct; reads like an LlmRequest). Out: a bin per feature, and its place on the
scale of the law. A new feature is one more line in FEATURES.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from streamgauge.stream_processors.drift.bins import (
    CATEGORY_SCHEME,
    LOG2_SCHEME,
    category_bin,
    log2_bin,
)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature. read: its value of a request, None if unknown. scheme: law of its bins."""

    name: str
    scheme: int
    read: Callable[[Any], Any]


FEATURES: Final = (
    Feature("input_tokens", LOG2_SCHEME, lambda r: r.input_tokens),
    Feature("output_tokens", LOG2_SCHEME, lambda r: r.output_tokens),
    Feature("model", CATEGORY_SCHEME, lambda r: r.model),
)


def bin_of(feature: Feature, value: Any) -> int | str:
    """Bin of a value under the feature's law."""
    return log2_bin(value) if feature.scheme == LOG2_SCHEME else category_bin(value)


def place_of(feature: Feature, value: Any) -> float:
    """The value on the scale of its law: log2(x + 1); 0 for categories and unknown values."""
    if feature.scheme != LOG2_SCHEME or value is None:
        return 0.0
    return math.log2(value + 1)
