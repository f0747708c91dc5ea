"""What the closer reads from and writes to the store: histograms, verdicts, its position.

The position is the marker of `drift_verdicts`: key `verdicts/<window_s>`, value = end of the last
closed window in epoch seconds. Verdicts go in by the same compare-and-set as every sink: of two
closers one is refused, so a window is judged once, and verdicts and position land together.
Not here: judging (detector.py), when (closer.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import files
from typing import Any, Final

from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import InsertOutcome, SinkWriter, build_block
from streamgauge.stream_processors.drift.detector import TenantSeries
from streamgauge.stream_processors.drift.rows import histogram_of, past_of, verdict_rows
from streamgauge.stream_processors.drift.statistic import Histogram
from streamgauge.stream_processors.drift.verdict import DETECTOR, Past, StreamKey, Verdict

TABLE: Final = "drift_verdicts"


def named_query(name: str) -> str:
    """Text of sql/<name>.sql."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


class DriftStore:
    """Histograms in, verdicts out. One thread at a time. All calls may raise Retryable."""

    def __init__(self, settings: StoreSettings, *, instance: str, session_timeout_s: float) -> None:
        self._settings = settings
        self._writer = SinkWriter(settings, instance=instance, session_timeout_s=session_timeout_s)
        self._client: StoreClient | None = None

    def position_s(self, window_s: int) -> int:
        """End of the last closed window, epoch seconds; 0 if none was closed yet."""
        return self._writer.high_water(TABLE).get(_key(window_s), 0)

    def first_s(self, *, from_s: int) -> int:
        """Start of the oldest histogram at or after `from_s`, epoch seconds; 0 if there is none."""
        return int(self._query("first_window", {"from_s": from_s})[0]["t_s"])

    def histograms(self, window_s: int, *, from_s: int, to_s: int) -> list[TenantSeries]:
        """Stored histograms, summed to windows of this length, by app, tenant and feature."""
        parameters = {"window_s": window_s, "from_s": from_s, "to_s": to_s}
        series: dict[tuple[str, str, str, int], dict[int, Histogram]] = {}
        for row in self._query("histograms", parameters):
            key = (row["app"], row["tenant"], row["feature"], row["scheme"])
            series.setdefault(key, {})[row["t_s"] * 1000] = histogram_of(row)
        return [TenantSeries(*key, windows) for key, windows in series.items()]

    def past(self, window_s: int, *, from_s: int, to_s: int) -> dict[StreamKey, list[Past]]:
        """Verdicts of windows that start in [from_s, to_s), by stream, oldest first."""
        parameters = {
            "window_s": window_s,
            "detector_version": DETECTOR,
            "from_s": from_s,
            "to_s": to_s,
        }
        out: dict[StreamKey, list[Past]] = {}
        for row in self._query("past_verdicts", parameters):
            key, past = past_of(row)
            out.setdefault(key, []).append(past)
        return out

    def append(
        self,
        window_s: int,
        verdicts: Sequence[Verdict],
        *,
        expected_s: int,
        position_s: int,
        written_on: date,
        bar: float,
    ) -> bool:
        """Store verdicts and move the position; False if another closer was first."""
        block = build_block(
            TABLE,
            verdict_rows(verdicts, bar=bar),
            written_on=written_on,
            expected={_key(window_s): expected_s},
            next={_key(window_s): position_s},
        )
        return self._writer.insert(block) is InsertOutcome.STORED

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _query(self, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client.query(named_query(name), parameters)


def _key(window_s: int) -> str:
    return f"verdicts/{window_s}"
