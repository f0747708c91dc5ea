"""The SQL that the demo asks: three queries as an analyst would type them, and series to draw."""

from __future__ import annotations

from collections.abc import Sequence

from streamgauge.deploy.demo.report import Plot, QueryAnswer
from streamgauge.deploy.demo.verdict import Verdict
from streamgauge.storage.client import StoreClient

QUESTIONS: tuple[tuple[str, str], ...] = (
    (
        "Which apps are slow, expensive or failing?",
        "SELECT app, sum(requests) AS n,\n"
        "       round(100 * sum(errors) / sum(requests), 1) AS error_pct,\n"
        "       round(max(latency_p95_ms) / 1000, 1) AS worst_p95_s,\n"
        "       round(sum(cost_usd), 2) AS usd\n"
        "FROM v_minute GROUP BY app ORDER BY usd DESC",
    ),
    (
        "What do the models cost, and which have no price?",
        "SELECT provider, model, sum(requests) AS n, round(sum(cost_usd), 2) AS usd,\n"
        "       sum(unpriced_tokens) AS without_price\n"
        "FROM v_hour GROUP BY provider, model ORDER BY n DESC",
    ),
    (
        "Who spent the most?",
        "SELECT app, user_id, round(sum(cost_usd), 2) AS usd FROM v_spend\n"
        "WHERE user_id != '' GROUP BY app, user_id ORDER BY usd DESC LIMIT 5",
    ),
)

SERIES: dict[str, tuple[str, str]] = {
    "error_burst": ("errors a minute", "sum(errors)"),
    "latency_x3": ("p95 latency, s", "max(latency_p95_ms) / 1000"),
    "cost_x4": ("USD per 1,000 requests", "1000 * toFloat64(sum(cost_usd)) / sum(requests)"),
    "silence": ("requests a minute", "sum(requests)"),
    "runaway": ("USD a minute", "toFloat64(sum(cost_usd))"),
    "unknown_model": ("tokens without a price a minute", "sum(unpriced_tokens)"),
}
"""Per kind of incident: what to draw, and its expression over v_minute."""


SPEND_IS_WHOLE = """SELECT
    (SELECT sum(requests) FROM v_spend) AS in_spend, (SELECT sum(requests) FROM v_hour) AS all
"""


def spend_is_whole(client: StoreClient) -> bool:
    """Whether v_spend has every request that v_hour has: it is written every 10 s only."""
    (row,) = client.query(SPEND_IS_WHOLE, {})
    return bool(row["in_spend"] == row["all"])


def ask(client: StoreClient) -> list[QueryAnswer]:
    """Run the three queries."""
    answers = []
    for question, sql in QUESTIONS:
        rows = client.query(sql, {})
        columns = list(rows[0]) if rows else []
        answers.append(QueryAnswer(question, sql, columns, [list(r.values()) for r in rows]))
    return answers


def plots(client: StoreClient, verdict: Verdict, *, kinds: Sequence[str]) -> list[Plot]:
    """One plot per planted incident of these kinds: its app's series, its begin and end marked."""
    drawn = []
    for finding in verdict.findings:
        planted = finding.planted
        if planted.kind not in kinds:
            continue
        title, expression = SERIES[planted.kind]
        rows = client.query(
            f"SELECT toUnixTimestamp(t) AS at_s, {expression} AS value FROM v_minute"  # noqa: S608  # our own constants
            " WHERE app = {app:String} GROUP BY t ORDER BY t",
            {"app": planted.app},
        )
        if not rows:
            continue
        first_s = min(int(row["at_s"]) for row in rows)
        by_minute = {(int(r["at_s"]) - first_s) // 60: float(r["value"] or 0) for r in rows}
        last = max(max(by_minute), (planted.end_ms // 1000 - first_s) // 60)
        minutes = range(last + 1)
        drawn.append(
            Plot(
                title=f"{planted.app}: {title} ({planted.kind})",
                minutes=minutes,
                values=[by_minute.get(m, 0.0) for m in minutes],
                marks=[(ms // 1000 - first_s) // 60 for ms in (planted.start_ms, planted.end_ms)],
            )
        )
    return drawn
