"""SIGTERM: a worker is gone within 3 s, under full load and whatever hangs, and loses nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from tests.support.audited import assert_exact
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    MetricsWorker,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
)
from tests.support.steady_load import SteadyLoad

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
PARTITIONS = 8
STOP_S = 3.0


@pytest.fixture
def topic(kafka: TestKafka, topic_prefix: str) -> str:
    """The events topic under a prefix of this test's own."""
    create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
    return f"{topic_prefix}events.v1"


def test_under_load_a_worker_is_gone_within_3_s_of_sigterm_and_no_event_with_it(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    took_s = []
    with SteadyLoad(kafka.bootstrap, topic, per_second=None, partitions=PARTITIONS) as load:
        for _ in range(2):
            with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
                before = stored(store)
                until(lambda: stored(store) > before + 5_000, "it is in full swing")  # noqa: B023
                asked = time.monotonic()
                assert worker.stop() == 0
                took_s.append(time.monotonic() - asked)
                assert worker.events_logged("worker_stopped")
        n = load.end()
    print(f"from SIGTERM to the exit under full load, s: {[round(s, 2) for s in took_s]}")
    assert max(took_s) < STOP_S
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as last:
        until(lambda: stored(store) == n, "all events", seconds=180)
        assert last.stop() == 0
    assert_exact(store, n)


def test_a_worker_whose_store_hangs_is_gone_within_3_s_too(
    kafka: TestKafka, topic: str, topic_prefix: str, tmp_path: Path
) -> None:
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    store = server.settings("hangs")
    migrate(store)
    n = 2_000
    try:
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
            produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2)])
            until(lambda: stored(store) == n // 2, "the first half")
            assert server.pid is not None
            os.kill(server.pid, signal.SIGSTOP)
            try:
                produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2, n)])
                time.sleep(1)  # an insert is on its way, without an answer
                asked = time.monotonic()
                assert worker.stop() == 0
                took_s = time.monotonic() - asked
            finally:
                os.kill(server.pid, signal.SIGCONT)
        print(f"from SIGTERM to the exit while the store hangs: {took_s:.2f} s")
        assert took_s < STOP_S
        assert worker.events_logged("drain_cut_short")
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as last:
            until(lambda: outcomes(store).get("stored") == n, "all events")
            assert last.stop() == 0
        assert_exact(store, n)
    finally:
        server.stop()
