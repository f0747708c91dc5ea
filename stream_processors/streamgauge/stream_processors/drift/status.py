"""Where the drift detector stands, for `streamgauge status`: "drift warming up: n of m windows".

In: the store. Out: counts of streams by state, per app, and one line for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamgauge.storage.client import StoreClient
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.store import named_query


@dataclass(frozen=True, slots=True)
class AppDrift:
    """Streams of one app by state. ref_windows: the most any warming stream has, of ref_needed."""

    app: str
    warming_up: int
    quiet: int
    pending: int
    firing: int
    ref_windows: int
    ref_needed: int


def read_status(client: StoreClient, settings: DriftSettings) -> list[AppDrift]:
    """Where each app stands at the shortest window length, by name. May raise Retryable."""
    rows = client.query(named_query("status"), {"window_s": settings.cell_s})
    names = AppDrift.__slots__
    return [AppDrift(**{name: row[name] for name in names}) for row in rows]


def status_line(apps: Sequence[AppDrift], settings: DriftSettings) -> str:
    """One line for people.

    >>> status_line([], DriftSettings())
    'drift warming up: 0 of 14 windows of 300 s'
    """
    firing = sorted(a.app for a in apps if a.firing)
    if firing:
        return f"drift firing: {', '.join(firing)}"
    judging = [a for a in apps if a.quiet or a.pending]
    if not judging:
        n = max((a.ref_windows for a in apps), default=0)
        return f"drift warming up: {n} of {settings.min_windows} windows of {settings.cell_s} s"
    pending = sorted(a.app for a in apps if a.pending)
    if pending:
        return f"drift pending: {', '.join(pending)}"
    return f"drift quiet: {len(judging)} of {len(apps)} apps judged"
