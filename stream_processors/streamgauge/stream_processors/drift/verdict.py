"""The data of drift: what a stream is, and one verdict of it. A verdict row holds the whole state.

One stream = one feature of one segment at one window length against one kind of reference.
Not here: how a verdict comes about (detector.py), its columns (rows.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from streamgauge.stream_processors.drift.sequential import DriftState, StreamState
from streamgauge.stream_processors.drift.statistic import Z_CLIP, Comparison

DETECTOR: Final = "g-cusum/1"
"""Name and version of the law in verdict rows; a change of any figure is a new version."""
ALL_TENANTS: Final = "__all__"
"""Tenant of a global verdict: the app as a whole."""


class SegmentKind(StrEnum):
    """What a segment is a part by."""

    GLOBAL = "global"
    TENANT = "tenant"


class ReferenceKind(StrEnum):
    """What a window is compared with."""

    PREVIOUS = "previous"
    """the trailing windows"""
    SEASONAL = "seasonal"
    """the same hour of earlier days"""


class SeriesKey(NamedTuple):
    """One series of histograms over time."""

    app: str
    segment_kind: SegmentKind
    segment: str
    feature: str
    scheme: int

    @property
    def tenant(self) -> str:
        """The tenant column of its rows."""
        return self.segment if self.segment_kind is SegmentKind.TENANT else ALL_TENANTS


class StreamKey(NamedTuple):
    """One stream of verdicts."""

    series: SeriesKey
    window_s: int
    reference: ReferenceKind


@dataclass(frozen=True, slots=True)
class Past:
    """What later verdicts of the stream need to know of an earlier one; read back from its row.

    z: None if the stretch was not judged.
    """

    t_ms: int
    from_ms: int
    end_ms: int
    enough: bool
    z: float | None
    state: StreamState

    @property
    def clean(self) -> bool:
        """Whether later windows may be compared with this one.

        An alarmed window never is (slow drift would be learnt), nor one at the clip of z: the first
        window of an alarm is still `quiet`.
        """
        if self.state.state in (DriftState.PENDING, DriftState.FIRING):
            return False
        return self.z is None or self.z < Z_CLIP


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided when the window starting at `t_ms` closed.

    from_ms: where the judged stretch begins: t_ms, or earlier when thin windows were carried.
    enough: the stretch held enough events, so it counts as a window of later references.
    comparison: None while warming up or carrying. n: events of the stretch.
    ref_windows of ref_needed windows were there to compare with.
    """

    key: StreamKey
    t_ms: int
    from_ms: int
    n: int
    enough: bool
    ref_windows: int
    ref_needed: int
    state: StreamState
    comparison: Comparison | None = None

    @property
    def past(self) -> Past:
        """What the next verdicts need to know of it."""
        return Past(
            t_ms=self.t_ms,
            from_ms=self.from_ms,
            end_ms=self.t_ms + self.key.window_s * 1000,
            enough=self.enough,
            z=self.comparison.z if self.comparison else None,
            state=self.state,
        )
