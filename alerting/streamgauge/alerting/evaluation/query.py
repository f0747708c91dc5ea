"""SQL over `windows`: the batched query of the evaluator, and the one that an alert carries.

The batched query returns one row per label set and interval between breakpoints (panes.py), for
all rules and steps of a batch. The carried one is a template (carried_sql.py) that returns one row
with `value`. Values are bound in the first, quoted in the second; names are the registry's. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from streamgauge.alerting.carried_sql import FROM_MS, NEW, SERIES, TO_MS
from streamgauge.alerting.rules.metrics import AGGREGATES, MAP_DIMENSIONS, METRICS
from streamgauge.alerting.rules.model import (
    Absence,
    Budget,
    Change,
    Match,
    Novelty,
    Ratio,
    Rule,
    Threshold,
)
from streamgauge.alerting.rules.resolution import resolution_ms
from streamgauge.storage.sqltext import quote_string

REVISION = "revision = 0"
TIMELY = "late = 0"


def counts_late(rule: Rule) -> bool:
    """Whether a rule reads late events in clock mode live: only to see that there is traffic."""
    return isinstance(rule, Absence)


def where_sql(where: Mapping[str, Match]) -> str:
    """Conditions of a rule's `where`, with values quoted; empty if there is none."""
    parts = []
    for name, match in sorted(where.items()):
        if match.one_of:
            parts.append(f"{name} IN ({', '.join(map(quote_string, match.one_of))})")
        if match.none_of:
            parts.append(f"{name} NOT IN ({', '.join(map(quote_string, match.none_of))})")
        if match.regex:
            parts.append(f"match({name}, {quote_string(match.regex)})")
    return " AND ".join(parts)


def aggregate_sql(name: str, *, live: bool = False) -> str:
    """The ClickHouse expression of an aggregate.

    `map:x` is the counts of a map dimension; `timely:x` is x without late events, which only the
    clock mode live tells apart.
    """
    kind, _, rest = name.partition(":")
    if kind == "map":
        return f"sumMap({MAP_DIMENSIONS[rest]})"
    if kind != "timely":
        return AGGREGATES[name]
    function, _, column = AGGREGATES[rest].removesuffix(")").partition("(")
    return f"{function}If({column}, {TIMELY})" if live else AGGREGATES[rest]


def batch_sql(
    *,
    dimensions: Sequence[str],
    aggregates: Sequence[str],
    where: Mapping[str, Match],
    resolution: int,
    breaks: Sequence[int],
    live: bool = False,
    late: bool = True,
    table: str = "windows",
) -> tuple[str, dict[str, Any]]:
    """The statement of a batch and its parameters.

    Columns: the dimensions, `slot` (1 = first interval), `first_ms`, then `a0`, `a1` ... in the
    order of `aggregates`. live: clock mode; late: whether late events count there.
    """
    labels = "".join(f"{d}, " for d in dimensions)
    sums = "".join(f", {aggregate_sql(a, live=live)} AS a{i}" for i, a in enumerate(aggregates))
    more = where_sql(where)
    sql = (
        f"SELECT {labels}arrayCount(b -> b <= toInt64(toUnixTimestamp(t)), {{breaks:Array(Int64)}})"  # noqa: S608 names are ours
        f" AS slot, toInt64(toUnixTimestamp(min(t))) * 1000 AS first_ms{sums} FROM {table}"
        f" WHERE kind = 0 AND resolution = {resolution // 1000} AND {REVISION}"
        " AND t >= fromUnixTimestamp({start:Int64}) AND t < fromUnixTimestamp({end:Int64})"
        + (f" AND {TIMELY}" if live and not late else "")
        + (f" AND {more}" if more else "")
        + f" GROUP BY {labels}slot"
    )  # names come from the registry, values of `where` are quoted
    seconds = [b // 1000 for b in breaks]
    return sql, {"breaks": seconds, "start": seconds[0], "end": seconds[-1]}


def template(rule: Rule, *, live: bool = False) -> str:
    """The statement that reproduces the value of one series at one step, with its placeholders."""
    timely = TIMELY if live and not counts_late(rule) else ""
    more = " AND ".join(filter(None, (timely, where_sql(rule.where))))
    source = (
        f"FROM windows WHERE kind = 0 AND resolution = {resolution_ms(rule) // 1000} AND {REVISION}"
        f" AND {SERIES}" + (f" AND {more}" if more else "")
    )
    now = f"{source} AND {span(FROM_MS, TO_MS)}"
    match rule:
        case Threshold() | Absence():
            return f"SELECT {METRICS[rule.metric].sql} AS value {now}"
        case Ratio():
            bad, whole = METRICS[rule.bad].sql, METRICS[rule.total].sql
            return f"SELECT ({bad}) / nullIf({whole}, 0) AS value {now}"
        case Change():
            return _change(rule, source, now)
        case Novelty():
            if rule.dimension in MAP_DIMENSIONS:
                column = MAP_DIMENSIONS[rule.dimension]
                return f"SELECT toFloat64(sum({column}[{NEW}])) AS value {now}"
            return f"SELECT toFloat64(sum(n)) AS value {now}"
        case Budget():
            return f"SELECT sum(cost_nano_usd) / 1e9 / {rule.amount_usd} AS value {now}"
        case _:
            assert_never(rule)


def span(start: str, end: str) -> str:
    """Condition on `t`: start included, end not; both ms, as text."""
    first, last = (
        f"fromUnixTimestamp(intDiv({start}, 1000))",
        f"fromUnixTimestamp(intDiv({end}, 1000))",
    )
    return f"t >= {first} AND t < {last}"


def _change(rule: Change, source: str, now: str) -> str:
    metric = METRICS[rule.metric]
    seconds = rule.window // 1000
    counted = aggregate_sql(metric.count)
    count = f"arraySum(mapValues({counted}))" if metric.count.endswith("_hist") else counted
    start = f"{FROM_MS} - {rule.baseline // rule.window * rule.window}"
    pieces = (
        f"SELECT intDiv(toInt64(toUnixTimestamp(t)) - intDiv({start}, 1000), {seconds}) AS piece,"
        f" {metric.sql} AS v {source} AND {span(start, FROM_MS)}"
        f" GROUP BY piece HAVING {count} >= {max(1, rule.min_events)} AND v IS NOT NULL"
    )
    return (
        f"SELECT (SELECT {metric.sql} {now})"  # noqa: S608 names are ours
        f" / (SELECT quantileExactInclusive(0.5)(v) FROM ({pieces})) AS value"
    )
