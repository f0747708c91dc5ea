"""Open windows: judged early in clock mode live, and said to be; never in a replay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streamgauge.alerting import AlertSubscriber
from streamgauge.alerting.carried_sql import NOTE
from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, evaluated, steady
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
Make = Callable[..., WorkerProcess]


def first(sub: AlertSubscriber) -> Alert:
    """The next alert, within half a minute."""
    return next(sub.iter(timeout=30))


def test_live_budget_fires_on_an_open_window_before_the_watermark_gets_there(
    engine: Make, feed: Feed, settings: KafkaSettings, store: StoreSettings
) -> None:
    feed.rows(steady("agent", T0, T0 + 10 * MINUTE))
    engine(STREAMGAUGE_CLOCK_MODE="live")
    with AlertSubscriber(settings, match={"rule": "BudgetSpent"}) as sub:
        feed.tick(T0 + 9 * MINUTE, behind=True)
        until(lambda: evaluated(settings), "the engine at work")
        feed.rows([{"t_ms": T0 + 10 * MINUTE + 5000, "app": "agent", "n": 1, "cost": 60 * 10**9}])
        feed.tick(T0 + 9 * MINUTE + 1000, behind=True, max_ts=T0 + 10 * MINUTE + 5000)
        fired = first(sub)
    assert fired.severity == "page"
    assert fired.incomplete, "said to be judged before all sources had reported"
    assert fired.query is not None
    assert fired.value is not None
    feed.rows([{"t_ms": T0 + 10 * MINUTE + 6000, "app": "agent", "n": 1, "cost": 30 * 10**9}])
    with connect(store) as client:
        (grown,) = client.query(fired.query)
    assert grown["value"] > fired.value, "its SQL gives what the window has come to since"
    assert "before all of the window was stored" in fired.annotations[NOTE]


def test_replay_does_not_fire_on_an_open_window(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    feed.rows(steady("agent", T0, T0 + 10 * MINUTE))
    feed.rows([{"t_ms": T0 + 10 * MINUTE + 5000, "app": "agent", "n": 1, "cost": 60 * 10**9}])
    engine()
    with AlertSubscriber(settings, match={"rule": "BudgetSpent"}) as sub:
        feed.tick(T0 + 9 * MINUTE, max_ts=T0 + 10 * MINUTE + 5000)
        until(lambda: evaluated(settings), "the engine at work")
        feed.tick(T0 + 11 * MINUTE)
        fired = first(sub)
    assert not fired.incomplete
    assert fired.fired_at is not None
    assert round(fired.fired_at.timestamp() * 1000) == T0 + 11 * MINUTE
