"""Verdicts, as a function of stored histograms and of the verdicts before them.

In: per series the histograms of closed windows; per stream its past verdicts (newest last).
Out: the verdicts of the next window. Nothing else: no clock, no store, no memory of its own, so a
restart or a replay over the same rows gives the same verdicts.
Not here: the statistic (statistic.py), the states (sequential.py), when to close (closer.py).

Choices, with their reasons:
- A thin window is not judged; its events are carried into the next (30 events pass every test).
- A window without events gives no verdict: silence is the business of absence rules.
- A window in alarm is no reference. But once an alarm has lasted so long that too few others are
  within reach, the new normal becomes the reference: `previous` (a day) then resolves by itself,
  `seasonal` after its 28 days.
- Segments are the largest tenants of an app over the horizon; global is the sum over all tenants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streamgauge.stream_processors.drift.sequential import StreamState, step, warming
from streamgauge.stream_processors.drift.settings import DAY_MS, DriftSettings
from streamgauge.stream_processors.drift.statistic import (
    Bin,
    Comparison,
    Histogram,
    compare,
    merge,
)
from streamgauge.stream_processors.drift.verdict import (
    Past,
    ReferenceKind,
    SegmentKind,
    SeriesKey,
    StreamKey,
    Verdict,
)

Series: TypeAlias = Mapping[int, Histogram]
"""Histograms of one series by window start, ms. A window without events is absent or empty."""


@dataclass(frozen=True, slots=True)
class TenantSeries:
    """Stored histograms of one tenant's part of an app."""

    app: str
    tenant: str
    feature: str
    scheme: int
    windows: Series


def references(window_s: int, settings: DriftSettings) -> tuple[ReferenceKind, ...]:
    """The references that windows of this length are compared with."""
    if window_s >= settings.seasonal_from_s:
        return (ReferenceKind.PREVIOUS, ReferenceKind.SEASONAL)
    return (ReferenceKind.PREVIOUS,)


def split_segments(
    stored: Iterable[TenantSeries], *, t_ms: int, settings: DriftSettings, window_s: int
) -> dict[SeriesKey, Series]:
    """Global series and those of the largest tenants, over the horizon up to the window at `t_ms`.

    An app with one tenant has only its global series: the other would be its copy.
    """
    oldest = t_ms - settings.horizon_ms(window_s)
    parts: dict[tuple[str, str, int], list[tuple[str, Series]]] = {}
    for s in stored:
        windows: Series = {t: h for t, h in s.windows.items() if oldest <= t <= t_ms and h}
        if windows:
            parts.setdefault((s.app, s.feature, s.scheme), []).append((s.tenant, windows))
    out: dict[SeriesKey, Series] = {}
    for (app, feature, scheme), tenants in sorted(parts.items()):
        key = SeriesKey(app, SegmentKind.GLOBAL, "", feature, scheme)
        out[key] = _sum_series([windows for _, windows in tenants])
        if len(tenants) < 2:
            continue
        by_size = sorted(tenants, key=lambda part: (-_events(part[1]), part[0]))
        for tenant, windows in by_size[: settings.segments]:
            out[SeriesKey(app, SegmentKind.TENANT, tenant, feature, scheme)] = windows
    return out


def judge_window(
    series: Mapping[SeriesKey, Series],
    past: Mapping[StreamKey, Sequence[Past]],
    *,
    t_ms: int,
    window_s: int,
    settings: DriftSettings,
) -> list[Verdict]:
    """Verdicts of the window starting at `t_ms`, for every series with events in it, by key."""
    return [
        _judge(
            StreamKey(key, window_s, reference),
            windows,
            past.get(StreamKey(key, window_s, reference), ()),
            t_ms=t_ms,
            settings=settings,
        )
        for key, windows in sorted(series.items())
        if windows.get(t_ms)
        for reference in references(window_s, settings)
    ]


def _judge(
    key: StreamKey,
    windows: Series,
    past: Sequence[Past],
    *,
    t_ms: int,
    settings: DriftSettings,
) -> Verdict:
    last = past[-1] if past else None
    from_ms = t_ms
    oldest = t_ms - settings.horizon_ms(key.window_s)
    if last is not None and not last.enough and last.from_ms >= oldest:
        from_ms = last.from_ms
    now = _stretch(windows, from_ms, t_ms + key.window_s * 1000)
    n = sum(now.values())
    is_global = key.series.segment_kind is SegmentKind.GLOBAL
    least = settings.min_events_global if is_global else settings.min_events_segment
    reference = pick_reference(key, past, from_ms=from_ms, t_ms=t_ms, settings=settings)
    before = last.state if last else None
    comparison: Comparison | None = None
    enough = n >= least
    if len(reference) < settings.min_windows:
        state = warming(before, t_ms=t_ms)
    elif not enough:
        state = before or warming(None, t_ms=t_ms)
    else:
        stretches = [_stretch(windows, v.from_ms, v.end_ms) for v in reference]
        comparison = compare(now, [h for h in stretches if h], scheme=key.series.scheme)
        state = _next_state(before, comparison, t_ms=t_ms, settings=settings)
    return Verdict(
        key=key,
        t_ms=t_ms,
        from_ms=from_ms,
        n=n,
        enough=enough,
        ref_windows=len(reference),
        ref_needed=settings.min_windows,
        state=state,
        comparison=comparison,
    )


def pick_reference(
    key: StreamKey,
    past: Sequence[Past],
    *,
    from_ms: int,
    t_ms: int,
    settings: DriftSettings,
) -> list[Past]:
    """The earlier windows that the stretch from `from_ms` to the window at `t_ms` is held to."""
    reach = settings.previous_s * 1000
    if key.reference is ReferenceKind.SEASONAL:
        reach = settings.seasonal_days * DAY_MS
    oldest = t_ms - reach
    ready = [v for v in past if v.enough and v.from_ms >= oldest and v.end_ms <= from_ms]
    if key.reference is ReferenceKind.SEASONAL:
        ready = [v for v in ready if v.t_ms % DAY_MS == t_ms % DAY_MS]
    clean = [v for v in ready if v.clean]
    return (
        clean if len(clean) >= settings.min_windows or len(ready) < settings.min_windows else ready
    )


def _next_state(
    before: StreamState | None, comparison: Comparison, *, t_ms: int, settings: DriftSettings
) -> StreamState:
    thresholds = settings.thresholds
    moved = comparison.w1_log2 is not None and comparison.w1_log2 >= thresholds.min_w1_log2
    return step(
        before,
        z=comparison.z,
        p=comparison.p,
        large_enough=moved or comparison.js >= thresholds.min_js,
        t_ms=t_ms,
        thresholds=thresholds,
    )


def _stretch(windows: Series, from_ms: int, end_ms: int) -> dict[Bin, int]:
    return merge([h for t, h in windows.items() if from_ms <= t < end_ms])


def _sum_series(parts: Sequence[Series]) -> dict[int, Histogram]:
    starts = {t for part in parts for t in part}
    return {t: merge([part[t] for part in parts if t in part]) for t in sorted(starts)}


def _events(windows: Series) -> int:
    return sum(sum(h.values()) for h in windows.values())
