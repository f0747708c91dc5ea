"""Streams of windows through the detector: warming up, thin windows, drift, replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.stream_processors.drift.bins import LOG2_SCHEME, log2_bin
from streamgauge.stream_processors.drift.detector import (
    Segments,
    TenantSeries,
    judge_window,
)
from streamgauge.stream_processors.drift.sequential import DriftState
from streamgauge.stream_processors.drift.settings import DAY_MS, DriftSettings
from streamgauge.stream_processors.drift.statistic import Histogram, merge
from streamgauge.stream_processors.drift.verdict import (
    ALL_TENANTS,
    ReferenceKind,
    SegmentKind,
    StreamKey,
    Verdict,
)

MIN5 = 300_000
T0 = 1_700_000_100_000 // DAY_MS * DAY_MS


def lengths(rng: np.random.Generator, n: int, *, log_mean: float = 6.0) -> Histogram:
    values = np.exp(rng.normal(log_mean, 1.0, n)).astype(int).tolist()
    return merge([{log2_bin(v): 1} for v in values])


def judge(
    series: list[TenantSeries],
    *,
    upto: int,
    settings: DriftSettings,
    window_s: int = 300,
    before: Mapping[StreamKey, list[Verdict]] | None = None,
    first: int = 0,
) -> dict[StreamKey, list[Verdict]]:
    """Verdicts of windows first..upto-1, as the closer would come to them."""
    out: dict[StreamKey, list[Verdict]] = defaultdict(list)
    for key, verdicts in (before or {}).items():
        out[key] = list(verdicts)
    segments = Segments(series, window_s=window_s, settings=settings)
    for i in range(first, upto):
        t = T0 + i * window_s * 1000
        past = {key: [v.past for v in verdicts] for key, verdicts in out.items()}
        for v in judge_window(segments.at(t), past, t_ms=t, window_s=window_s, settings=settings):
            out[v.key].append(v)
    return out


def one_app(windows: Mapping[int, Histogram], *, tenant: str = "default") -> TenantSeries:
    placed = {T0 + i * MIN5: h for i, h in windows.items()}
    return TenantSeries("chat", tenant, "input_tokens", LOG2_SCHEME, placed)


def test_warming_up_counts_windows_until_enough() -> None:
    rng = np.random.default_rng(1)
    series = one_app({i: lengths(rng, 300) for i in range(16)})
    (verdicts,) = judge([series], upto=16, settings=DriftSettings()).values()
    assert [v.ref_windows for v in verdicts] == list(range(16))
    assert [v.state.state.value for v in verdicts[:14]] == ["warming_up"] * 14
    assert verdicts[14].comparison is not None
    assert verdicts[14].ref_needed == 14


def test_thin_windows_are_carried_not_judged() -> None:
    rng = np.random.default_rng(2)
    windows = {i: lengths(rng, 300) for i in range(14)}
    windows |= {14: lengths(rng, 90), 15: lengths(rng, 90), 16: lengths(rng, 90)}
    (verdicts,) = judge([one_app(windows)], upto=17, settings=DriftSettings()).values()
    assert [v.comparison is not None for v in verdicts[14:]] == [False, False, True]
    assert (verdicts[16].from_ms, verdicts[16].n) == (T0 + 14 * MIN5, 270)


def test_silence_gives_no_verdict() -> None:
    rng = np.random.default_rng(3)
    series = one_app({0: lengths(rng, 300), 5: lengths(rng, 300)})
    (verdicts,) = judge([series], upto=6, settings=DriftSettings()).values()
    assert [v.t_ms for v in verdicts] == [T0, T0 + 5 * MIN5]


def test_a_shift_fires_within_four_windows_and_resolves_when_it_ends() -> None:
    rng = np.random.default_rng(4)
    windows = {i: lengths(rng, 400) for i in range(30)}
    windows |= {i: lengths(rng, 400, log_mean=6.7) for i in range(30, 40)}
    windows |= {i: lengths(rng, 400) for i in range(40, 52)}
    (verdicts,) = judge([one_app(windows)], upto=52, settings=DriftSettings()).values()
    states = [v.state.state for v in verdicts]
    assert DriftState.FIRING not in states[:30]
    assert DriftState.FIRING in states[30:34]
    assert states[39] is DriftState.FIRING
    assert DriftState.RESOLVED in states[40:52]
    assert all(v.comparison.w1_log2 == pytest.approx(1.0, abs=0.25)
               for v in verdicts[31:40] if v.comparison and v.comparison.w1_log2)  # fmt: skip


def test_drift_of_one_tenant_is_named() -> None:
    rng = np.random.default_rng(5)
    series = []
    for tenant, n in (("acme", 150), ("big", 2000), ("other", 800)):
        moved = 7.0 if tenant == "acme" else 6.0
        windows = {i: lengths(rng, n) for i in range(25)}
        windows |= {i: lengths(rng, n, log_mean=moved) for i in range(25, 31)}
        series.append(one_app(windows, tenant=tenant))
    verdicts = judge(series, upto=31, settings=DriftSettings())
    firing = {k.series.tenant for k, vs in verdicts.items() if vs[-1].state.state == "firing"}
    assert firing - {ALL_TENANTS} == {"acme"}
    kinds = {k.series.segment_kind for k in verdicts}
    assert kinds == {SegmentKind.GLOBAL, SegmentKind.TENANT}


def test_an_alarm_that_outlives_its_reference_becomes_the_new_normal() -> None:
    rng = np.random.default_rng(6)
    settings = DriftSettings(previous_s=30 * 300)
    windows = {i: lengths(rng, 400, log_mean=6.0 if i < 25 else 7.0) for i in range(90)}
    (verdicts,) = judge([one_app(windows)], upto=90, settings=settings).values()
    states = [v.state.state for v in verdicts]
    assert DriftState.FIRING in states[25:30]
    assert states[-1] in (DriftState.QUIET, DriftState.RESOLVED)


def test_the_same_hour_of_earlier_days_is_the_seasonal_reference() -> None:
    # Nights write long prompts: with the trailing day as reference that is noise, not news.
    rng = np.random.default_rng(7)
    windows = {
        T0 + i * 3_600_000: lengths(rng, 500, log_mean=6.0 + (1.0 if i % 24 < 8 else 0.0))
        for i in range(24 * 18)
    }
    series = TenantSeries("chat", "default", "input_tokens", LOG2_SCHEME, windows)
    settings = DriftSettings()
    verdicts = judge([series], upto=24 * 18, settings=settings, window_s=3600)
    seasonal = next(v for k, v in verdicts.items() if k.reference is ReferenceKind.SEASONAL)
    judged = [v for v in seasonal if v.comparison]
    assert len(judged) == 24 * 4
    assert {v.state.state for v in judged} <= {DriftState.QUIET, DriftState.PENDING}


def test_going_on_from_stored_verdicts_gives_the_same_verdicts() -> None:
    rng = np.random.default_rng(8)
    windows = {i: lengths(rng, 150 + 20 * (i % 7), log_mean=6 + (i > 25) * 0.5) for i in range(45)}
    series = [one_app(windows), one_app(dict(list(windows.items())[::-1]), tenant="acme")]
    whole = judge(series, upto=45, settings=DriftSettings())
    for stop in (1, 17, 30):
        half = judge(series, upto=stop, settings=DriftSettings())
        again = judge(series, upto=45, settings=DriftSettings(), before=half, first=stop)
        assert again == whole


def test_windows_that_do_not_fit_into_each_other_are_refused() -> None:
    with pytest.raises(Misconfigured, match="multiple of the first"):
        DriftSettings(windows_s=(300, 700))
    with pytest.raises(Misconfigured, match="STREAMGAUGE_DRIFT_WINDOWS_S is 'x'"):
        DriftSettings.from_env({"STREAMGAUGE_DRIFT_WINDOWS_S": "x"})
