"""What the commands say of alerts and rules, from a real broker and the real engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from streamgauge.alerting.alert_log import to_record
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import ALERTS
from streamgauge.deploy.cli import main
from streamgauge.deploy.status.evaluated import evaluated_until_ms
from tests.support.alert_engine import Feed, engine, feed, settings, steady
from tests.support.alert_records import alert
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

__all__ = ["engine", "feed", "settings"]  # fixtures
pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_the_past_is_told_in_the_order_of_event_time(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(settings.librdkafka())
    for second, partition in ((1, 0), (4, 0), (2, 1), (3, 1)):
        record = alert(
            fingerprint=f"f{second}", rule=f"At{second}", updated_at=f"2026-01-01T00:00:0{second}Z"
        )
        value, headers = to_record(record)
        producer.produce(
            settings.topic(ALERTS), value, key=record.fingerprint, partition=partition,
            headers=list(headers),
        )  # fmt: skip
    assert producer.flush(20) == 0
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", settings.bootstrap)
    monkeypatch.setenv("STREAMGAUGE_TOPIC_PREFIX", settings.prefix)
    assert main(["alerts", "tail", "--from-start", "--timeout", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in lines] == ["At1", "At2", "At3", "At4"]


@pytest.mark.clickhouse
def test_rules_are_evaluated_up_to_the_clock_of_what_is_stored(
    engine: Callable[..., WorkerProcess], feed: Feed, settings: KafkaSettings
) -> None:
    start, minute = 1_750_000_200_000 // 3_600_000 * 3_600_000, 60_000
    assert evaluated_until_ms(settings, None) is None
    feed.rows(steady("search", start, start + 10 * minute))
    engine()
    feed.tick(start + 5 * minute)
    feed.tick(start + 10 * minute)

    def until_minute() -> float:
        found = evaluated_until_ms(settings, {"ErrorBurstFast", "LatencyShift"})
        return -1 if found is None else (found - start) / minute

    until(lambda: until_minute() >= 9, "the rules are evaluated to the last full minute")
    assert until_minute() <= 10
