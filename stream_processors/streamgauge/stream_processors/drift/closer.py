"""Closes windows when the clock of the drift writers has passed them: reads, judges, writes.

In: ticks of the writer `drift` (what is stored up to when), the store. Out: verdicts.
The clock is contracts.tick_book.TickBook over ALL partitions of the events topic, whoever owns
them, so a closer knows that every histogram of a window is stored before it judges it. Every drift
process has a closer; the store lets one of them write each window.
Not here: the verdicts themselves (detector.py), histograms (processor.py).
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Protocol

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Misconfigured, Retryable
from streamgauge.stream_processors.drift.detector import Segments, TenantSeries, judge_window
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.verdict import Past, StreamKey, Verdict

log = logging.getLogger(__name__)

WINDOWS_A_BLOCK: Final = 288
"""Windows judged per read of the store while catching up."""
ROUND_S: Final = 1.0
RETRY_S: Final = 2.0


class Store(Protocol):
    """drift.store.DriftStore; a port, so that closing can be tested without a server."""

    def position_s(self, window_s: int) -> int:
        """End of the last closed window."""

    def first_s(self, *, from_s: int) -> int:
        """Start of the oldest histogram at or after `from_s`; 0 if there is none."""

    def histograms(self, window_s: int, *, from_s: int, to_s: int) -> list[TenantSeries]:
        """Stored histograms."""

    def past(self, window_s: int, *, from_s: int, to_s: int) -> dict[StreamKey, list[Past]]:
        """Stored verdicts."""

    def append(
        self,
        window_s: int,
        verdicts: list[Verdict],
        *,
        expected_s: int,
        position_s: int,
        written_on: date,
        bar: float,
    ) -> bool:
        """Store verdicts and position."""


class SourceClock(Protocol):
    """Event time up to which everything is stored, in ms; None while that is unknown."""

    def read_ms(self) -> int | None:
        """The clock now. May block up to a second for news; may raise Retryable, Misconfigured."""


@dataclass(slots=True)
class Closer:
    """Judges every window of every length once its end has passed."""

    store: Store
    settings: DriftSettings
    clock: Clock
    _position_s: dict[int, int] = field(default_factory=dict)

    def close_upto(self, clock_ms: int) -> int:
        """Close all windows that end by `clock_ms`; how many were closed. May raise Retryable."""
        return sum(self._close(window_s, clock_ms) for window_s in self.settings.windows_s)

    def _close(self, window_s: int, clock_ms: int) -> int:
        target_s = clock_ms // 1000 // window_s * window_s
        closed = 0
        while target_s > self._position_s.get(window_s, 0):
            stored_s = self.store.position_s(window_s)
            self._position_s[window_s] = stored_s
            if stored_s >= target_s:
                return closed
            # Spans without events are stepped over: one stray event of 2015 is not a year's work.
            start_s = self.store.first_s(from_s=stored_s) // window_s * window_s or target_s
            if not stored_s and start_s >= target_s:
                return closed
            end_s = min(target_s, start_s + WINDOWS_A_BLOCK * window_s)
            verdicts = self._judge(window_s, start_s, end_s) if start_s < end_s else []
            today = datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC).date()
            mine = self.store.append(
                window_s,
                verdicts,
                expected_s=stored_s,
                position_s=end_s,
                written_on=today,
                bar=self.settings.thresholds.bar,
            )
            if not mine:
                log.info("verdicts_refused", extra={"window_s": window_s, "start_s": start_s})
                return closed
            closed += max(0, end_s - start_s) // window_s
            self._position_s[window_s] = end_s
        return closed

    def _judge(self, window_s: int, start_s: int, end_s: int) -> list[Verdict]:
        """Verdicts of the windows in [start_s, end_s), one after another."""
        horizon_s = self.settings.horizon_ms(window_s) // 1000
        oldest_s = max(0, start_s - self.settings.reads_back_ms(window_s) // 1000)
        stored = self.store.histograms(window_s, from_s=oldest_s, to_s=end_s)
        past: dict[StreamKey, list[Past]] = defaultdict(list)
        past.update(self.store.past(window_s, from_s=start_s - horizon_s, to_s=start_s))
        segments = Segments(stored, window_s=window_s, settings=self.settings)
        verdicts: list[Verdict] = []
        for t_s in range(start_s, end_s, window_s):
            for verdict in judge_window(
                segments.at(t_s * 1000),
                past,
                t_ms=t_s * 1000,
                window_s=window_s,
                settings=self.settings,
            ):
                past[verdict.key].append(verdict.past)
                verdicts.append(verdict)
        return verdicts

    def run(self, source: SourceClock, stop: threading.Event) -> None:
        """Close windows until `stop`; waits out a store or broker that is away, a topic deleted.

        The worker beside it refuses at its start what is misconfigured for good.
        """
        while not stop.is_set():
            try:
                clock_ms = source.read_ms()
                closed = self.close_upto(clock_ms) if clock_ms is not None else 0
            except (Retryable, Misconfigured) as e:
                log.warning("closer_waits", extra={"error": str(e)})
                stop.wait(RETRY_S)
                continue
            if closed:
                log.debug("windows_closed", extra={"n": closed, "clock_ms": clock_ms})
            stop.wait(ROUND_S)
