"""Where the drift detector stands, for `streamgauge status`: who is judged, who is warming up.

In: the store. Out: counts of streams by state, per app.
"""

from __future__ import annotations

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

    @property
    def judged(self) -> bool:
        """Whether any stream of the app has enough history."""
        return self.quiet + self.pending + self.firing > 0


def read_status(client: StoreClient, settings: DriftSettings) -> list[AppDrift]:
    """Where each app stands at the shortest window length, by name. May raise Retryable."""
    rows = client.query(named_query("status"), {"window_s": settings.cell_s})
    names = AppDrift.__slots__
    return [AppDrift(**{name: row[name] for name in names}) for row in rows]
