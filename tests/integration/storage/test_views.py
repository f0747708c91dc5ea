"""Views equal a recomputation from the events they stand for, before and after merges."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from streamgauge.contracts import histogram
from streamgauge.storage.client import StoreClient
from tests.support.sinks import SRC, START, Row, client, put

__all__ = ["client", "put"]  # fixtures of this file
pytestmark = pytest.mark.clickhouse


def requests(count: int, seed: int) -> list[Row]:
    """Requests of 25 minutes over midnight and the end of a month."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        ok = rng.random() > 0.1
        rows.append(
            {
                "src": SRC,
                "partition": i % 2,
                "offset": i,
                "id": f"r{seed}-{i}",
                "type": "llm.request",
                "ts": START + timedelta(milliseconds=rng.randrange(25 * 60_000)),
                "tenant": "default",
                "app": rng.choice(["shop", "search"]),
                "env": "prod",
                "team": rng.choice(["", "red"]),
                "op": "chat",
                "provider": "openai",
                "model": rng.choice(["gpt-4o", "secret-model"]),
                "status": "ok" if ok else rng.choice(["error", "timeout", "cancelled"]),
                "error_type": "" if ok else "rate_limit",
                "duration_ms": rng.lognormvariate(7, 1),
                "ttft_ms": rng.lognormvariate(5, 1) if ok else None,
                "input_tokens": rng.randrange(10_000),
                "output_tokens": rng.randrange(0, 800) if ok else None,
            }
        )
        if rows[-1]["model"] == "gpt-4o":
            rows[-1]["cost_nano_usd"] = rng.randrange(10**9)
    return rows


DIMENSIONS = ("tenant", "app", "env", "team", "op", "provider", "model")


def cells(rows: Sequence[Row], seconds: int) -> list[Row]:
    """Deltas of one flush, as a worker would write them."""
    grouped: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        t = datetime.fromtimestamp(row["ts"].timestamp() // seconds * seconds, UTC)
        grouped[(t, *(row[d] for d in DIMENSIONS))].append(row)
    out = []
    for key, members in grouped.items():
        unpriced = [r for r in members if "cost_nano_usd" not in r]
        status = Counter(r["status"] for r in members)
        out.append(
            {
                "resolution": seconds,
                "t": key[0],
                **dict(zip(DIMENSIONS, key[1:], strict=True)),
                "scheme": histogram.SCHEME,
                "n": len(members),
                "errors": status["error"],
                "timeouts": status["timeout"],
                "cancelled": status["cancelled"],
                "input_tokens": sum(r["input_tokens"] for r in members),
                "output_tokens": sum(r["output_tokens"] or 0 for r in members),
                "cost_nano_usd": sum(r.get("cost_nano_usd", 0) for r in members),
                "unpriced_n": len(unpriced),
                "unpriced_tokens": sum(tokens(r) for r in unpriced),
                "duration_us_sum": sum(round(r["duration_ms"] * 1000) for r in members),
                "duration_us_max": max(round(r["duration_ms"] * 1000) for r in members),
                "error_types": list(
                    Counter(r["error_type"] for r in members if r["error_type"]).items()
                ),
                "duration_ms_hist": buckets(r["duration_ms"] for r in members),
                "ttft_ms_hist": buckets(r["ttft_ms"] for r in members if r["ttft_ms"]),
                "output_tokens_hist": buckets(
                    r["output_tokens"] for r in members if r["output_tokens"] is not None
                ),
            }
        )
    return out


def tokens(row: Row) -> int:
    return int(row["input_tokens"]) + int(row["output_tokens"] or 0)


def buckets(values: Any) -> list[tuple[int, int]]:
    return list(Counter(histogram.bucket(value) for value in values).items())


def nearest_rank(values: Sequence[float], q: float) -> float:
    return sorted(values)[max(1, math.ceil(q * len(values))) - 1]


def test_windows_equal_the_events_in_every_resolution_before_and_after_merges(
    client: StoreClient, put: Any
) -> None:
    rows = requests(3000, seed=1)
    client.command("SYSTEM STOP MERGES windows")
    for i in range(0, len(rows), 500):  # six flushes: every cell is in several parts
        flush = rows[i : i + 500]
        put("events", flush)
        put("windows", [cell for seconds in (10, 60, 3600) for cell in cells(flush, seconds)])
    answers: list[list[Row]] = []
    for merged in (False, True):
        if merged:
            client.command("SYSTEM START MERGES windows")
            client.command("OPTIMIZE TABLE windows FINAL")
        for view, seconds in (("v_10s", 10), ("v_minute", 60), ("v_hour", 3600)):
            found = client.query(f"SELECT * FROM {view} ORDER BY ALL")
            answers.append(found)
            expected = {
                tuple(cell[d] for d in ("t", *DIMENSIONS)): cell for cell in cells(rows, seconds)
            }
            assert len(found) == len(expected)
            for row in found:
                dims = [row[d] or "" for d in DIMENSIONS]
                _same(row, expected[(row["t"], *dims)])
    assert answers[:3] == answers[3:]


def _same(row: Row, cell: Row) -> None:
    for name in ("errors", "timeouts", "cancelled", "input_tokens", "output_tokens"):
        assert row[name] == cell[name]
    assert row["requests"] == cell["n"]
    assert row["unpriced_tokens"] == cell["unpriced_tokens"]
    priced = cell["unpriced_n"] < cell["n"]
    assert row["cost_usd"] == (Decimal(cell["cost_nano_usd"]).scaleb(-9) if priced else None)
    assert row["error_rate"] == (cell["errors"] + cell["timeouts"]) / cell["n"]
    assert row["latency_max_ms"] == cell["duration_us_max"] / 1000
    assert row["latency_avg_ms"] == pytest.approx(cell["duration_us_sum"] / 1000 / cell["n"])
    assert row["error_types"] == dict(cell["error_types"])
    for name, hist in (("latency", "duration_ms"), ("ttft", "ttft_ms")):
        expected = histogram.quantile(dict(cell[f"{hist}_hist"]), 0.95)
        assert row[f"{name}_p95_ms"] == (expected and pytest.approx(expected, rel=1e-12))


def test_percentiles_are_within_one_percent_of_the_nearest_rank(
    client: StoreClient, put: Any
) -> None:
    rows = requests(4000, seed=2)
    put("windows", cells(rows, 60))
    found = client.query(
        "SELECT t, streamgauge_quantile(sumMap(duration_ms_hist), 0.95) AS latency,"
        " streamgauge_quantile(sumMap(output_tokens_hist), 0.95) AS output"
        " FROM v_minute GROUP BY t ORDER BY t"
    )
    assert len(found) == 25
    for row in found:
        mine = [r for r in rows if row["t"] <= r["ts"] < row["t"] + timedelta(minutes=1)]
        exact = nearest_rank([r["duration_ms"] for r in mine], 0.95)
        assert row["latency"] == pytest.approx(exact, rel=0.01)
        known = [r["output_tokens"] for r in mine if r["output_tokens"] is not None]
        assert row["output"] == pytest.approx(nearest_rank(known, 0.95), rel=0.01)


def test_every_quantile_of_the_sql_law_equals_the_contract(client: StoreClient) -> None:
    rng = random.Random(3)
    for _ in range(40):
        values = [rng.choice([0, -1, rng.lognormvariate(0, 9)]) for _ in range(rng.randint(1, 30))]
        counts = dict(Counter(histogram.bucket(v) for v in values))
        q = rng.choice([0.001, 0.05, 0.5, 0.9, 0.95, 0.99, 1.0])
        literal = ", ".join(f"{i}, {n}" for i, n in sorted(counts.items()))
        sql = f"SELECT streamgauge_quantile(CAST(map({literal}), 'Map(Int16, UInt64)'), {q}) AS x"
        expected = histogram.quantile(counts, q)
        assert expected is not None
        assert client.query(sql)[0]["x"] == pytest.approx(expected, rel=1e-12)
    empty = "SELECT streamgauge_quantile(CAST(map(), 'Map(Int16, UInt64)'), 0.5) AS x"
    assert client.query(empty) == [{"x": None}]


def test_late_delta_adds_exactly_once(client: StoreClient, put: Any) -> None:
    rows = requests(50, seed=4)
    put("windows", cells(rows, 60))
    put("windows", cells(rows[:1], 60))
    assert client.query("SELECT sum(requests) AS n FROM v_minute") == [{"n": 51}]


def test_only_the_active_revision_of_an_hour_is_shown(client: StoreClient, put: Any) -> None:
    rows = requests(40, seed=5)
    hour = START.replace(minute=0)
    old = cells(rows, 60)
    put("windows", old + [{**cell, "revision": 1} for cell in old if cell["t"] < hour])
    put("windows", [{**cell, "revision": 2, "n": 2 * cell["n"]} for cell in old])
    whole = client.query("SELECT sum(requests) AS n FROM v_minute")[0]["n"]
    assert whole == 40
    in_hour = sum(c["n"] for c in old if c["t"] < hour + timedelta(hours=1))
    client.command(
        "INSERT INTO revisions VALUES ('default', {t:DateTime('UTC')}, 2, 'test', 1)", {"t": hour}
    )
    assert client.query("SELECT sum(requests) AS n FROM v_minute") == [{"n": 40 + in_hour}]


def test_requests_show_unknown_as_null_and_money_in_usd(client: StoreClient, put: Any) -> None:
    base = {"id": "a", "type": "llm.request", "ts": START, "duration_ms": 1500.25}
    put("events", [base | {"cost_nano_usd": 1, "tags": [("k", "v")]}, base | {"id": "b"}])
    first, second = client.query("SELECT * FROM v_requests ORDER BY id")
    assert first["cost_usd"] == Decimal("0.000000001")
    assert first["tags"] == {"k": "v"}
    assert first["started_at"] == START - timedelta(milliseconds=1500)
    for name in ("cost_usd", "team", "user_id", "input_tokens", "refused", "ttft_ms"):
        assert second[name] is None


def test_last_judgement_wins_and_counts_in_the_hour_of_its_request(
    client: StoreClient, put: Any
) -> None:
    put(
        "events",
        [
            {"id": "r1", "response_id": "resp-1", "type": "llm.request", "ts": START}
            | {"tenant": "default", "model": "gpt-4o"}
        ],
    )
    later = START + timedelta(days=3)
    base = {"tenant": "default", "name": "thumbs", "annotator": "human", "user_id": "u"}
    put(
        "judgements",
        [
            base | {"target_id": "r1", "ts": later, "value": 0.0},
            base | {"target_id": "r1", "ts": later + timedelta(seconds=1), "value": 1.0},
            base | {"response_id": "resp-1", "ts": later, "name": "grounded", "value": 0.5},
            base | {"target_id": "unknown", "ts": later, "value": 0.25},
        ],
    )
    found = client.query("SELECT * FROM v_judgements ORDER BY value")
    assert [(r["value"], r["request_known"], r["model"]) for r in found] == [
        (0.25, False, None),
        (0.5, True, "gpt-4o"),
        (1.0, True, "gpt-4o"),
    ]
    hour = START.replace(minute=0)
    assert [r["request_hour"] for r in found] == [later.replace(minute=0), hour, hour]


def test_errors_spend_scores_and_alerts_add_up(client: StoreClient, put: Any) -> None:
    rows = requests(500, seed=6)
    put("windows", cells(rows, 60))
    failed = sum(1 for r in rows if r["error_type"])
    found = client.query("SELECT sum(errors) AS n, any(error_type) AS e FROM v_errors")
    assert found == [{"n": failed, "e": "rate_limit"}]

    spent = {"tenant": "default", "t": START, "app": "shop", "model": "m", "n": 2, "user_id": "u"}
    unpriced = spent | {"user_id": "", "unpriced_n": 2}
    put("spend", [spent | {"cost_nano_usd": 1_500_000_000}, unpriced])
    paid = client.query("SELECT user_id, cost_usd FROM v_spend ORDER BY cost_usd")
    assert [tuple(row.values()) for row in paid] == [("u", Decimal("1.5")), (None, None)]

    score = {"resolution": 60, "t": START, "app": "shop", "side": "prompt", "scorer": "detoxify"}
    put(
        "score_windows",
        [
            score
            | {"name": "toxicity", "n": 3, "scored_n": 2, "statuses": [("scored", 2), ("shed", 1)]}
            | {"value_e6_sum": 1_000_000, "value_sq_e6_sum": 820_000, "hits_50": 1, "hits_90": 1}
            | {"weight_e6_sum": 4_000_000, "weighted_value_e6_sum": 2_000_000}
            | {"weighted_hits_50_e6_sum": 2_000_000, "weighted_hits_90_e6_sum": 2_000_000},
            score | {"name": "insult", "n": 3, "statuses": [("no_scorer", 3)]},
            score | {"scorer": "lexical", "name": "lexical", "n": 3, "scored_n": 3},
        ],
    )
    insult, toxicity = client.query("SELECT * FROM v_toxicity ORDER BY name")
    assert (toxicity["mean"], toxicity["share_50"], toxicity["coverage"]) == (0.5, 0.5, 2 / 3)
    assert (insult["mean"], insult["statuses"]) == (None, {"no_scorer": 3})
    assert client.query("SELECT count() AS n FROM v_scores") == [{"n": 3}]

    alert = {"rule": "R", "fingerprint": "f", "t": START, "severity": "page"}
    put(
        "alerts",
        [
            alert | {"id": "1", "seq": 1, "status": "firing"},
            alert | {"id": "2", "seq": 2, "status": "resolved"},
            alert | {"id": "3", "seq": 1, "fingerprint": "g", "status": "firing"},
            alert | {"id": "4", "seq": 1, "fingerprint": "h", "status": "pending"},
        ],
    )
    assert [row["id"] for row in client.query("SELECT id FROM v_alerts")] == ["3"]
    assert client.query("SELECT count() AS n FROM v_alert_history") == [{"n": 4}]


def test_newest_verdict_and_prompt_version_win(client: StoreClient, put: Any) -> None:
    base = {"app": "shop", "t": START, "feature": "input_tokens", "window_s": 300}
    put("drift_verdicts", [base | {"state": "pending", "rev": 1}])
    put("drift_verdicts", [base | {"state": "firing", "rev": 2}])
    assert [r["state"] for r in client.query("SELECT state FROM v_drift")] == ["firing"]
    prompt = {"tenant": "default", "app": "shop", "prompt_name": "greet", "prompt_version": "1"}
    put("prompts", [prompt | {"template_hash": "old", "rev": 1}])
    put("prompts", [prompt | {"template_hash": "new", "rev": 2, "labels": ["production"]}])
    row = {"resolution": 3600, "t": START.replace(minute=0), "scheme": 1, "n": 4, "errors": 1}
    put("windows", [prompt | row | {"cost_nano_usd": 8, "unpriced_n": 2}])
    (found,) = client.query("SELECT * FROM v_prompts")
    assert (found["template_hash"], found["labels"]) == ("new", ["production"])
    assert found["cost_usd_per_request"] == Decimal("0.000000004")
    assert (found["requests"], found["error_rate"]) == (4, 0.25)
