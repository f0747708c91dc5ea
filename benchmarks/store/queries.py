"""Ten questions that people ask: over our views, and over the plain table. Pure.

Both answers must be the same: fractions within 1.1 %, since percentiles of ours come from
histograms of 1 %; all else exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any, Final

from benchmarks.store.plain import DATABASE as PLAIN

TOLERANCE: Final = 0.011


@dataclass(frozen=True, slots=True)
class Query:
    """A question, its statement over our views, and over the plain table.

    check: what ours must equal, if the answer of `plain` follows another definition.
    """

    question: str
    ours: str
    plain: str
    check: str = ""


QUERIES: Final = (
    Query(
        "spend per app and day",
        "SELECT app, toDate(t) AS day, toFloat64(sum(cost_usd)) AS usd FROM v_hour"
        " GROUP BY app, day ORDER BY app, day",
        f"SELECT app, toDate(ts) AS day, sum(cost_nano_usd) / 1e9 AS usd FROM {PLAIN}.events"
        " GROUP BY app, day ORDER BY app, day",
    ),
    Query(
        "p50, p95, p99 latency per model and hour, 7 days",
        "SELECT model, t, streamgauge_quantile(sumMap(duration_ms_hist), 0.5) AS p50,"
        " streamgauge_quantile(sumMap(duration_ms_hist), 0.95) AS p95,"
        " streamgauge_quantile(sumMap(duration_ms_hist), 0.99) AS p99 FROM v_hour"
        " WHERE t >= {end:DateTime} - INTERVAL 7 DAY GROUP BY model, t ORDER BY model, t",
        "SELECT model, toStartOfHour(ts) AS t, quantile(0.5)(duration_ms) AS p50,"
        " quantile(0.95)(duration_ms) AS p95, quantile(0.99)(duration_ms) AS p99"
        f" FROM {PLAIN}.events WHERE ts >= {{end:DateTime}} - INTERVAL 7 DAY"
        " GROUP BY model, t ORDER BY model, t",
        "SELECT model, t, all[toInt32(ceil(length(all) * 0.5))] AS p50,"
        " all[toInt32(ceil(length(all) * 0.95))] AS p95,"
        " all[toInt32(ceil(length(all) * 0.99))] AS p99 FROM"
        " (SELECT model, toStartOfHour(ts) AS t, arraySort(groupArray(duration_ms)) AS all"
        f" FROM {PLAIN}.events WHERE ts >= {{end:DateTime}} - INTERVAL 7 DAY GROUP BY model, t)"
        " ORDER BY model, t",
    ),
    Query(
        "error rate per app, last day",
        "SELECT app, sum(errors + timeouts) / sum(requests) AS rate FROM v_minute"
        " WHERE t >= {end:DateTime} - INTERVAL 1 DAY GROUP BY app ORDER BY app",
        f"SELECT app, countIf(status IN ('error', 'timeout')) / count() AS rate FROM {PLAIN}.events"
        " WHERE ts >= {end:DateTime} - INTERVAL 1 DAY GROUP BY app ORDER BY app",
    ),
    Query(
        "top 10 users by cost",
        "SELECT user_id, toFloat64(sum(cost_usd)) AS usd FROM v_spend WHERE user_id IS NOT NULL"
        " GROUP BY user_id ORDER BY usd DESC LIMIT 10",
        f"SELECT user_id, sum(cost_nano_usd) / 1e9 AS usd FROM {PLAIN}.events WHERE user_id != ''"
        " GROUP BY user_id ORDER BY usd DESC LIMIT 10",
    ),
    Query(
        "requests and errors per prompt version",
        "SELECT prompt_name, prompt_version, sum(requests) AS n, sum(requests * error_rate) AS bad"
        " FROM v_prompts GROUP BY prompt_name, prompt_version ORDER BY prompt_name, prompt_version",
        "SELECT prompt_name, prompt_version, count() AS n,"
        f" toFloat64(countIf(status IN ('error', 'timeout'))) AS bad FROM {PLAIN}.events"
        " GROUP BY prompt_name, prompt_version ORDER BY prompt_name, prompt_version",
    ),
    Query(
        "distribution of the input tokens of a model",
        "SELECT intDiv(input_tokens, 250) * 250 AS tokens, count() AS n FROM v_requests"
        " WHERE model = 'gpt-4o' AND input_tokens IS NOT NULL GROUP BY tokens ORDER BY tokens",
        f"SELECT intDiv(input_tokens, 250) * 250 AS tokens, count() AS n FROM {PLAIN}.events"
        " WHERE model = 'gpt-4o' AND input_tokens IS NOT NULL GROUP BY tokens ORDER BY tokens",
    ),
    Query(
        "slowest 20 requests, with their traces",
        "SELECT ts, app, model, duration_ms, trace_id FROM v_requests"
        " ORDER BY duration_ms DESC, id LIMIT 20",
        f"SELECT ts, app, model, duration_ms, trace_id FROM {PLAIN}.events"
        " ORDER BY duration_ms DESC, id LIMIT 20",
    ),
    Query(
        "one request by its id",
        "SELECT ts, app, model, duration_ms, cost_usd IS NULL AS unpriced FROM v_requests"
        " WHERE id = {id:String}",
        f"SELECT ts, app, model, duration_ms, cost_nano_usd IS NULL AS unpriced FROM {PLAIN}.events"
        " WHERE id = {id:String}",
    ),
    Query(
        "the requests of one trace",
        "SELECT ts, id, app, model, duration_ms FROM v_requests WHERE trace_id = {trace:String}"
        " ORDER BY ts, id",
        f"SELECT ts, id, app, model, duration_ms FROM {PLAIN}.events"
        " WHERE trace_id = {trace:String} ORDER BY ts, id",
    ),
    Query(
        "distinct users per tenant and day",
        "SELECT tenant, toDate(ts) AS day, uniq(user_id) AS users FROM v_requests"
        " GROUP BY tenant, day ORDER BY tenant, day",
        "SELECT tenant, toDate(ts) AS day, uniqIf(user_id, user_id != '') AS users"
        f" FROM {PLAIN}.events GROUP BY tenant, day ORDER BY tenant, day",
    ),
)
assert len(QUERIES) == 10

Rows = Sequence[Mapping[str, Any]]


def difference(ours: Rows, plain: Rows) -> str:
    """Where two answers differ, for people; empty if they agree."""
    if len(ours) != len(plain):
        return f"{len(ours)} rows, {len(plain)} from the plain table"
    if not ours:
        return "no rows"
    for number, (one, other) in enumerate(zip(ours, plain, strict=True)):
        for name, value in one.items():
            if not _same(value, other[name]):
                return f"row {number}, {name}: {value!r}, {other[name]!r} from the plain table"
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9)
    return bool(one == other)
