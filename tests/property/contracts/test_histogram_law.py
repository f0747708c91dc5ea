"""Histogram law, scheme 1: within 1 %, additive in any order."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamgauge.contracts import histogram

POSITIVE = st.floats(min_value=1e-12, max_value=1e15)
ANY = st.floats(min_value=-1e6, max_value=1e9)


@given(POSITIVE)
def test_a_value_reads_back_within_one_percent(x: float) -> None:
    assert math.isclose(histogram.value(histogram.bucket(x)), x, rel_tol=0.01 + 1e-9)


@given(st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False))
def test_every_finite_value_has_a_bucket_of_16_bits(x: float) -> None:
    assert -32768 < histogram.bucket(x) <= 32767


@given(st.floats(max_value=0, allow_nan=False))
def test_zero_and_below_read_back_as_zero(x: float) -> None:
    assert histogram.value(histogram.bucket(x)) == 0.0


@given(st.lists(ANY, max_size=30), st.lists(ANY, max_size=30))
def test_histograms_add_in_any_order_to_the_same_counts(a: list[float], b: list[float]) -> None:
    apart = Counter(map(histogram.bucket, a)) + Counter(map(histogram.bucket, b))
    assert apart == Counter(histogram.bucket(x) for x in reversed(a + b))


@given(st.lists(POSITIVE, min_size=1, max_size=60), st.floats(min_value=0.01, max_value=1))
def test_a_quantile_is_within_one_percent_of_the_nearest_rank(xs: list[float], q: float) -> None:
    exact = sorted(xs)[max(1, math.ceil(q * len(xs))) - 1]
    found = histogram.quantile(Counter(map(histogram.bucket, xs)), q)
    assert found is not None
    assert math.isclose(found, exact, rel_tol=0.01 + 1e-9)


def test_the_quantile_of_nothing_is_unknown() -> None:
    assert histogram.quantile({}, 0.5) is None
