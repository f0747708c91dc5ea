"""SIGTERM: a worker is gone within 3 s, under full load and whatever hangs, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from tests.support.audited import assert_exact, until_whole
from tests.support.in_flight import frozen
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
from tests.support.waiting import measured_below

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
    def end() -> float:
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
            before = stored(store)
            until(lambda: stored(store) > before + 5_000, "it is in full swing")
            asked = time.monotonic()
            assert worker.stop() == 0
            took_s = time.monotonic() - asked
            assert worker.events_logged("worker_stopped")
            return took_s

    with SteadyLoad(kafka.bootstrap, topic, per_second=None, partitions=PARTITIONS) as load:
        measured_below(STOP_S, end, "from SIGTERM to the exit under full load")
        n = load.end()
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as last:
        until_whole(store, n, seconds=200)
        assert last.stop() == 0
    assert_exact(store, n)


@contextmanager
def dead(kafka: TestKafka) -> Iterator[None]:
    """The broker is killed, and comes back afterwards."""
    kafka.kill()
    try:
        yield
    finally:
        kafka.restart()


DEAD = pytest.param("its Kafka is dead", marks=pytest.mark.full)


@pytest.mark.parametrize("what", ["its store hangs", "its Kafka hangs", DEAD])
def test_a_worker_is_gone_within_3_s_too_while(
    kafka: TestKafka, topic: str, topic_prefix: str, tmp_path: Path, what: str
) -> None:
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    store = server.settings("hangs")
    migrate(store)
    n = 0

    def send() -> None:
        nonlocal n
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n, n + 1_000)])
        n += 1_000

    def away() -> AbstractContextManager[None]:
        if what == "its Kafka is dead":
            return dead(kafka)
        pid = server.pid if what == "its store hangs" else kafka.pid
        assert pid is not None
        return frozen(pid)

    def end() -> float:
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
            send()
            until(lambda: outcomes(store).get("stored") == n, "it is at work")
            if what != "its store hangs":
                send()  # read or not, it is not all written when Kafka is away
            with away():
                if what == "its store hangs":
                    send()
                time.sleep(1)  # a flush is on its way, without an answer
                asked = time.monotonic()
                assert worker.stop() == 0
                took_s = time.monotonic() - asked
            assert worker.events_logged("drain_cut_short")
            assert worker.events_logged("worker_stopped")
            return took_s

    try:
        measured_below(STOP_S, end, f"from SIGTERM to the exit while {what}")
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as last:
            until(lambda: sum(outcomes(store).values()) >= n, "all of it")
            assert last.stop() == 0
        assert_exact(store, n)
    finally:
        server.stop()
