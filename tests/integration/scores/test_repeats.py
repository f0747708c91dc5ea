"""Scores know a repeat after a restart, wherever the metrics worker is that notes what was seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    MetricsWorker,
    one,
    produce,
    raw,
    request,
    stored,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

PARTITIONS = 4
N = 200  # of each of the four parts: 50 in each partition


class ScoresWorker(MetricsWorker):
    """The scores worker."""

    module = "streamgauge.stream_processors.scores.main"

    def began(self) -> tuple[set[int], int]:
        """Offsets where it began to read, and how many lie below what it had stored."""
        resumed = self.events_logged("resumed")[0]
        return set(resumed["positions"].values()), resumed["read_back"]


def scored(store: StoreSettings) -> int:
    """Requests in the windows of scores."""
    return int(
        one(
            store,
            "SELECT sum(n) FROM score_windows WHERE kind = 0 AND resolution = 60"
            " AND name = 'toxicity' AND side = 'prompt'",
        )
    )


def test_whether_metrics_is_behind_or_ahead(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
    first, second, third, fourth = (
        [raw(request(i, content="redacted", input_text="hello")) for i in range(at, at + N)]
        for at in range(0, 4 * N, N)
    )

    def send(*parts: list[bytes]) -> None:
        values = [value for part in parts for value in part]
        produce(kafka.bootstrap, f"{topic_prefix}events.v1", values)

    def metrics_stores(n: int) -> None:
        with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as metrics:
            until(lambda: stored(store) == n, f"{n} raw events")
            assert metrics.stop() == 0

    def scores_has(n: int) -> ScoresWorker:
        """A worker that ran until then; the last of the topic is no repeat."""
        scores = ScoresWorker(kafka.bootstrap, topic_prefix, store, tmp_path)
        with scores:
            until(lambda: scored(store) >= n, f"{n} requests in scores")
            assert scores.stop() == 0
        assert scored(store) == n, "a repeat was counted"
        return scores

    send(first)
    metrics_stores(N)
    send(second)
    scores_has(2 * N)
    # Behind: `events` ends where the first part does.
    send(first, second, third)
    assert scores_has(3 * N).began() == ({N // PARTITIONS}, N)
    # Ahead: `events` has the fourth part, and scores must not take that for seen.
    send(third, fourth)
    metrics_stores(4 * N)
    assert scores_has(4 * N).began() == ({5 * N // PARTITIONS}, 0)
