"""The metric registry: every name a rule may use, and what it means in `windows` cells.

A metric is a function of a window's summed cells. `aggregates` name what SQL must fetch; `read`
makes the value from the sums; `sql` is the same as one ClickHouse expression over the same rows, so
that an alert can carry the query that reproduces its value. All sums are exact; percentiles come
from log-bucket histograms and are within 1 % (contracts.histogram).

monotone: more data in a window can only raise it, so it may be judged before the window is final.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamgauge.contracts import histogram

Cell = Mapping[str, "int | Mapping[int, int]"]
"""Sums of one window: aggregate name -> integer sum, or histogram bucket -> count."""

AGGREGATES: dict[str, str] = {
    "n": "sum(n)",
    "errors": "sum(errors)",
    "timeouts": "sum(timeouts)",
    "cancelled": "sum(cancelled)",
    "refused": "sum(refused)",
    "retries": "sum(retries)",
    "stalls": "sum(stalls)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "cost_nano_usd": "sum(cost_nano_usd)",
    "unpriced_n": "sum(unpriced_n)",
    "unpriced_tokens": "sum(unpriced_tokens)",
    "duration_us_sum": "sum(duration_us_sum)",
    "output_valid_n": "sum(output_valid_n)",
    "output_invalid_n": "sum(output_invalid_n)",
    "cache_hits": "sum(cache_hits)",
    "http_429": "sum(http_statuses['429'])",
    "finish_length": "sum(finish_reasons['length'])",
    "duration_ms_hist": "sumMap(duration_ms_hist)",
    "ttft_ms_hist": "sumMap(ttft_ms_hist)",
    "output_tps_hist": "sumMap(output_tps_hist)",
    "output_tokens_hist": "sumMap(output_tokens_hist)",
    "input_tokens_hist": "sumMap(input_tokens_hist)",
}
"""Aggregate name -> ClickHouse aggregate over rows of `windows`."""

DIMENSIONS = (
    "tenant", "app", "env", "team", "feature", "op", "provider", "model", "prompt_name",
    "prompt_version", "variant", "release",
)  # fmt: skip
"""Columns that a rule may group by or filter on."""

MAP_DIMENSIONS = {
    "response_model": "response_models",
    "system_fingerprint": "fingerprints",
    "error_type": "error_types",
    "finish_reason": "finish_reasons",
    "http_status": "http_statuses",
}
"""Dimensions that exist only as counts inside a cell; a novelty rule may watch them."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `count` is the aggregate that `min_events` is compared with.

    read: value from a window's sums; None when it has no meaning (nothing counted).
    sql: the same over rows of `windows`, one value; NULL for None.
    source: whose watermark it waits for. table: where its cells lie. quantile: of a percentile.
    """

    name: str
    unit: str
    meaning: str
    aggregates: tuple[str, ...]
    read: Callable[[Cell], float | None]
    sql: str
    count: str = "n"
    exactness: str = "exact"
    monotone: bool = False
    source: str = "metrics"
    table: str = "windows"
    quantile: float | None = None


def total(cell: Cell, name: str) -> int:
    """An integer sum of the cell; 0 if no row was there."""
    found = cell.get(name, 0)
    return found if isinstance(found, int) else sum(found.values())


def buckets(cell: Cell, name: str) -> Mapping[int, int]:
    """A histogram of the cell; empty if no row was there."""
    found = cell.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(name: str, meaning: str, *parts: str, unit: str = "requests") -> Metric:
    columns = parts or (name,)
    return Metric(
        name,
        unit,
        meaning,
        (*columns, "n") if "n" not in columns else columns,
        lambda cell: float(sum(total(cell, c) for c in columns)),
        f"toFloat64({' + '.join(AGGREGATES[c] for c in columns)})",
        monotone=True,
    )


def _share(name: str, meaning: str, bad: tuple[str, ...], of: tuple[str, ...]) -> Metric:
    def read(cell: Cell) -> float | None:
        whole = sum(total(cell, c) for c in of)
        return sum(total(cell, c) for c in bad) / whole if whole else None

    over = " + ".join(AGGREGATES[c] for c in of)
    return Metric(
        name,
        "ratio",
        meaning,
        tuple(dict.fromkeys((*bad, *of, "n"))),
        read,
        f"({' + '.join(AGGREGATES[c] for c in bad)}) / nullIf({over}, 0)",
    )


def quantile_sql(aggregate: str, q: float) -> str:
    """Nearest-rank quantile of a summed histogram, as contracts.histogram computes it."""
    m = AGGREGATES[aggregate]
    keys = f"arraySort(mapKeys({m}))"
    counts = f"arrayMap(k -> ({m})[k], {keys})"
    rank = f"greatest(1, ceil({q!r} * arraySum({counts})))"
    i = f"{keys}[arrayFirstIndex(c -> c >= {rank}, arrayCumSum({counts}))]"
    g = "101 / 99"
    return (
        f"if(empty(mapKeys({m})), NULL, if({i} = {histogram.ZERO_BUCKET}, 0,"
        f" 2 * pow({g}, {i}) / ({g} + 1)))"
    )


def _percentile(family: str, aggregate: str, unit: str, q: float, meaning: str) -> Metric:
    stem, _, suffix = family.partition("_")
    name = f"{stem}_p{round(q * 100)}" + (f"_{suffix}" if suffix else "")
    return Metric(
        name,
        unit,
        f"{meaning}, {q:.0%} quantile",
        (aggregate, "n"),
        lambda cell: histogram.quantile(buckets(cell, aggregate), q),
        quantile_sql(aggregate, q),
        count=aggregate,
        exactness="within 1 %",
        quantile=q,
    )


def _cost_per_request(cell: Cell) -> float | None:
    priced = total(cell, "n") - total(cell, "unpriced_n")
    return total(cell, "cost_nano_usd") / 1e9 / priced if priced > 0 else None


def _usd(cell: Cell) -> float:
    return total(cell, "cost_nano_usd") / 1e9


def _mean_ms(cell: Cell) -> float | None:
    n = total(cell, "n")
    return total(cell, "duration_us_sum") / 1000 / n if n else None


_BAD = ("errors", "timeouts")
_ALL: tuple[Metric, ...] = (
    _count("requests", "finished calls", "n"),
    _count("errors", "calls that ended in an error or a timeout", *_BAD),
    _count("timeouts", "calls that timed out"),
    _count("cancelled", "calls that the app gave up"),
    _count("unanswered", "calls that timed out or were given up", "timeouts", "cancelled"),
    _count("rate_limited", "calls answered with HTTP 429", "http_429"),
    _count("refused", "answers that the model refused"),
    _count("truncated_answers", "answers cut at the token limit", "finish_length"),
    _count("invalid_outputs", "answers that did not parse by the app's schema", "output_invalid_n"),
    _count("checked_outputs", "answers that were parsed", "output_valid_n", "output_invalid_n"),
    _count("cache_hits", "calls answered by the app's own cache"),
    _count("retries", "retries inside calls", unit="retries"),
    _count("stalls", "gaps over 5 s inside streams", unit="gaps"),
    _count("input_tokens", "tokens in, cached ones included", unit="tokens"),
    _count("output_tokens", "tokens out, reasoning included", unit="tokens"),
    _count("tokens", "tokens in and out", "input_tokens", "output_tokens", unit="tokens"),
    _count("unpriced_requests", "calls of a model that no price book knows", "unpriced_n"),
    _count("unpriced_tokens", "tokens of a model that no price book knows", unit="tokens"),
    Metric(
        "cost_usd", "USD", "money spent on priced calls", ("cost_nano_usd", "n"), _usd,
        "sum(cost_nano_usd) / 1e9", monotone=True,
    ),
    Metric(
        "cost_per_request_usd", "USD", "money per priced call",
        ("cost_nano_usd", "n", "unpriced_n"), _cost_per_request,
        "sum(cost_nano_usd) / 1e9 / nullIf(sum(n) - sum(unpriced_n), 0)",
    ),
    Metric(
        "latency_mean_ms", "ms", "mean duration of calls", ("duration_us_sum", "n"), _mean_ms,
        "sum(duration_us_sum) / 1000 / nullIf(sum(n), 0)",
    ),
    _share("error_ratio", "share of calls that ended in an error or a timeout", _BAD, ("n",)),
    *(
        _percentile(family, aggregate, unit, q, meaning)
        for family, aggregate, unit, meaning in (
            ("latency_ms", "duration_ms_hist", "ms", "duration of calls"),
            ("ttft_ms", "ttft_ms_hist", "ms", "time to the first content"),
            ("speed_tps", "output_tps_hist", "tokens/s", "output speed"),
            ("answer_tokens", "output_tokens_hist", "tokens", "length of answers"),
            ("question_tokens", "input_tokens_hist", "tokens", "length of inputs"),
        )
        for q in (0.5, 0.9, 0.95, 0.99)
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {m.name: m for m in _ALL}
"""Every metric by its name."""
