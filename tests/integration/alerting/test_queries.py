"""SQL that alerts and runbooks carry, run on the real engine against the same rows."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting.carried_sql import fill
from streamgauge.alerting.evaluation import self_alerts
from streamgauge.alerting.evaluation.batch import Due, batches
from streamgauge.alerting.evaluation.conditions import dimensions_of
from streamgauge.alerting.evaluation.evaluate import evaluate
from streamgauge.alerting.evaluation.policy import policy_of
from streamgauge.alerting.rules.loader import load
from streamgauge.alerting.rules.metrics import METRICS
from streamgauge.alerting.rules.model import Rule, Threshold
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.sqltext import quote_string
from tests.support.alerting import LABELS, Cells, traffic

pytestmark = pytest.mark.clickhouse

T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
END = T0 + 45 * 60_000
RUNBOOKS = Path(__file__).resolve().parents[3] / "deploy" / "runbooks"


def store_cells(client: StoreClient, cells: Cells) -> None:
    """The same rows into `windows`."""
    numbers = ("n", "errors", "cost_nano_usd", "unpriced_n", "unpriced_tokens")
    maps = ("duration_ms_hist", "ttft_ms_hist", "output_tps_hist", "response_models")
    kinds = ("Int16", "Int16", "Int16", "String")
    values = []
    for (resolution, key), slots in cells.rows.items():
        for t, cell in slots.items():
            labels = ", ".join(map(quote_string, key))
            sums = ", ".join(str(cell.get(n, 0)) for n in numbers)
            counts = ", ".join(_map(cell.get(m, {}), k) for m, k in zip(maps, kinds, strict=True))
            values.append(
                f"(0, today(), {resolution // 1000}, fromUnixTimestamp({t // 1000}), 0, 1,"
                f" {labels}, {sums}, {counts})"
            )
    for i in range(0, len(values), 1000):
        client.command(
            f"INSERT INTO windows (kind, written_on, resolution, t, revision, scheme,"
            f" {', '.join(LABELS)}, {', '.join(numbers)}, {', '.join(maps)}) VALUES "
            + ", ".join(values[i : i + 1000])
        )


def _map(counts: dict[Any, int], kind: str) -> str:
    pairs = ", ".join(
        f"{quote_string(k) if kind == 'String' else k}, {v}" for k, v in counts.items()
    )
    return f"map({pairs})::Map({kind}, UInt64)"


def planted() -> Cells:
    """Two apps with everything the default pack looks at, from a fixed seed."""
    cells = Cells()
    late = T0 + 38 * 60_000
    traffic(
        cells, random.Random(1), "it's \\ odd", start_ms=T0, end_ms=END, per_minute=lambda _: 30,
        errors=lambda t: 0.5 if t > late else 0.01, slow=lambda t: 3.0 if t > late else 1.0,
        dear=lambda t: 4.0 if t > late else 1.0, unpriced=lambda t: 0.3 if t > late else 0.0,
    )  # fmt: skip
    traffic(cells, random.Random(2), "silent", start_ms=T0, end_ms=late, per_minute=lambda _: 30)
    return cells


def test_batched_sql_answers_what_plain_addition_does(store: StoreSettings) -> None:
    cells = planted()
    due = [
        Due(rule, s)
        for rule in load().enabled.values()
        for s in range(END // rule.every * rule.every - 3 * rule.every, END + 1, rule.every)
    ]
    with connect(store) as client:
        store_cells(client, cells)
        for batch in batches(due):
            sql, parameters = batch.sql()
            _, rows = client.rows(sql, parameters)
            assert batch.panes(rows).cells == batch.panes(cells.answer(batch)).cells


def test_query_of_each_rule_gives_the_value_that_was_judged(store: StoreSettings) -> None:
    cells = planted()
    compared = set()
    rules = list(load().enabled.values())
    rules += [metric_rule(name) for name in METRICS]
    with connect(store) as client:
        store_cells(client, cells)
        for rule in rules:
            step = END // rule.every * rule.every
            (batch,) = batches([Due(rule, step)])
            panes = batch.panes(cells.answer(batch))
            policy = policy_of(rule)
            record = evaluate(rule, panes, step, policy=policy, version="v", watermark_ms=step)
            for series in record.series:
                if series.value is None:
                    continue
                assert policy.query is not None
                start = (series.evidence or {}).get("from_ms", step - (policy.window_ms or 0))
                assert isinstance(start, int)
                sql = fill(policy.query, labels=series.labels, start_ms=start, end_ms=step)
                value = client.query(sql)[0]["value"]
                assert value == pytest.approx(series.value, rel=1e-9), f"{rule.name}: {sql}"
                compared.add(rule.name)
    assert {"ErrorBurstFast", "LatencyShift", "CostPerRequestShift", "NoTraffic", "BudgetSpent",
            "UnpricedModel", "latency_p95_ms"} <= compared  # fmt: skip


def metric_rule(name: str) -> Rule:
    return Threshold.model_validate(
        {"name": name, "kind": "threshold", "metric": name, "window": "5m", "value": 1,
         "severity": "info", "every": "10s"}
    )  # fmt: skip


def test_every_metric_and_dimension_is_a_column_of_the_store(store: StoreSettings) -> None:
    with connect(store) as client:
        for name in METRICS:
            rule = metric_rule(name)
            (batch,) = batches([Due(rule, END)])
            assert batch.dimensions == dimensions_of(rule)
            client.rows(*batch.sql())


def test_where_filters_by_list_exclusion_and_expression(store: StoreSettings) -> None:
    cells = planted()
    base = {"name": "R", "kind": "threshold", "metric": "requests", "window": "5m", "value": 1,
            "severity": "info", "every": "10s"}  # fmt: skip
    expected = {
        "{app: silent}": set(),
        "odd": {"it's \\ odd"},
    }
    with connect(store) as client:
        store_cells(client, cells)
        for where, apps in (
            ({"app": "silent"}, expected["{app: silent}"]),
            ({"app": ["it's \\ odd", "x"]}, expected["odd"]),
            ({"app": {"not": "silent"}}, expected["odd"]),
            ({"app": {"regex": "^it.s"}}, expected["odd"]),
        ):
            rule = Threshold.model_validate({**base, "where": where})
            (batch,) = batches([Due(rule, END)])
            _, rows = client.rows(*batch.sql())
            assert {row[batch.dimensions.index("app")] for row in rows} == apps


def test_sql_of_every_runbook_runs(store_reader: StoreSettings) -> None:
    pages = [p for p in sorted(RUNBOOKS.glob("*.md")) if p.stem != "README"]
    assert len(pages) >= 13
    with connect(store_reader) as client:
        for page in pages:
            (block,) = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
            assert len(block.strip().splitlines()) == 3, page.name
            for sql in re.findall(r'^streamgauge sql "(.*)"$', block, re.MULTILINE):
                client.query(sql)


def test_sql_of_a_stalled_worker_gives_the_seconds_since_it_last_stored(
    store: StoreSettings, store_reader: StoreSettings
) -> None:
    sql = self_alerts.policy(self_alerts.WATERMARK, runbook_base="").query
    assert sql is not None
    asked = fill(sql, labels={"source": "metrics"}, start_ms=END, end_ms=END)
    with connect(store) as client, connect(store_reader) as reader:
        assert reader.query(asked) == [{"value": None}], "nothing was ever stored: not 55 years"
        for partition, ago_s in enumerate((150, 300)):
            client.command(
                "INSERT INTO ingest_log (kind, written_on, src, partition, outcome, n, written_at)"
                f" VALUES (0, today(), 'llm.events.v1@aaaaaaaa', {partition}, 'stored', 1,"
                f" fromUnixTimestamp64Milli({END - ago_s * 1000}, 'UTC'))"
            )
        assert reader.query(asked) == [{"value": 150}]
