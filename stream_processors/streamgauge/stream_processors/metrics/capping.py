"""Labels of windows under their caps: which values stand for themselves, which are `__other__`.

In: columns of requests and the values that were admitted so far. Out: labels and map values as
cells take them (cells.py), and what was admitted now. Pure.
"""

from __future__ import annotations

from streamgauge.stream_processors.metrics.cells import LABELS, MAPS
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.reading.labels import MAP_CAP, Coded, LabelCaps


def window_caps(cap: int) -> LabelCaps:
    """Nothing admitted yet. cap: of a label, per tenant; map columns have MAP_CAP at most."""
    return LabelCaps(cap=cap, caps={name: min(cap, MAP_CAP) for name in MAPS})


def capped(
    c: Columns, caps: LabelCaps
) -> tuple[tuple[dict[str, Coded], dict[str, Coded]], list[tuple[str, str, str, int]]]:
    """Labels and map values under their caps, and what was admitted now with its first ts."""
    everybody = Coded(c.coded("tenant").codes * 0, ("",))
    tenant, admitted = caps.apply("tenant", c.coded("tenant"), everybody)
    labels = {"tenant": tenant}
    for name in LABELS[1:]:
        labels[name], new = caps.apply(name, c.coded(name), tenant)
        admitted += new
    maps = {}
    for column, source in MAPS.items():
        maps[column], new = caps.apply(column, c.coded(source), tenant)
        admitted += new
    ts = c.ts
    return (labels, maps), [(a.tenant, a.label, a.value, int(ts[a.row])) for a in admitted]
