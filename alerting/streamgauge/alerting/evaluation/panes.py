"""Cells between breakpoints, and rolling windows as sums of whole intervals.

A batch of rules and steps needs many overlapping windows. All their edges together are the
breakpoints; the store sums the cells between neighbouring ones, once; every window is then a sum of
whole intervals, exactly. In: breakpoints and one cell per (labels, interval). Out: the cell of any
window between two breakpoints. Pure; integers only, so the order of adding changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Labels = tuple[str, ...]
"""Values of the batch's dimensions, in its order."""
RawCell = Mapping[str, Any]
"""Aggregate name -> int, or a mapping value -> count. `first_ms`: earliest cell in it."""
FIRST = "first_ms"


@dataclass(frozen=True, slots=True)
class Panes:
    """What one batched query brought.

    dimensions: names of the labels. breaks: ascending ms; interval i is [breaks[i], breaks[i+1]).
    """

    dimensions: tuple[str, ...]
    breaks: tuple[int, ...]
    cells: Mapping[Labels, Mapping[int, RawCell]] = field(default_factory=dict)

    def window(self, labels: Labels, start_ms: int, end_ms: int) -> RawCell:
        """Summed cell of [start_ms, end_ms); empty without a row. Both must be breakpoints."""
        slots = self.cells.get(labels)
        if not slots:
            return {}
        first, last = self._edge(start_ms), self._edge(end_ms)
        return merge(slots[i] for i in range(first, last) if i in slots)

    def project(self, dimensions: Sequence[str]) -> dict[Labels, list[Labels]]:
        """Label sets over fewer dimensions, each with the full ones that it is made of, sorted."""
        at = [self.dimensions.index(d) for d in dimensions]
        groups: dict[Labels, list[Labels]] = {}
        for labels in sorted(self.cells):
            groups.setdefault(tuple(labels[i] for i in at), []).append(labels)
        return groups

    def _edge(self, t_ms: int) -> int:
        i = bisect_left(self.breaks, t_ms)
        if i == len(self.breaks) or self.breaks[i] != t_ms:
            raise ValueError(f"{t_ms} is no breakpoint of this batch")
        return i


def merge(cells: Iterable[RawCell]) -> RawCell:
    """Sum of cells; the earliest `first_ms`."""
    out: dict[str, Any] = {}
    for cell in cells:
        for name, value in cell.items():
            if name not in out:
                out[name] = dict(value) if isinstance(value, Mapping) else value
            elif name == FIRST:
                out[name] = min(out[name], value)
            elif isinstance(value, Mapping):
                sums = out[name]
                for key, n in value.items():
                    sums[key] = sums.get(key, 0) + n
            else:
                out[name] += value
    return out
