"""Between the data of drift and the rows of its tables `histograms` and `drift_verdicts`.

Not here: column types (streamgauge.storage.tables), reading and writing (store.py, the worker).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.drift.bins import CATEGORY_SCHEME
from streamgauge.stream_processors.drift.histograms import HistogramCell, HistogramKey
from streamgauge.stream_processors.drift.sequential import DriftState, StreamState
from streamgauge.stream_processors.drift.statistic import Bin, Comparison
from streamgauge.stream_processors.drift.verdict import (
    DETECTOR,
    Past,
    ReferenceKind,
    SegmentKind,
    SeriesKey,
    StreamKey,
    Verdict,
)

FLAT: Final = 0.01
"""A mean that moved by less than this share did not move: the mix did."""


def histogram_rows(cells: Mapping[HistogramKey, HistogramCell]) -> pa.Table:
    """Rows of `histograms`, in key order, so that the same cells give the same bytes."""
    rows = [
        {
            "tenant": key.tenant,
            "t": key.t_ms // 1000,
            "app": key.app,
            "segment_kind": SegmentKind.TENANT.value,
            "segment": key.tenant,
            "feature": key.feature,
            "scheme": key.scheme,
            "n": cell.n,
            "s1_e6": cell.s1_e6,
            "s2_e6": cell.s2_e6,
            "bins": [] if key.scheme == CATEGORY_SCHEME else sorted(cell.bins.items()),
            "categories": sorted(cell.bins.items()) if key.scheme == CATEGORY_SCHEME else [],
        }
        for key, cell in sorted(cells.items())
    ]
    return _table("histograms", rows)


def verdict_rows(verdicts: Iterable[Verdict], *, bar: float) -> pa.Table:
    """Rows of `drift_verdicts`. bar: the evidence at which a stream fires."""
    return _table("drift_verdicts", [_verdict_row(v, bar) for v in verdicts])


def _verdict_row(v: Verdict, bar: float) -> dict[str, Any]:
    c = v.comparison
    return {
        "tenant": v.key.series.tenant,
        "t": v.t_ms // 1000,
        "window_s": v.key.window_s,
        "app": v.key.series.app,
        "segment_kind": v.key.series.segment_kind.value,
        "segment": v.key.series.segment,
        "feature": v.key.series.feature,
        "scheme": v.key.series.scheme,
        "reference": v.key.reference.value,
        "from_t": v.from_ms // 1000,
        "n": v.n,
        "n_ref": c.n_ref if c else 0,
        "enough": v.enough,
        "ref_windows": v.ref_windows,
        "ref_needed": v.ref_needed,
        "stat_g": c.g if c else None,
        "df": float(c.df) if c else None,
        "scale": c.dispersion if c else None,
        "p": c.p if c else None,
        "z": c.z if c else None,
        "evidence": v.state.evidence,
        "bar": bar,
        "js": c.js if c else None,
        "w1_log2": c.w1_log2 if c else None,
        "mean_before": c.mean_before if c else None,
        "mean_after": c.mean_after if c else None,
        "direction": direction(c) if c else "",
        "top_bins": [
            {
                "label": m.label,
                "share_ref": m.share_before,
                "share_now": m.share_after,
                "contribution": m.contribution,
            }
            for m in (c.moved if c else ())
        ],
        "state": v.state.state.value,
        "since": v.state.since_ms // 1000,
        "calm": v.state.calm,
        "detector_version": DETECTOR,
        "rev": 1,
        "block": "",
    }


def direction(c: Comparison) -> str:
    """`up` or `down` for the mean of a size, `mix` when only the shape or the shares moved."""
    if not c.mean_before or c.mean_after is None:
        return "mix"
    change = c.mean_after / c.mean_before - 1
    if abs(change) < FLAT:
        return "mix"
    return "up" if change > 0 else "down"


def past_of(row: Mapping[str, Any]) -> tuple[StreamKey, Past]:
    """What later verdicts need of a row of past_verdicts.sql. Times there are epoch seconds."""
    series = SeriesKey(
        row["app"],
        SegmentKind(row["segment_kind"]),
        row["segment"],
        row["feature"],
        row["scheme"],
    )
    key = StreamKey(series, row["window_s"], ReferenceKind(row["reference"]))
    state = StreamState(
        DriftState(row["state"]), row["since_s"] * 1000, row["evidence"], row["calm"]
    )
    t_ms = row["t_s"] * 1000
    return key, Past(
        t_ms=t_ms,
        from_ms=row["from_s"] * 1000,
        end_ms=t_ms + row["window_s"] * 1000,
        enough=bool(row["enough"]),
        z=row["z"],
        state=state,
    )


def histogram_of(row: Mapping[str, Any]) -> dict[Bin, int]:
    """The histogram in a row of histograms.sql."""
    return dict(row["categories"] if row["scheme"] == CATEGORY_SCHEME else row["bins"])


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=TABLES[name].data)
