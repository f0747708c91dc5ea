"""Clock mode live: events that Kafka took long after they happened alert nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting import AlertSubscriber
from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.kafka import KafkaSettings
from tests.support.alert_engine import Feed, steady
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

MINUTE = 60_000
RULES = """
rules:
  - {name: Silent, kind: absence, window: 2m, baseline: 10m, expected: 20, every: 10s,
     severity: info}
  - {name: Failing, kind: ratio, bad: errors, window: 2m, value: 0.5, min_events: 10, every: 10s,
     severity: info}
  - {name: Unpriced, kind: threshold, metric: unpriced_requests, window: 2m, value: 5, every: 10s,
     severity: info}
  - {name: Dear, kind: change, metric: cost_usd, window: 2m, baseline: 10m, value: 3, every: 10s,
     severity: info}
  - {name: Spent, kind: budget, amount_usd: 1, period: "rolling:1h", every: 10s}
  - {name: Other, kind: novelty, dimension: model, window: 2m, baseline: 1h, learn: 10m,
     min_count: 5, every: 10s, severity: info}
"""


def plant(feed: Feed, name: str, now: int, **more: Any) -> None:
    """Apps that break every rule, twenty minutes of them up to now."""
    first, turn = now - 20 * MINUTE, now - 90_000
    feed.rows(steady(f"{name}-silent", first, now - 3 * MINUTE, **more))
    feed.rows(steady(f"{name}-bad", first, turn, **more))
    worse = {"errors": 9, "unpriced": 5, "cost": 200_000_000, "model": "m2"}
    feed.rows(steady(f"{name}-bad", turn, now + MINUTE, **{**worse, **more}))


def test_late_rows_alert_nobody_and_timely_twins_do(
    engine: Callable[..., WorkerProcess], feed: Feed, settings: KafkaSettings, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES, "utf-8")
    clock = SystemClock()
    now = clock.now_ms() // 10_000 * 10_000
    plant(feed, "timely", now)
    plant(feed, "replayed", now, late=1)
    # Silent as far as timely events go, but late ones still come: that is life, not silence.
    feed.rows(steady("delayed", now - 20 * MINUTE, now - 3 * MINUTE))
    feed.rows(steady("delayed", now - 3 * MINUTE, now + MINUTE, late=1))
    engine(STREAMGAUGE_CLOCK_MODE="live", STREAMGAUGE_RULES=str(rules))
    alerts: list[Alert] = []
    wanted = {
        ("Silent", "timely-silent"), ("Failing", "timely-bad"), ("Unpriced", "timely-bad"),
        ("Dear", "timely-bad"), ("Spent", "timely-bad"), ("Other", "timely-bad"),
    }  # fmt: skip

    def found() -> set[tuple[str, str]]:
        feed.tick(clock.now_ms() - 5_000)
        alerts.extend(sub.iter(timeout=1))
        return {(a.rule, a.labels.get("app", "")) for a in alerts}

    with AlertSubscriber(settings, from_start=True) as sub:
        until(lambda: found() >= wanted, "every rule fires for the timely apps", timeout_s=60)
        assert found() == wanted
    assert all(" late = 0" in (a.query or "") for a in alerts if a.rule != "Silent")
