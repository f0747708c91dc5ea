"""The statement that an alert carries, for series of any name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamgauge.alerting.carried_sql import fill
from streamgauge.alerting.evaluation.policy import policy_of
from streamgauge.alerting.rules.model import Novelty, Threshold
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings

pytestmark = pytest.mark.clickhouse

T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
STEP = T0 + 600_000
OWN, OTHER = 7, 1000
PIECES = (
    "$SERIES", "$NEW", "$FROM_MS", "$TO_MS", "'", '"', "`", "\\", "\\'", "''", "-- ", "/*", "*/",
    "#!", ";", "\n", "\0", ")", "])) AS value FROM windows UNION ALL SELECT toFloat64(42)",
    "{x:Int8}", "$a$", "%s", "%(a)s", "app", "\u00e9",
)  # fmt: skip
values = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join)
numbers = itertools.count()


def put(client: StoreClient, tenant: str, app: str, model: str, n: int) -> None:
    """One cell of a series, with values that are bound and not quoted by us."""
    client.command(
        "INSERT INTO windows (kind, written_on, resolution, t, revision, scheme, tenant, app, n,"
        " response_models) SELECT 0, today(), r, fromUnixTimestamp({t:Int64}), 0, 1,"
        " {tenant:String}, {app:String}, {n:UInt64}, map({model:String}, {n:UInt64})"
        " FROM (SELECT arrayJoin([10, 60]) AS r)",
        {"t": T0 // 1000 + 300, "tenant": tenant, "app": app, "model": model, "n": n},
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(app=values, model=values)
@example(app="])) AS value FROM windows UNION ALL SELECT toFloat64(42) -- ", model="$SERIES")
@example(app="$NEW", model="$SERIES")
def test_statement_of_a_series_of_any_name_gives_the_value_of_that_series(
    store: StoreSettings, store_server: EmbeddedStore, app: str, model: str
) -> None:
    tenant = f"tenant-{next(numbers)}"
    rule = {"severity": "info", "every": "10s", "window": "10m", "group_by": ["tenant", "app"]}
    where = {"op": {"not": [app, "$SERIES"]}}
    news = Novelty.model_validate(
        {
            **rule,
            "name": "N",
            "kind": "novelty",
            "dimension": "response_model",
            "baseline": "1d",
            "learn": "1d",
        }
    )
    many = Threshold.model_validate(
        {**rule, "name": "T", "kind": "threshold", "metric": "requests",
         "value": 1, "where": where if app else {}}
    )  # fmt: skip
    labels = {"tenant": tenant, "app": app}
    with connect(store) as client:
        put(client, tenant, app, model, OWN)
        put(client, tenant, f"{app}'", model, OTHER)
        put(client, f"{tenant}'", app, model, OTHER)
    with connect(store_server.reader_settings(store.database)) as reader:
        for found, of in ((news, {**labels, "response_model": model}), (many, labels)):
            template = policy_of(found).query
            assert template is not None
            sql = fill(template, labels=of, start_ms=T0, end_ms=STEP)
            assert [row["value"] for row in reader.query(sql)] == [OWN], sql
