"""Cells and judged texts as rows of `score_windows` and `scores`.

A row of `scores` is written for every text that a scorer was given, also without a value (bad_text,
error, unsupported_language). What no scorer saw (no_scorer, no_text, sampled_out, shed) is only
counted, in the cells. Not here: column types (streamgauge.storage.tables).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

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
    rows: list[dict[str, Any]] = []
    for one in judged:
        if one.status in NOT_GIVEN:
            continue
        r = one.request
        for i, metric in enumerate(one.scorer.metrics):
            rows.append(
                {
                    "src": r.src,
                    "partition": r.partition,
                    "offset": r.offset,
                    "event_id": r.event_id,
                    "ts": r.ts,
                    "tenant": r.tenant,
                    "app": r.app,
                    "env": r.env,
                    "provider": r.provider,
                    "model": r.model,
                    "prompt_name": r.prompt_name,
                    "prompt_version": r.prompt_version,
                    "side": one.side.value,
                    "scorer": one.scorer.name,
                    "scorer_version": version_of(one.scorer),
                    "weights_hash": one.scorer.weights_hash,
                    "engine": one.scorer.engine,
                    "name": metric.name,
                    "value": one.values[i] if one.values else None,
                    "label": one.label,
                    "status": one.status.value,
                    "probability": one.probability,
                }
            )
    rows.sort(key=lambda row: (row["src"], row["partition"], row["offset"]))
    return pa.Table.from_pylist(rows, schema=TABLES["scores"].data)
