"""Cells of `score_windows`: judged texts summed up per window, dimensions, scorer and metric.

In: `Judged` texts. Out: integer sums that add up in any order to the same bytes. Values and weights
are counted in integer 1e-6: a sum of floats would depend on its order.
Not here: column types (streamgauge.storage), rows (rows.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streamgauge.contracts.scores import ScoreStatus
from streamgauge.stream_processors.scores.pipeline import Judged
from streamgauge.stream_processors.scores.scorer import Law, ScorerIdentity
from streamgauge.stream_processors.scores.toxicity.slot import MissingScorer

RESOLUTIONS_S: Final = (10, 60, 3600)
MICRO: Final = 1_000_000
BINS: Final = 64
MAX_LOG2_VALUE: Final = 4095.0
HITS: Final = (0.5, 0.9)


class CellKey(NamedTuple):
    """Window (length, start), dimensions of the request, scorer and metric."""

    resolution_s: int
    t_ms: int
    tenant: str
    app: str
    env: str
    provider: str
    model: str
    prompt_name: str
    prompt_version: str
    side: str
    scorer: str
    scorer_version: str
    name: str
    law: Law


@dataclass(slots=True)
class Cell:
    """Sums of one cell. n: requests seen, by status; the rest is over those with a value."""

    n: dict[ScoreStatus, int] = field(default_factory=dict)
    value_sum: int = 0
    value_sq_sum: int = 0
    hits: list[int] = field(default_factory=lambda: [0] * len(HITS))
    weight_sum: int = 0
    weight_sq_sum: int = 0
    weighted_value_sum: int = 0
    weighted_hits: list[int] = field(default_factory=lambda: [0] * len(HITS))
    histogram: dict[int, int] = field(default_factory=dict)


def score_bin(value: float, law: Law) -> int:
    """Bin 0..63 of a value.

    >>> [score_bin(v, Law.UNIT) for v in (0.0, 0.5, 1.0)], score_bin(3.0, Law.LOG2)
    ([0, 32, 63], 8)
    """
    if law is Law.UNIT:
        return min(max(int(value * BINS), 0), BINS - 1)
    return min(int(4 * math.log2(bounded(value, law) + 1)), BINS - 1)


def bounded(value: float, law: Law) -> float:
    """The value as it enters sums: inside the range of its law, so that no sum can overflow."""
    return min(max(value, 0.0), 1.0 if law is Law.UNIT else MAX_LOG2_VALUE)


def version_of(scorer: ScorerIdentity | MissingScorer) -> str:
    """Version in rows: with weights, also engine and weights, so that no sum mixes two of them."""
    if not scorer.weights_hash:
        return scorer.version
    return f"{scorer.version}+{scorer.engine}+{scorer.weights_hash[:8]}"


def cells_of(judged: Iterable[Judged]) -> dict[CellKey, Cell]:
    """The cells of these texts: one per metric and resolution, in the request's window."""
    finest_s, *coarser_s = RESOLUTIONS_S
    cells: dict[CellKey, Cell] = {}
    for one in judged:
        r = one.request
        version = version_of(one.scorer)
        t_ms = r.ts // (finest_s * 1000) * (finest_s * 1000)
        for i, metric in enumerate(one.scorer.metrics):
            key = CellKey(
                finest_s,
                t_ms,
                r.tenant,
                r.app,
                r.env,
                r.provider,
                r.model,
                r.prompt_name,
                r.prompt_version,
                one.side.value,
                one.scorer.name,
                version,
                metric.name,
                metric.law,
            )
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = Cell()
            cell.n[one.status] = cell.n.get(one.status, 0) + 1
            if one.values:
                _add(cell, one.values[i], metric.law, one.probability)
    # Sums of integers: coarse cells are exactly the sums of the fine ones.
    return merge_cells([cells, *(_coarser(cells, s) for s in coarser_s)])


def _coarser(cells: Mapping[CellKey, Cell], resolution_s: int) -> dict[CellKey, Cell]:
    span_ms = resolution_s * 1000
    return merge_cells(
        {key._replace(resolution_s=resolution_s, t_ms=key.t_ms // span_ms * span_ms): cell}
        for key, cell in cells.items()
    )


def _add(cell: Cell, raw: float, law: Law, probability: float) -> None:
    value = bounded(raw, law)
    weight = 1.0 / probability
    micro_weight = round(weight * MICRO)
    cell.value_sum += round(value * MICRO)
    cell.value_sq_sum += round(value * value * MICRO)
    cell.weight_sum += micro_weight
    cell.weight_sq_sum += round(weight * weight * MICRO)
    cell.weighted_value_sum += round(weight * value * MICRO)
    if law is Law.UNIT and value >= HITS[0]:
        for i, bar in enumerate(HITS):
            if value >= bar:
                cell.hits[i] += 1
                cell.weighted_hits[i] += micro_weight
    b = score_bin(value, law)
    cell.histogram[b] = cell.histogram.get(b, 0) + 1


def merge_cells(parts: Iterable[Mapping[CellKey, Cell]]) -> dict[CellKey, Cell]:
    """Sum of cells of several cuts: what the store's merge gives."""
    out: dict[CellKey, Cell] = {}
    for cells in parts:
        for key, cell in cells.items():
            to = out.setdefault(key, Cell())
            for status, n in cell.n.items():
                to.n[status] = to.n.get(status, 0) + n
            for b, n in cell.histogram.items():
                to.histogram[b] = to.histogram.get(b, 0) + n
            to.value_sum += cell.value_sum
            to.value_sq_sum += cell.value_sq_sum
            to.weight_sum += cell.weight_sum
            to.weight_sq_sum += cell.weight_sq_sum
            to.weighted_value_sum += cell.weighted_value_sum
            for i in range(len(HITS)):
                to.hits[i] += cell.hits[i]
                to.weighted_hits[i] += cell.weighted_hits[i]
    return out
