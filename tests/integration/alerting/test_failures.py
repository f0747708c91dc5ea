"""What fails in the engine fails alone: alerts go out all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from streamgauge.alerting import AlertSubscriber, fire_test
from streamgauge.alerting.kafka_io import identities, read_back
from streamgauge.contracts.alerts import Alert, AlertStatus, Transition
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.ticks import Writer
from streamgauge.contracts.topics import ALERT_EVALS
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import PARTITIONS, Feed
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
Make = Callable[..., WorkerProcess]


def test_metrics_worker_that_dies_while_the_others_live_on_raises_ingest_stalled(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    feed.tick(T0)
    engine(STREAMGAUGE_ALERTS_NO_TICKS_S="2", STREAMGAUGE_ALERTS_STALL_S="3")
    with AlertSubscriber(settings, match={"rule": "IngestStalled"}, from_start=True) as sub:
        got: list[Alert] = []
        for _ in range(60):
            feed.tick(T0 + MINUTE, writer=Writer.SCORES)
            feed.tick(T0 + MINUTE, writer=Writer.DRIFT)
            got += list(sub.iter(timeout=0.5))
            if got:
                break
        assert [a.transition for a in got] == [Transition.FIRED]
        feed.tick(T0 + MINUTE)
        heard = next(sub.iter(timeout=60))
        assert heard.status is AlertStatus.RESOLVED


def test_alerts_go_out_though_their_history_cannot_be_written(
    engine: Make, settings: KafkaSettings, store: StoreSettings
) -> None:
    with connect(store) as client:
        client.command("DROP TABLE alerts SYNC")
    process = engine()
    until(lambda: "loop_failed_alone" in process.log.read_text(), "the history writer's failure")
    fired, resolved = fire_test(settings, timeout_s=60)
    assert (fired.status, resolved.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert process.stop() == 0


def test_a_record_that_makes_no_sense_takes_no_engine_down(
    engine: Make, settings: KafkaSettings
) -> None:
    process = engine()
    fire_test(settings, timeout_s=60)
    log_id = identities(settings, ALERT_EVALS)[0]
    (value,) = [
        m.value() or b""
        for p in range(PARTITIONS)
        for m in read_back(settings, log_id.name, p, clock=SystemClock())
        if b'"breach":"info"' in (m.value() or b"")
    ]
    producer = Producer(settings.librdkafka())
    for partition in range(PARTITIONS):
        nonsense = value.replace(b'"breach":"info"', b'"breach":"purple"').replace(
            b'"FireTest"', b'"Forged"'
        )
        producer.produce(log_id.name, nonsense, key="Forged", partition=partition)
    assert producer.flush(20) == 0
    fired, resolved = fire_test(settings, timeout_s=60)
    assert (fired.status, resolved.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert process.stop() == 0
