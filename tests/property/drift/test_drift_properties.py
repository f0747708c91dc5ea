"""Histograms of any split of a stream merge to the same bytes, and so do the verdicts over them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from streamgauge.stream_processors.drift.bins import LOG2_SCHEME, log2_bin
from streamgauge.stream_processors.drift.statistic import Bin, compare, merge

values = st.lists(st.none() | st.integers(0, 2**31 - 1) | st.integers(0, 400), max_size=80)
cuts = st.lists(st.integers(0, 80), max_size=5)


def histogram(batch: list[int | None]) -> dict[Bin, int]:
    return merge([{log2_bin(x): 1} for x in batch])


def split(batch: list[int | None], at: list[int]) -> list[dict[Bin, int]]:
    bounds = [0, *sorted(min(c, len(batch)) for c in at), len(batch)]
    return [histogram(batch[a:b]) for a, b in pairwise(bounds)]


@given(values, cuts)
def test_any_split_merges_to_the_same_histogram(batch: list[int | None], at: list[int]) -> None:
    assert merge(split(batch, at)[::-1]) == histogram(batch)


@given(st.lists(values.filter(bool), min_size=3, max_size=6), cuts)
@settings(deadline=None)
def test_any_split_gives_the_same_comparison_to_the_last_bit(
    windows: list[list[int | None]], at: list[int]
) -> None:
    whole = compare(histogram(windows[0]), [histogram(w) for w in windows[1:]], scheme=LOG2_SCHEME)
    parts = [merge(split(w, at)[::-1]) for w in windows]
    assert repr(compare(parts[0], parts[1:], scheme=LOG2_SCHEME)) == repr(whole)


@given(st.lists(values.filter(bool), min_size=3, max_size=6))
@settings(deadline=None)
def test_figures_are_in_their_ranges(windows: list[list[int | None]]) -> None:
    c = compare(histogram(windows[0]), [histogram(w) for w in windows[1:]], scheme=LOG2_SCHEME)
    assert c.g >= 0
    assert 0 <= c.p <= 1
    assert -3 <= c.z <= 3
    assert 0 <= c.js <= 1
    assert c.w1_log2 is None or c.w1_log2 >= 0
