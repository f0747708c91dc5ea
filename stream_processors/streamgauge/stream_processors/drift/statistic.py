"""How unlike its reference is a window: calibrated G, effect sizes, and the bins that moved.

In: histograms (bin -> count) of one feature: the window and the windows of its reference.
Out: a `Comparison`: G, its scale learnt from the reference's windows, p, z, effects, moved bins.
Not here: which windows are the reference (detector.py), alarms over time (sequential.py).

Windows of LLM traffic are not independent draws (sessions, tenants, bursts), so a plain chi-square
p-value fires always. Each reference window is therefore compared with the rest of the reference
(leave one out); that gives the over-dispersion tau (E[G] = df (1 + tau n_eff)) and the mean and
variance of G / (1 + tau n_eff), to which a scaled chi-square is fitted (Satterthwaite). The scale
is itself an estimate from m windows: that makes the law an F with (nu, m nu) degrees of freedom.
scipy.special only; scipy.stats is the tests' oracle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from streamgauge.stream_processors.drift.bins import (
    BINS_PER_OCTAVE,
    CATEGORY_SCHEME,
    LOG2_SCHEME,
    MISSING_BIN,
    MISSING_KEY,
    log2_low,
    log2_mid,
)

Bin: TypeAlias = int | str
Histogram: TypeAlias = Mapping[Bin, int]
Floats: TypeAlias = NDArray[np.float64]

GROUPS: Final = 32
"""A group of bins holds at least 1/32 of the reference, so that expected counts are not tiny."""
TOP_BINS: Final = 5
Z_CLIP: Final = 3.0
"""The far tail of a law estimated from few windows is not to be trusted."""
DIGITS: Final = 6
"""Every stored figure is rounded to this many decimals BEFORE it is used further."""


@dataclass(frozen=True, slots=True)
class MovedBin:
    """One group of bins: its share of the reference and of the window, its part of G (signed)."""

    label: str
    share_before: float
    share_after: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window against its reference.

    g: G statistic; df: its degrees of freedom; tau, scale, nu: the fitted law; dispersion: how much
    larger G is expected to be than without over-dispersion (1 = not at all);
    p: chance of a G at least as large without drift; z: its normal score, clipped at +-Z_CLIP;
    js: Jensen-Shannon distance, base 2, 0..1; w1_log2: Wasserstein-1 in log2 units, None for
    categories; mean_before/after: from the bins, None for categories or without known values.
    """

    n: int
    n_ref: int
    g: float
    df: int
    tau: float
    scale: float
    nu: float
    dispersion: float
    p: float
    z: float
    js: float
    w1_log2: float | None
    mean_before: float | None
    mean_after: float | None
    moved: tuple[MovedBin, ...]


def g_statistic(observed: Floats, reference: Floats) -> Floats:
    """G of rows of counts against rows of counts, both sides samples (2 x bins contingency table).

    Shapes (..., bins), broadcast. Equals scipy.stats.chi2_contingency(lambda_="log-likelihood",
    correction=False) per row; empty columns add nothing; an empty side gives 0.
    """
    xlogy = special.xlogy
    both = observed + reference
    n_o, n_r = observed.sum(-1), reference.sum(-1)
    cells = (xlogy(observed, observed) + xlogy(reference, reference) - xlogy(both, both)).sum(-1)
    margins = xlogy(n_o, n_o) + xlogy(n_r, n_r) - xlogy(n_o + n_r, n_o + n_r)
    g: Floats = np.maximum(2.0 * (cells - margins), 0.0)
    return g


def js_distance(a: Floats, b: Floats) -> float:
    """Jensen-Shannon distance, base 2, of two rows of counts; nan if one is empty."""
    if a.sum() == 0 or b.sum() == 0:
        return math.nan
    p, q = a / a.sum(), b / b.sum()
    m = (p + q) / 2
    divergence = (special.rel_entr(p, m) + special.rel_entr(q, m)).sum() / 2 / math.log(2)
    return math.sqrt(max(float(divergence), 0.0))


def w1_log2(a: Histogram, b: Histogram) -> float:
    """Wasserstein-1 between two log2-law histograms, in octaves: 1 = twice as long.

    nan if one is empty. Unknown values are left out: they have no place on the scale.
    """
    ints_a = {i: n for i, n in a.items() if isinstance(i, int) and i != MISSING_BIN}
    ints_b = {i: n for i, n in b.items() if isinstance(i, int) and i != MISSING_BIN}
    n_a, n_b = sum(ints_a.values()), sum(ints_b.values())
    if n_a == 0 or n_b == 0:
        return math.nan
    total = share = 0.0
    last = 0
    for i in sorted(ints_a.keys() | ints_b.keys()):
        total += abs(share) * (i - last)
        share += ints_a.get(i, 0) / n_a - ints_b.get(i, 0) / n_b
        last = i
    return total / BINS_PER_OCTAVE


def mean_of(histogram: Histogram) -> float | None:
    """Mean of a log2-law histogram, from its bins (within 4.5 %); None without known values."""
    known = [(i, n) for i, n in histogram.items() if isinstance(i, int) and i != MISSING_BIN]
    count = sum(n for _, n in known)
    if count == 0:
        return None
    return math.fsum(n * log2_mid(i) for i, n in known) / count


def merge(histograms: Sequence[Histogram]) -> dict[Bin, int]:
    """Sum of histograms: integer counts, so any order and any split give the same."""
    out: dict[Bin, int] = {}
    for histogram in histograms:
        for key, n in histogram.items():
            out[key] = out.get(key, 0) + n
    return out


def group_bins(reference: Histogram, window: Histogram, *, scheme: int) -> list[tuple[Bin, ...]]:
    """Bins put together so that each group holds at least 1/GROUPS of the reference.

    Numeric: neighbours, in order; what the reference never had joins the nearest group.
    Categories: each common key alone, the rare ones together, the unseen ones together.
    The bin of unknown values always stands alone.
    """
    need = max(sum(reference.values()) / GROUPS, 1.0)
    if scheme == CATEGORY_SCHEME:
        return _group_keys(reference, window, need)
    bins = sorted(
        i for i in reference.keys() | window.keys() if isinstance(i, int) and i != MISSING_BIN
    )
    groups: list[list[Bin]] = []
    filled = need
    for i in bins:
        if filled >= need:
            groups.append([])
            filled = 0.0
        groups[-1].append(i)
        filled += reference.get(i, 0)
    if len(groups) > 1 and filled < need:
        groups[-2].extend(groups.pop())
    out = [tuple(group) for group in groups]
    if reference.get(MISSING_BIN, 0) or window.get(MISSING_BIN, 0):
        out.append((MISSING_BIN,))
    return out


def _group_keys(reference: Histogram, window: Histogram, need: float) -> list[tuple[Bin, ...]]:
    known = sorted(str(k) for k in reference if k != MISSING_KEY)
    common = [k for k in known if reference[k] >= need]
    rare = tuple(k for k in known if reference[k] < need)
    unseen = tuple(sorted(str(k) for k in window if k not in reference and k != MISSING_KEY))
    groups: list[tuple[Bin, ...]] = [(k,) for k in common]
    groups.extend(g for g in (rare, unseen) if g)
    if reference.get(MISSING_KEY, 0) or window.get(MISSING_KEY, 0):
        groups.append((MISSING_KEY,))
    return groups


def count_groups(histogram: Histogram, groups: Sequence[tuple[Bin, ...]]) -> list[float]:
    """Counts of one histogram per group."""
    return [float(sum(histogram.get(b, 0) for b in group)) for group in groups]


def label(group: tuple[Bin, ...], *, scheme: int) -> str:
    """A group in words: `64..127`, `gpt-4o-mini`, `3 rare: a, b, c`, `unknown`."""
    if group[0] in (MISSING_BIN, MISSING_KEY):
        return "unknown"
    if scheme == CATEGORY_SCHEME:
        names = [str(k) for k in group]
        return names[0] if len(names) == 1 else f"{len(names)} keys: {', '.join(names[:3])}"
    first, last = int(group[0]), int(group[-1])
    low, high = math.ceil(log2_low(first)), math.ceil(log2_low(last + 1)) - 1
    return f"{low}..{max(low, high)}"


def compare(window: Histogram, reference: Sequence[Histogram], *, scheme: int) -> Comparison:
    """Compare a window with the windows of its reference (at least 2, none empty).

    Deterministic: the same counts give the same figures, whatever split they came from.
    Raises ValueError on an empty window or fewer than two reference windows.
    """
    if len(reference) < 2 or not window or not all(reference):
        raise ValueError("drift compares a non-empty window with at least two non-empty ones")
    pooled = merge(reference)
    groups = group_bins(pooled, window, scheme=scheme)
    now = np.array(count_groups(window, groups))
    cells = np.array([count_groups(h, groups) for h in reference])
    rest = cells.sum(0)
    n, n_ref = int(now.sum()), int(rest.sum())
    df = len(groups) - 1
    g = float(g_statistic(now, rest))
    tau, scale, nu = _fit(cells, rest, df)
    p = 1.0
    phi = 1 + tau * n * n_ref / (n + n_ref)
    if df > 0:
        p = float(special.fdtrc(nu, len(reference) * nu, g / phi / scale))
    z = float(np.clip(-special.ndtri(p), -Z_CLIP, Z_CLIP))
    numeric = scheme == LOG2_SCHEME
    return Comparison(
        n=n,
        n_ref=n_ref,
        g=round(g, DIGITS),
        df=df,
        tau=round(tau, 9),
        scale=round(scale, DIGITS),
        nu=round(nu, DIGITS),
        dispersion=round(phi * scale / max(df, 1), DIGITS),
        p=p,
        z=round(z, DIGITS),
        js=round(js_distance(now, rest), DIGITS),
        w1_log2=_rounded(w1_log2(window, pooled)) if numeric else None,
        mean_before=_rounded(mean_of(pooled)) if numeric else None,
        mean_after=_rounded(mean_of(window)) if numeric else None,
        moved=_moved(now, rest, groups, scheme=scheme),
    )


def _fit(cells: Floats, total: Floats, df: int) -> tuple[float, float, float]:
    """(tau, scale, nu) of the law of G, from each reference window against the rest of them."""
    if df == 0:
        return 0.0, 1.0, 1.0
    g = g_statistic(cells, total - cells)
    n = cells.sum(1)
    n_eff = n * (total.sum() - n) / total.sum()
    tau = max(0.0, float((g / df - 1).sum() / n_eff.sum())) if n_eff.sum() > 0 else 0.0
    flat = g / (1 + tau * n_eff)
    mean, variance = float(flat.mean()), float(flat.var(ddof=1))
    nu = float(df) if variance == 0 else min(float(df), max(1.0, 2 * mean**2 / variance))
    return tau, max(mean, float(df)), nu


def _moved(
    now: Floats, ref: Floats, groups: Sequence[tuple[Bin, ...]], *, scheme: int
) -> tuple[MovedBin, ...]:
    n, n_ref = now.sum(), ref.sum()
    expected = (now + ref) * n / (n + n_ref)
    part = 2 * (special.rel_entr(now, expected) - now + expected)
    signed = np.sign(now - expected) * part
    order = sorted(range(len(groups)), key=lambda i: (-part[i], i))[:TOP_BINS]
    return tuple(
        MovedBin(
            label=label(groups[i], scheme=scheme),
            share_before=round(float(ref[i] / n_ref), DIGITS),
            share_after=round(float(now[i] / n), DIGITS),
            contribution=round(float(signed[i]), DIGITS),
        )
        for i in order
        if part[i] > 0
    )


def _rounded(x: float | None) -> float | None:
    return None if x is None or math.isnan(x) else round(x, DIGITS)
