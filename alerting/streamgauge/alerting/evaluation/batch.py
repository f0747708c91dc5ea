"""Puts due steps of many rules into few queries, and query rows back into cells. Pure.

Rules share a query when they read the same table, filters, dimensions and resolution, with or
without late events. Rules that look back far have one of their own per horizon, so that a budget
does not drag histograms along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from streamgauge.alerting.evaluation.conditions import aggregates_of, breaks_of, dimensions_of
from streamgauge.alerting.evaluation.panes import FIRST, Panes
from streamgauge.alerting.evaluation.query import batch_sql, counts_late, where_sql
from streamgauge.alerting.rules.model import Match, Rule
from streamgauge.alerting.rules.resolution import COARSE_FROM_MS, horizon_ms, resolution_ms


@dataclass(frozen=True, slots=True)
class Due:
    """One rule at one step. final: the watermark has passed it."""

    rule: Rule
    step_ms: int
    final: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """What one query answers."""

    items: tuple[Due, ...]
    dimensions: tuple[str, ...]
    aggregates: tuple[str, ...]
    where: dict[str, Match]
    resolution: int
    breaks: tuple[int, ...]
    live: bool
    late: bool

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Statement and parameters."""
        return batch_sql(
            dimensions=self.dimensions,
            aggregates=self.aggregates,
            where=self.where,
            resolution=self.resolution,
            breaks=self.breaks,
            live=self.live,
            late=self.late,
        )

    def panes(self, rows: Iterable[Sequence[Any]]) -> Panes:
        """Cells from the rows of `sql`."""
        width = len(self.dimensions)
        cells: dict[tuple[str, ...], dict[int, dict[str, Any]]] = {}
        for row in rows:
            labels = tuple(str(v) for v in row[:width])
            slot, first = int(row[width]) - 1, int(row[width + 1])
            cell = dict(zip(self.aggregates, row[width + 2 :], strict=True))
            cell[FIRST] = first
            cells.setdefault(labels, {})[slot] = cell
        return Panes(self.dimensions, self.breaks, cells)


def batches(due: Iterable[Due], *, live: bool = False) -> list[Batch]:
    """The queries that answer all of `due`, in a stable order. live: clock mode."""
    groups: dict[tuple[Any, ...], list[Due]] = {}
    for item in due:
        rule = item.rule
        horizon = horizon_ms(rule)
        key = (
            dimensions_of(rule),
            where_sql(rule.where),
            resolution_ms(rule),
            horizon if horizon >= COARSE_FROM_MS else 0,
            counts_late(rule),
        )
        groups.setdefault(key, []).append(item)
    return [_batch(items, live) for _, items in sorted(groups.items(), key=lambda g: repr(g[0]))]


def single(batch: Batch) -> list[Batch]:
    """The same, one rule a query: to find out which of them the store refuses."""
    by_rule: dict[str, list[Due]] = {}
    for item in batch.items:
        by_rule.setdefault(item.rule.name, []).append(item)
    return [_batch(items, batch.live) for _, items in sorted(by_rule.items())]


def _batch(items: list[Due], live: bool) -> Batch:
    rule = items[0].rule
    edges: set[int] = set()
    aggregates: dict[str, None] = {}
    for item in items:
        edges.update(breaks_of(item.rule, item.step_ms))
        aggregates.update(dict.fromkeys(aggregates_of(item.rule)))
    return Batch(
        tuple(items),
        dimensions_of(rule),
        tuple(aggregates),
        dict(rule.where),
        resolution_ms(rule),
        tuple(sorted(edges)),
        live,
        counts_late(rule),
    )
