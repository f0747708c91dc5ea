"""Additive histograms: requests summed up per tenant, app, feature and cell of event time.

In: requests. Out: integer counts that add up in any order to the same bytes.
Not here: columns (rows.py), chunks (processor.py), which features there are (features.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from streamgauge.stream_processors.drift.features import FEATURES, bin_of, place_of

MICRO: Final = 1_000_000


class HistogramKey(NamedTuple):
    """One stored histogram: t_ms is the start of its cell."""

    tenant: str
    app: str
    feature: str
    scheme: int
    t_ms: int


@dataclass(slots=True)
class HistogramCell:
    """Counts of a histogram; s1, s2: sums on the scale of the law and of its squares, 1e-6."""

    n: int = 0
    s1_e6: int = 0
    s2_e6: int = 0
    bins: dict[int | str, int] = field(default_factory=dict)


def add_request(cells: dict[HistogramKey, HistogramCell], r: Any, *, cell_ms: int) -> None:
    """Count one request (a Struct; reads like an LlmRequest) under every feature."""
    t_ms = r.ts // cell_ms * cell_ms
    for feature in FEATURES:
        value = feature.read(r)
        key = HistogramKey(r.tenant, r.app, feature.name, feature.scheme, t_ms)
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = HistogramCell()
        b = bin_of(feature, value)
        place = place_of(feature, value)
        cell.n += 1
        cell.s1_e6 += round(place * MICRO)
        cell.s2_e6 += round(place * place * MICRO)
        cell.bins[b] = cell.bins.get(b, 0) + 1
