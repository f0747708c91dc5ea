"""The whole engine on a real Kafka and a real ClickHouse engine: rows and ticks in, alerts out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamgauge.alerting import AlertSubscriber, fire_test
from streamgauge.contracts import histogram
from streamgauge.contracts.alerts import Alert, AlertStatus, Transition
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import EngineProcess, Feed, steady, wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
Make = Callable[..., EngineProcess]


def collect(sub: AlertSubscriber, count: int, timeout_s: float = 60.0) -> list[Alert]:
    """The next `count` alerts, or as many as come before nothing comes for timeout_s."""
    got: list[Alert] = []
    for alert in sub.iter(timeout=timeout_s):
        got.append(alert)
        if len(got) >= count:
            break
    return got


def burst(feed: Feed, app: str, first: int, last: int, end: int) -> None:
    """Traffic of `end` minutes with every call failing in [first, last)."""
    feed.rows(steady(app, T0, T0 + first * MINUTE))
    feed.rows(steady(app, T0 + first * MINUTE, T0 + last * MINUTE, errors=9))
    feed.rows(steady(app, T0 + last * MINUTE, T0 + end * MINUTE))


def test_error_burst_reaches_a_subscriber_and_its_sql_reproduces_the_value(
    engine: Make, feed: Feed, settings: KafkaSettings, store: StoreSettings
) -> None:
    burst(feed, "search", 40, 45, 60)
    feed.rows(steady("chat", T0, T0 + 60 * MINUTE))
    process = engine()
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}) as sub:
        for minute in range(5, 56):
            feed.tick(T0 + minute * MINUTE)
        fired, resolved = collect(sub, 2)
    assert fired.transition is Transition.FIRED
    assert fired.labels["app"] == "search"
    # 90 % of calls fail from minute 40 on: 7 of the 12 panes of 2 min make 52.5 %, 6 only 45 %.
    assert fired.fired_at is not None
    assert round(fired.fired_at.timestamp() * 1000) == T0 + 40 * MINUTE + 70_000
    assert resolved.status is AlertStatus.RESOLVED
    assert resolved.episode == fired.episode
    assert fired.runbook_url is not None
    assert fired.runbook_url.endswith("ErrorBurstFast.md")
    with connect(store) as client:
        for alert in (fired, resolved):
            assert alert.query is not None
            assert alert.query.startswith("SELECT")
            value = client.query(alert.query)[0]["value"]
            assert value == pytest.approx(alert.value)
        stored = wait_until(
            lambda: (
                r
                if len(
                    r := client.query(
                        "SELECT id, count() AS c FROM alerts WHERE kind = 0 AND rule = 'ErrorBurstFast'"
                        " GROUP BY id"
                    )
                )
                >= 3  # fired, recovering, resolved
                else None
            ),
            "three transitions in the table alerts",
        )
    assert all(row["c"] == 1 for row in stored)
    assert process.stop() == 0
