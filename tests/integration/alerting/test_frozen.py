"""An open alert whose rule can no longer be evaluated, through the whole engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamgauge.alerting import AlertSubscriber
from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, steady
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
RULES = """rules:
  - {name: Errors, kind: threshold, metric: errors, window: 1m, value: 5, severity: page,
     every: 10s, group_by: [app]}
  - {name: Calls, kind: threshold, metric: requests, window: 1m, value: 5, severity: info,
     every: 10s, group_by: [app]}
"""


def said(sub: AlertSubscriber, count: int) -> list[Alert]:
    """The next alerts, ordered by rule."""
    found = [next(sub.iter(timeout=60)) for _ in range(count)]
    return sorted(found, key=lambda a: a.rule)


def test_refused_query_freezes_its_open_alert_which_says_so_and_goes_on_after_a_restart(
    engine: Callable[..., WorkerProcess], feed: Feed, settings: KafkaSettings,
    store: StoreSettings, tmp_path: Path,
) -> None:  # fmt: skip
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    feed.rows(steady("search", T0, T0 + 20 * MINUTE, errors=9))
    process = engine(STREAMGAUGE_RULES=str(rules), STREAMGAUGE_ALERTS_NO_TICKS_S="600",
                     STREAMGAUGE_ALERTS_STALL_S="600")  # fmt: skip
    with connect(store) as client, AlertSubscriber(settings, from_start=True) as sub:
        feed.tick(T0 + 5 * MINUTE)
        calls, fired = said(sub, 2)
        assert (calls.rule, fired.rule) == ("Calls", "Errors")

        client.command("ALTER TABLE windows RENAME COLUMN errors TO gone")
        feed.tick(T0 + 6 * MINUTE)
        frozen, failing = said(sub, 2)
        assert (frozen.rule, frozen.transition, frozen.status) == ("Errors", "error", "firing")
        assert frozen.episode == fired.episode
        assert (failing.rule, failing.labels["failing_rule"]) == ("RuleEvaluationFailing", "Errors")
        for alert in (frozen, failing):
            assert "errors" in str(alert.evidence["error"]), "the store's own words"

        process.kill()
        process.start()
        client.command("ALTER TABLE windows RENAME COLUMN gone TO errors")
        feed.tick(T0 + 7 * MINUTE)
        clear, resolved = said(sub, 2)
        assert (clear.rule, clear.transition, clear.status) == ("Errors", "error_cleared", "firing")
        assert (clear.episode, clear.seq) == (fired.episode, fired.seq + 2)
        assert (resolved.rule, resolved.transition) == ("RuleEvaluationFailing", "resolved")
    with AlertSubscriber(settings) as late:
        open_now = {a.rule for a in late.current()}
    assert open_now == {"Calls", "Errors"}
