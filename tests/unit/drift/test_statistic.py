"""The statistic against scipy.stats, against hand-made numbers, and under no drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from streamgauge.stream_processors.drift import statistic
from streamgauge.stream_processors.drift.bins import (
    CATEGORY_SCHEME,
    LOG2_SCHEME,
    MISSING_BIN,
    log2_bin,
    log2_low,
)


def draw(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> dict[statistic.Bin, int]:
    values = np.exp(rng.normal(6.0 + shift, 1.0, n)).astype(int)
    out: dict[statistic.Bin, int] = {}
    for v in values.tolist():
        out[log2_bin(v)] = out.get(log2_bin(v), 0) + 1
    return out


def test_log2_bins_hold_what_their_bounds_say() -> None:
    for x in [*range(5000), 10**6, 2**31 - 1]:
        i = log2_bin(x)
        assert log2_low(i) <= x + 1e-6 * (x + 1)
        assert x + 1 < (log2_low(i + 1) + 1) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_g_equals_scipys_log_likelihood_contingency_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 40, 12).astype(float)
    b = rng.integers(0, 400, 12).astype(float)
    a[3] = b[3] = 0  # an empty column: scipy needs it dropped
    keep = a + b > 0
    oracle = stats.chi2_contingency(
        np.vstack([a[keep], b[keep]]), lambda_="log-likelihood", correction=False
    )
    assert float(statistic.g_statistic(a, b)) == pytest.approx(oracle.statistic, rel=1e-9)


def test_js_equals_scipys() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 50, 20).astype(float), rng.integers(0, 500, 20).astype(float)
    assert statistic.js_distance(a, b) == pytest.approx(float(jensenshannon(a, b, base=2)))


def test_w1_equals_scipys_on_bin_numbers() -> None:
    rng = np.random.default_rng(8)
    a, b = draw(rng, 300), draw(rng, 3000, shift=0.4)
    oracle = stats.wasserstein_distance(list(a), list(b), list(a.values()), list(b.values()))
    assert statistic.w1_log2(a, b) == pytest.approx(oracle / 8)


def test_twice_as_long_reads_as_one_octave() -> None:
    assert statistic.w1_log2({80: 5, MISSING_BIN: 9}, {88: 70}) == 1.0


def test_p_is_the_f_tail_of_the_fitted_scale() -> None:
    rng = np.random.default_rng(1)
    reference = [draw(rng, 400) for _ in range(14)]
    c = statistic.compare(draw(rng, 400, shift=0.1), reference, scheme=LOG2_SCHEME)
    phi = 1 + c.tau * c.n * c.n_ref / (c.n + c.n_ref)
    p = stats.f.sf(c.g / phi / c.scale, c.nu, 14 * c.nu)
    assert c.p == pytest.approx(p, rel=1e-4)
    assert c.z == pytest.approx(min(3.0, stats.norm.isf(p)), abs=1e-4)


def test_without_drift_z_exceeds_its_quantiles_as_often_as_it_should() -> None:
    rng = np.random.default_rng(2)
    z = []
    for _ in range(400):
        reference = [draw(rng, int(rng.integers(200, 600))) for _ in range(14)]
        z.append(statistic.compare(draw(rng, 400), reference, scheme=LOG2_SCHEME).z)
    # 400 draws: 3 sd about 5 % is 1.7..8.3 %, about 50 % is 42..58 %; z is a little conservative.
    assert 0.005 <= np.mean(np.array(z) > 1.645) <= 0.083
    assert 0.35 <= np.mean(np.array(z) > 0) <= 0.58


def test_over_dispersed_windows_do_not_alarm_as_the_plain_test_does() -> None:
    # Sessions: every value comes 10 times, so the plain chi-square is 10 times too large.
    rng = np.random.default_rng(3)

    def bursty() -> dict[statistic.Bin, int]:
        return {b: 10 * n for b, n in draw(rng, 60).items()}

    z, plain = [], []
    for _ in range(200):
        reference = [bursty() for _ in range(20)]
        c = statistic.compare(bursty(), reference, scheme=LOG2_SCHEME)
        z.append(c.z)
        plain.append(float(stats.chi2.sf(c.g, c.df)))
    assert np.mean(np.array(plain) < 0.05) > 0.95
    assert np.mean(np.array(z) > 1.645) <= 0.1


def test_a_clear_shift_is_clipped_at_three_and_names_the_bins_that_moved() -> None:
    rng = np.random.default_rng(4)
    reference = [draw(rng, 400) for _ in range(14)]
    c = statistic.compare(draw(rng, 400, shift=1.0), reference, scheme=LOG2_SCHEME)
    assert c.z == statistic.Z_CLIP
    assert c.w1_log2 == pytest.approx(1.0 / math.log(2), rel=0.15)
    assert c.mean_before is not None
    assert c.mean_after is not None
    assert c.mean_after > 2 * c.mean_before
    grew = max(c.moved, key=lambda m: m.contribution)
    assert grew.share_after > grew.share_before
    assert int(grew.label.split("..")[0]) > c.mean_before


def test_unknown_values_are_a_bin_of_their_own() -> None:
    reference: list[statistic.Histogram] = [{50: 100, 60: 100}] * 14
    c = statistic.compare({50: 50, 60: 50, MISSING_BIN: 100}, reference, scheme=LOG2_SCHEME)
    assert c.z == statistic.Z_CLIP
    assert c.moved[0].label == "unknown"
    assert (c.moved[0].share_before, c.moved[0].share_after) == (0.0, 0.5)


def test_a_new_category_is_named() -> None:
    reference: list[statistic.Histogram] = [{"gpt-4o": 150, "gpt-4o-mini": 50}] * 14
    c = statistic.compare(
        {"gpt-4o": 100, "gpt-4o-mini": 50, "new-model": 50}, reference, scheme=CATEGORY_SCHEME
    )
    assert c.z == statistic.Z_CLIP
    assert c.moved[0].label == "new-model"
    assert c.w1_log2 is None
    assert c.mean_before is None


def test_one_value_only_is_no_drift() -> None:
    c = statistic.compare({40: 300}, [{40: 200}] * 14, scheme=LOG2_SCHEME)
    assert (c.df, c.g, c.p) == (0, 0.0, 1.0)


def test_groups_hold_their_share_of_the_reference() -> None:
    rng = np.random.default_rng(5)
    reference = draw(rng, 5000)
    window = draw(rng, 300)
    groups = statistic.group_bins(reference, window, scheme=LOG2_SCHEME)
    counts = statistic.count_groups(reference, groups)
    assert min(counts) >= 5000 / statistic.GROUPS
    assert sum(counts) == 5000
    assert sum(statistic.count_groups(window, groups)) == 300


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="non-empty"):
        statistic.compare({}, [{1: 1}, {1: 1}], scheme=LOG2_SCHEME)
