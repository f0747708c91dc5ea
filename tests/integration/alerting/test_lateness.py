"""How late an alert is, told by the whole engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamgauge.alerting import AlertSubscriber
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import to_ms
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, steady
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
RULES = """rules:
  - {name: Calls, kind: threshold, metric: requests, window: 1m, value: 5, severity: info,
     group_by: [app]}
"""


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_late_by_ms_is_wall_time_behind_the_step_when_live_and_null_in_a_replay(
    mode: str, engine: Callable[..., WorkerProcess], feed: Feed, settings: KafkaSettings,
    store: StoreSettings, tmp_path: Path,
) -> None:  # fmt: skip
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    feed.rows(steady("search", T0, T0 + 10 * MINUTE))
    engine(STREAMGAUGE_CLOCK_MODE=mode, STREAMGAUGE_RULES=str(rules))
    clock = SystemClock()
    before = clock.now_ms()
    with AlertSubscriber(settings, match={"rule": "Calls"}, from_start=True) as sub:
        feed.tick(T0 + 5 * MINUTE, behind=True)
        fired = next(sub.iter(timeout=60))
    after = clock.now_ms()
    if mode == "live":
        assert fired.late_by_ms is not None
        assert before <= to_ms(fired.updated_at) + fired.late_by_ms <= after
    else:
        assert fired.late_by_ms is None

    def stored() -> list[dict[str, object]]:
        with connect(store) as client:
            return client.query("SELECT late_by_ms FROM v_alert_history WHERE rule = 'Calls'")

    assert until(stored, "the alert in the view")[0] == {"late_by_ms": fired.late_by_ms}
