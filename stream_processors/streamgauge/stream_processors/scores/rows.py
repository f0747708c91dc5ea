"""Cells and judged texts as rows of `score_windows` and `scores`.

A row of `scores` is written for every text that a scorer was given, also without a value (bad_text,
error, unsupported_language). What no scorer saw (no_scorer, no_text, sampled_out, shed) is only
counted, in the cells. Not here: column types (streamgauge.storage.tables).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa

from streamgauge.contracts.scores import WITH_VALUE, ScoreStatus
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.scores.cells import Cell, CellKey, version_of
from streamgauge.stream_processors.scores.pipeline import Judged

NOT_GIVEN: Final = frozenset(
    {
        ScoreStatus.NO_SCORER,
        ScoreStatus.NO_TEXT,
        ScoreStatus.SAMPLED_OUT,
        ScoreStatus.SHED,
    }
)


def window_rows(cells: Mapping[CellKey, Cell]) -> pa.Table:
    """Rows of `score_windows`, in key order, so that the same cells give the same bytes."""
    rows = [
        {
            "resolution": key.resolution_s,
            "tenant": key.tenant,
            "t": key.t_ms // 1000,
            "app": key.app,
            "env": key.env,
            "provider": key.provider,
            "model": key.model,
            "prompt_name": key.prompt_name,
            "prompt_version": key.prompt_version,
            "revision": 0,
            "side": key.side,
            "scorer": key.scorer,
            "scorer_version": key.scorer_version,
            "name": key.name,
            "n": sum(cell.n.values()),
            "statuses": sorted((status.value, n) for status, n in cell.n.items()),
            "scored_n": sum(cell.n.get(status, 0) for status in WITH_VALUE),
            "value_e6_sum": cell.value_sum,
            "value_sq_e6_sum": cell.value_sq_sum,
            "hits_50": cell.hits[0],
            "hits_90": cell.hits[1],
            "weight_e6_sum": cell.weight_sum,
            "weight_sq_e6_sum": cell.weight_sq_sum,
            "weighted_value_e6_sum": cell.weighted_value_sum,
            "weighted_hits_50_e6_sum": cell.weighted_hits[0],
            "weighted_hits_90_e6_sum": cell.weighted_hits[1],
            "value_hist": sorted(cell.histogram.items()),
        }
        for key, cell in sorted(cells.items())
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["score_windows"].data)


def score_rows(judged: Iterable[Judged]) -> pa.Table:
    """Rows of `scores`, one per metric, by source, partition and offset."""
    given = sorted(
        (one for one in judged if one.status not in NOT_GIVEN),
        key=lambda one: (one.request.src, one.request.partition, one.request.offset),
    )
    rows = [
        (
            r.src,
            r.partition,
            r.offset,
            r.event_id,
            r.ts,
            r.tenant,
            r.app,
            r.env,
            r.provider,
            r.model,
            r.prompt_name,
            r.prompt_version,
            one.side.value,
            one.scorer.name,
            version_of(one.scorer),
            one.scorer.weights_hash,
            one.scorer.engine,
            metric.name,
            one.values[i] if one.values else None,
            one.label,
            one.status.value,
            one.probability,
        )
        for one in given
        for r in (one.request,)
        for i, metric in enumerate(one.scorer.metrics)
    ]
    columns = zip(*rows, strict=True) if rows else ((),) * len(_SCORES)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCORES, strict=True)]
    return pa.table(dict(zip((f.name for f in _SCORES), arrays, strict=True)))


_COLUMNS: Final = """
    src partition offset event_id ts tenant app env provider model prompt_name prompt_version side
    scorer scorer_version weights_hash engine name value label status probability
"""
_SCORES: Final = tuple(TABLES["scores"].data.field(name) for name in _COLUMNS.split())
"""Columns of `scores` in the order of `score_rows`."""
