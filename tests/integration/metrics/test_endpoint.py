"""/healthz, /readyz and /metrics of a worker say what is the matter, while it is the matter."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamgauge.deploy.ports import free_ports
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.health import LOOP_S
from tests.support.endpoint import metric, probe, problems
from tests.support.hanging_worker import POISON
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    T0,
    MetricsWorker,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


class HangingWorker(MetricsWorker):
    module = "tests.support.hanging_worker"


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A store that may be killed."""
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    yield server
    server.stop()


def test_a_worker_that_works_is_ready_and_counts_what_it_does(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path, port: int
) -> None:
    values = [raw(request(i)) for i in range(1_000)]
    produce(kafka.bootstrap, topic, [*values, b"{", raw(request(2_000, v=2))])
    env = {"STREAMGAUGE_METRICS_PORT": str(port), "STREAMGAUGE_INSTANCE": "one"}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: stored(store) == 1_000, "all events")
        until(lambda: not problems(port, "/readyz"), "ready")
        ok = {"status": "ok", "writer": "metrics", "instance": "one", "problems": {}}
        assert probe(port, "/readyz") == (200, ok)
        assert probe(port, "/healthz") == (200, ok)
        until(lambda: sum(outcomes(store).values()) == 1_002, "the last table of the last flush")
        until(lambda: metric(port, "streamgauge_worker_lag_events") == 0, "and its tick")
        expected = {
            ("streamgauge_worker_rejects_total", "reason", "bad_json"): 1,
            ("streamgauge_worker_rejects_total", "reason", "unknown_major"): 1,
            ("streamgauge_worker_outcomes_total", "outcome", "stored"): 1_000,
            ("streamgauge_worker_rows_total", "table", "events"): 1_000,
            ("streamgauge_worker_lag_events", "writer", "metrics"): 0,
            ("streamgauge_worker_lag_seconds", "writer", "metrics"): 0,
            ("streamgauge_worker_ready", "writer", "metrics"): 1,
            ("streamgauge_worker_partitions", "writer", "metrics"): 4,
            ("streamgauge_worker_events_total", "writer", "metrics"): 1_002,
        }
        assert {
            (name, label, value): metric(port, name, **{label: value})
            for name, label, value in expected
        } == expected
        assert metric(port, "streamgauge_worker_flush_seconds_sum") > 0
        # The last event of the partition that is least far, less the lateness.
        age_s = time.time() - (T0 + 99_600 - 5_000) / 1000
        told_s = metric(port, "streamgauge_worker_watermark_age_seconds")
        assert told_s == pytest.approx(age_s, abs=10)
        assert worker.stop() == 0
    last = worker.events_logged("worker_stopped")
    assert [(line["writer"], line["level"]) for line in last] == [("metrics", "info")]
    for line in worker.log.read_text().splitlines():
        entry = json.loads(line)
        assert entry["service"] == "metrics", line
        assert entry["level"] in ("debug", "info", "warning", "error"), line
        assert entry["event"], line
        assert entry["ts"] / 1000 == pytest.approx(time.time(), abs=300), line


def test_a_store_that_is_away_makes_a_worker_unready_and_not_dead_and_its_lag_grows(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    own_server: EmbeddedStore,
    tmp_path: Path,
    port: int,
) -> None:
    store = own_server.settings("away")
    migrate(store)
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(400)])
    env = {"STREAMGAUGE_METRICS_PORT": str(port)}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: outcomes(store) == {"stored": 400}, "the first flush, to its last table")
        until(lambda: metric(port, "streamgauge_worker_lag_events") == 0, "and its tick")
        until(lambda: not problems(port, "/readyz"), "ready")
        own_server.kill()
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(400, 800)])
        until(lambda: problems(port, "/readyz").keys() >= {"store", "flush"}, "unready")
        said = problems(port, "/readyz")
        assert store.url in said["store"]
        assert said["flush"].startswith("insert into "), said
        lag_s = "streamgauge_worker_lag_seconds"
        until(lambda: metric(port, lag_s) > 4 * 4, "four partitions, each over 4 s behind")
        assert metric(port, "streamgauge_worker_lag_events") == 400
        assert metric(port, "streamgauge_worker_ready") == 0
        assert problems(port, "/healthz") == {}, "it waits, which is what it should do"
        own_server.start()
        until(lambda: not problems(port, "/readyz"), "ready again")
        until(lambda: outcomes(store) == {"stored": 800}, "all events")
        until(lambda: metric(port, lag_s) == 0, "nothing waits")
        assert worker.stop() == 0


def test_a_broker_that_is_away_makes_a_worker_unready_and_not_dead(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path, port: int
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(400)])
    env = {"STREAMGAUGE_METRICS_PORT": str(port)}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: stored(store) == 400 and not problems(port, "/readyz"), "ready")
        kafka.kill()
        try:
            until(lambda: "kafka" in problems(port, "/readyz"), "unready")
            assert kafka.bootstrap in problems(port, "/readyz")["kafka"]
            seen = time.monotonic()
            until(lambda: time.monotonic() - seen > LOOP_S + 2, "it is away for a while")
            assert problems(port, "/healthz") == {}, "it waits, which is what it should do"
        finally:
            kafka.restart()
        until(lambda: not problems(port, "/readyz"), "ready again")
        assert worker.stop() == 0


def test_a_worker_that_cannot_start_yet_says_what_it_waits_for(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path, port: int
) -> None:
    env = {"STREAMGAUGE_METRICS_PORT": str(port)}
    with MetricsWorker("127.0.0.1:1", topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: "127.0.0.1:1" in problems(port, "/readyz").get("kafka", ""), "told")
        assert problems(port, "/healthz") == {}
        assert worker.stop() == 0, "nothing is there to be stored"


@pytest.mark.parametrize("where", ["loop", "build"])
def test_a_worker_that_hangs_is_not_alive(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    port: int,
    where: str,
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(40)])
    env = {"STREAMGAUGE_METRICS_PORT": str(port), "HANG": where}
    with HangingWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env):
        until(lambda: stored(store) == 40 and not problems(port, "/readyz"), "ready")
        assert problems(port, "/healthz") == {}
        produce(kafka.bootstrap, topic, [POISON])
        sick = {"loop": "loop", "build": "flush"}[where]
        until(lambda: problems(port, "/healthz").keys() == {sick}, "it is sick")
        if where == "build":
            assert "'build'" in problems(port, "/healthz")["flush"]


def test_silent_clients_do_not_shut_the_others_out(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path, port: int
) -> None:
    env = {"STREAMGAUGE_METRICS_PORT": str(port)}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env):
        until(lambda: probe(port, "/healthz")[0] == 200, "it answers")
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        try:
            started = time.monotonic()
            assert probe(port, "/healthz")[0] == 200
            assert time.monotonic() - started < 5
            for connection in silent:  # cut off in the end
                connection.settimeout(30)
                assert connection.recv(1) == b""
        finally:
            for connection in silent:
                connection.close()
