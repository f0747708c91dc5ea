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


class Segments:
    """Stored series as the detector sees them: each app as a whole, and its largest tenants.

    window_s: length of the windows that `stored` holds.
    """

    def __init__(
        self, stored: Iterable[TenantSeries], *, window_s: int, settings: DriftSettings
    ) -> None:
        self._horizon_ms = settings.horizon_ms(window_s)
        self._largest = settings.segments
        self._tenants: dict[SeriesKey, list[tuple[str, Series, Mapping[int, int]]]] = {}
        self._apps: dict[SeriesKey, Series] = {}
        for s in stored:
            key = SeriesKey(s.app, SegmentKind.GLOBAL, "", s.feature, s.scheme)
            sizes = {t: sum(h.values()) for t, h in s.windows.items()}
            self._tenants.setdefault(key, []).append((s.tenant, s.windows, sizes))
        for key, tenants in self._tenants.items():
            self._apps[key] = _sum_series([windows for _, windows, _ in tenants])

    def at(self, t_ms: int) -> dict[SeriesKey, Series]:
        """The series with events in the window at `t_ms`. Size: events within the horizon.

        An app with one tenant has only its global series: the other would be its copy.
        """
        out: dict[SeriesKey, Series] = {}
        oldest = t_ms - self._horizon_ms
        for key, tenants in self._tenants.items():
            if not self._apps[key].get(t_ms):
                continue
            out[key] = self._apps[key]
            by_size = sorted(
                (
                    (-sum(n for t, n in sizes.items() if oldest <= t <= t_ms), tenant, windows)
                    for tenant, windows, sizes in tenants
                ),
                key=lambda part: part[:2],
            )
            present = [(tenant, windows) for size, tenant, windows in by_size if size]
            if len(present) < 2:
                continue
            for tenant, windows in present[: self._largest]:
                if windows.get(t_ms):
                    of_tenant = key._replace(segment_kind=SegmentKind.TENANT, segment=tenant)
                    out[of_tenant] = windows
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
    step_ms = key.window_s * 1000
    now = _stretch(windows, from_ms, t_ms + step_ms, step_ms)
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
        stretches = [_stretch(windows, v.from_ms, v.end_ms, step_ms) for v in reference]
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


def _stretch(windows: Series, from_ms: int, end_ms: int, step_ms: int) -> dict[Bin, int]:
    return merge([windows[t] for t in range(from_ms, end_ms, step_ms) if t in windows])


def _sum_series(parts: Sequence[Series]) -> dict[int, Histogram]:
    starts = {t for part in parts for t in part}
    return {t: merge([part[t] for part in parts if t in part]) for t in sorted(starts)}
