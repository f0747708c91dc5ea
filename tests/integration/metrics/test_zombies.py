"""A worker that stands still past its session, at each place of a flush, and then wakes.

Another worker has taken its partitions over and has gone on. What the first one still has in its
hands when it wakes, half a request or a whole one, must change nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.storage.settings import StoreSettings
from tests.support.exact import assert_exact, wait_for_slow_tables
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

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
FULL = pytest.mark.full


@pytest.mark.parametrize(
    "point",
    [
        "mid_insert:stop:4",
        "before_ack:stop:2",
        pytest.param("on_recall:stop", marks=FULL),
        pytest.param("before_insert:stop", marks=FULL),
        pytest.param("before_insert:stop:3", marks=FULL),
        pytest.param("mid_insert:stop", marks=FULL),
        pytest.param("mid_insert:stop:7", marks=FULL),
        pytest.param("between_sinks:stop", marks=FULL),
        pytest.param("between_sinks:stop:6", marks=FULL),
        pytest.param("before_ack:stop", marks=FULL),
    ],
)
def test_who_wakes_at_a_fail_point_after_another_took_over_changes_nothing(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path, point: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    topic, n, more = f"{topic_prefix}events.v1", 6_000, 1_000
    zombie = MetricsWorker(
        kafka.bootstrap, topic_prefix, store, tmp_path,
        STREAMGAUGE_FAILPOINT=point, STREAMGAUGE_FLUSH_EVENTS="300",
    )  # fmt: skip
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n)])
    with zombie:
        until(lambda: zombie.frozen, f"it stands at {point}")
        assert zombie.events_logged("failpoint")
        assert stored(store) < n, "it still had something to do"
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as other:
            until(lambda: outcomes(store).get("stored") == n, "the other has taken over")
            assert zombie.frozen
            before = len(zombie.events_logged("buffers_dropped"))
            zombie.wake()
            until(
                lambda: len(zombie.events_logged("buffers_dropped")) > before,
                "it has seen that it is late",
            )
            produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n, n + more)])
            until(lambda: outcomes(store).get("stored", 0) >= n + more, "both go on")
            wait_for_slow_tables(store, n + more)
            assert zombie.running
            assert zombie.stop() == 0
            assert other.stop() == 0
    assert_exact(store, n + more)
