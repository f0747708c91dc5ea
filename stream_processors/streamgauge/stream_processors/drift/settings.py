"""Settings of drift: windows, references, thresholds. Frozen; read from the environment once.

STREAMGAUGE_DRIFT_WINDOWS_S     window lengths, seconds, `300,3600`; multiples of the first
STREAMGAUGE_DRIFT_MIN_WINDOWS   reference windows needed before anything is judged (at least 2)
STREAMGAUGE_DRIFT_MIN_EVENTS    events a window needs to be judged; fewer are carried into the next
STREAMGAUGE_DRIFT_PREVIOUS_S    how far back the trailing reference reaches, seconds
STREAMGAUGE_DRIFT_SEGMENTS      how many tenants per app get streams of their own (the largest)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgauge.contracts.environment import number
from streamgauge.contracts.errors import Misconfigured
from streamgauge.stream_processors.drift.sequential import Thresholds

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What the detector compares. Units are in the names; counts are of windows or events."""

    windows_s: tuple[int, ...] = (300, 3600)
    min_windows: int = 14
    min_events_global: int = 200
    min_events_segment: int = 100
    previous_s: int = 86_400
    seasonal_days: int = 28
    seasonal_from_s: int = 3600
    """shortest window that is also compared with the same hour of earlier days"""
    segments: int = 8
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        """Misconfigured unless the windows fit into each other and into a day."""
        first = self.windows_s[0] if self.windows_s else 0
        if first < 1 or any(w % first or DAY_MS // 1000 % w for w in self.windows_s):
            raise Misconfigured(
                f"drift windows {self.windows_s} s: each must divide a day "
                "and be a multiple of the first",
                hint="STREAMGAUGE_DRIFT_WINDOWS_S=300,3600",
            )
        if self.min_windows < 2:
            raise Misconfigured(
                f"STREAMGAUGE_DRIFT_MIN_WINDOWS is {self.min_windows}, at least 2 are needed"
            )

    @property
    def cell_s(self) -> int:
        """Width of a stored histogram: the shortest window, of which the others are sums."""
        return self.windows_s[0]

    def horizon_ms(self, window_s: int) -> int:
        """How far back the references of a window length reach."""
        seasonal = self.seasonal_days * DAY_MS if window_s >= self.seasonal_from_s else 0
        return max(self.previous_s * 1000, seasonal)

    def reads_back_ms(self, window_s: int) -> int:
        """How far back histograms are read: a reference window that was carried over thin ones may
        itself begin a horizon before the first reference."""
        return 2 * self.horizon_ms(window_s)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> DriftSettings:
        """The settings in the environment; Misconfigured names the variable that is wrong."""
        default = cls()
        windows = env.get("STREAMGAUGE_DRIFT_WINDOWS_S")

        def whole(name: str, otherwise: int, low: int, high: int) -> int:
            return number(env, name, otherwise, low, high, int)

        least = whole("STREAMGAUGE_DRIFT_MIN_EVENTS", default.min_events_global, 0, 1_000_000_000)
        return cls(
            windows_s=_numbers(windows) if windows else default.windows_s,
            min_windows=whole("STREAMGAUGE_DRIFT_MIN_WINDOWS", default.min_windows, 2, 100_000),
            min_events_global=least,
            min_events_segment=min(default.min_events_segment, least),
            previous_s=whole("STREAMGAUGE_DRIFT_PREVIOUS_S", default.previous_s, 0, YEAR_S),
            segments=whole("STREAMGAUGE_DRIFT_SEGMENTS", default.segments, 0, 10_000),
        )


def _numbers(raw: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in raw.split(",")}))
    except ValueError:
        raise Misconfigured(
            f"STREAMGAUGE_DRIFT_WINDOWS_S is {raw!r}, expected seconds with commas",
            hint="STREAMGAUGE_DRIFT_WINDOWS_S=300,3600",
        ) from None
