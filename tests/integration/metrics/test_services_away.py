"""The store or the broker dies and comes back; a wrong configuration is said in one line."""

from __future__ import annotations

import json
import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    expected_sums,
    outcomes,
    produce,
    raw,
    request,
    stored,
    sums,
    until,
)
from tests.support.store_proxy import StoreProxy
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def test_a_store_that_is_killed_twice_gets_every_event_once(
    kafka: TestKafka, topic: str, topic_prefix: str, tmp_path: Path
) -> None:
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    store = server.settings("away")
    migrate(store)
    n = 4_500
    try:
        env = {"STREAMGAUGE_FLUSH_EVENTS": "300"}
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
            for third in range(3):
                part = range(third * n // 3, (third + 1) * n // 3)
                produce(kafka.bootstrap, topic, [raw(request(i)) for i in part])
                if third < 2:
                    before = third * n // 3
                    until(lambda: stored(store) > before, "an insert is under way")  # noqa: B023
                    server.kill()
                    until(lambda: bool(worker.events_logged("flush_retry")), "it has noticed")
                    server.start()
                    assert worker.running
            until(lambda: outcomes(store).get("stored") == n, "all events")
            assert worker.stop() == 0
        assert stored(store) == n
        assert sums(store) == expected_sums([request(i) for i in range(n)])
    finally:
        server.stop()


def test_a_broker_that_is_killed_and_comes_back_costs_no_event(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    n = 4_000
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2)])
        until(lambda: stored(store) > 0, "progress")
        kafka.kill()
        kafka.restart()
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2, n)])
        until(lambda: outcomes(store).get("stored") == n, "all events")
        assert worker.stop() == 0
    assert sums(store) == expected_sums([request(i) for i in range(n)])


def test_a_broker_whose_disk_is_full_ends_and_costs_no_event(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    n = 4_000
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2)])
        until(lambda: stored(store) == n // 2, "the first half")
        assert kafka.pid is not None
        hard = resource.prlimit(kafka.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(kafka.pid, resource.RLIMIT_FSIZE, (4096, hard))  # no file may grow beyond
        rest = [raw(request(i)) for i in range(n // 2, n)]
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(produce, kafka.bootstrap, topic, rest)
            until(lambda: kafka.pid is None, "the broker cannot write and ends")
            kafka.restart()
            sent.result(90)
        until(lambda: outcomes(store).get("stored") == n, "all events")
        assert worker.stop() == 0
    assert stored(store) == n
    assert sums(store) == expected_sums([request(i) for i in range(n)])


def test_a_topic_that_does_not_exist_is_said_in_one_line_with_exit_2(
    kafka: TestKafka, topic_prefix: str, store_server: EmbeddedStore, tmp_path: Path
) -> None:
    with MetricsWorker(
        kafka.bootstrap, topic_prefix, store_server.settings("none"), tmp_path
    ) as worker:
        assert worker.wait() == 2
    last = worker.log.read_text().strip().splitlines()[-1]
    assert f"topic {topic_prefix}events.v1 does not exist" in last
    assert "streamgauge topics create" in last


def test_a_wrong_setting_is_said_in_one_line_with_exit_2(
    kafka: TestKafka, topic_prefix: str, store_server: EmbeddedStore, tmp_path: Path
) -> None:
    wrong = {"STREAMGAUGE_FLUSH_EVENTS": "many"}
    with MetricsWorker(
        kafka.bootstrap, topic_prefix, store_server.settings("none"), tmp_path, **wrong
    ) as worker:
        assert worker.wait() == 2
    (line,) = worker.log.read_text().strip().splitlines()
    assert "STREAMGAUGE_FLUSH_EVENTS='many': expected a number from 100 to 50000" in line


def test_a_service_that_is_away_at_the_start_is_told_once_and_again_in_the_last_line(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    here = KafkaSettings(kafka.bootstrap, topic_prefix)
    no_kafka = KafkaSettings("127.0.0.1:1", topic_prefix)
    no_store = replace(store, url="http://127.0.0.1:1")
    cases = {
        "metrics without Kafka": ("stream_processors.metrics", no_kafka, store),
        "metrics without a store": ("stream_processors.metrics", here, no_store),
        "alerts without Kafka": ("alerting", no_kafka, store),
        "alerts without a store": ("alerting", here, no_store),
    }
    started = {
        name: WorkerProcess(f"streamgauge.{module}.main", at, to, tmp_path / f"{name}.log")
        for name, (module, at, to) in cases.items()
    }
    try:
        for worker in started.values():
            worker.start()
        for name, worker in started.items():
            assert worker.process is not None
            assert worker.process.wait(90) == 3, name
            *before, last = worker.log.read_text().strip().splitlines()
            assert "127.0.0.1:1" in last, name
            said = [json.loads(line) for line in before]
            assert {line["event"] for line in said} == {"waiting"}, f"{name}: {before}"
            told = [json.dumps({k: v for k, v in line.items() if k != "ts"}) for line in said]
            assert len(told) == len(set(told)) <= 3, f"{name}: {before}"  # once a reason
        assert "Connection refused" in started["metrics without Kafka"].tail()
    finally:
        for worker in started.values():
            worker.end()


def test_a_store_that_hangs_up_at_the_start_is_waited_for(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(100)])
    with (
        StoreProxy(replace(store, url="http://127.0.0.1:1")) as proxy,
        MetricsWorker(kafka.bootstrap, topic_prefix, proxy.settings, tmp_path) as worker,
    ):
        until(lambda: not worker.running or bool(worker.events_logged("waiting")), "it waits")
        proxy.store = store
        until(lambda: not worker.running or stored(store) == 100, "all events")
        assert worker.stop() == 0
