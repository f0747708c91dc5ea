"""Fixtures of the engine tests: topics, window rows, ticks, and the engine as a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.alerting.kafka_io import identities, read_back
from streamgauge.contracts import histogram
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record, to_json_bytes
from streamgauge.contracts.ticks import PartitionProgress, Tick, Writer
from streamgauge.contracts.topics import ALERT_EVALS, TICKS
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics
from tests.support.workers import WorkerProcess

PARTITIONS = 2


class Feed:
    """Plays the metrics worker: window rows into the store, ticks onto the topic."""

    def __init__(self, kafka: KafkaSettings, store: StoreSettings) -> None:
        self.kafka, self.store = kafka, store
        self._client = connect(store)
        self._producer = Producer(kafka.librdkafka())
        self._stored = 0

    def rows(self, rows: list[dict[str, Any]]) -> None:
        """Insert cells: t_ms, app, n, errors, late, and what else; both resolutions."""
        values = []
        for row in rows:
            for resolution in (10, 60):
                t = row["t_ms"] // 1000 // resolution * resolution
                hist = row.get("hist", {})
                pairs = ", ".join(f"{k}, {v}" for k, v in hist.items())
                values.append(
                    f"(0, today(), {resolution}, 'default', fromUnixTimestamp({t}),"
                    f" '{row['app']}', 'prod', 'openai', '{row.get('model', 'm1')}', 0, 1,"
                    f" {row.get('late', 0)}, {row.get('n', 0)}, {row.get('errors', 0)},"
                    f" {row.get('cost', 0)}, {row.get('unpriced', 0)},"
                    f" map({pairs})::Map(Int16, UInt64))"
                )
        self._client.command(
            "INSERT INTO windows (kind, written_on, resolution, tenant, t, app, env,"
            " provider, model, revision, scheme, late, n, errors, cost_nano_usd, unpriced_n,"
            " duration_ms_hist) VALUES " + ", ".join(values)
        )
        self._stored += len(rows)

    def tick(
        self, watermark_ms: int, *, behind: bool = False, max_ts: int | None = None,
        writer: Writer = Writer.METRICS,
    ) -> None:  # fmt: skip
        """Say how far everything is stored."""
        progress = PartitionProgress(
            stored_offset=self._stored,
            end_offset=self._stored + (5 if behind else 0),
            watermark_ms=watermark_ms,
            max_ts=max_ts or watermark_ms,
        )
        tick = Tick(
            v=1, writer=writer, instance="test", generation=1, wall_ms=watermark_ms,
            partitions={"llm.events.v1@aaaaaaaa/0": progress}, completeness=1.0,
        )  # fmt: skip
        self._producer.produce(self.kafka.topic(TICKS), to_json_bytes(tick), key=writer.value)
        assert self._producer.flush(20) == 0

    def close(self) -> None:
        """Close the client."""
        self._client.close()


@pytest.fixture
def settings(kafka: TestKafka, topic_prefix: str) -> KafkaSettings:
    """Kafka with the registry's topics under a fresh prefix."""
    return create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)


@pytest.fixture
def feed(settings: KafkaSettings, store: StoreSettings) -> Iterator[Feed]:
    """The played worker."""
    feed = Feed(settings, store)
    yield feed
    feed.close()


@pytest.fixture
def engine(
    settings: KafkaSettings, store: StoreSettings, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Makes engine processes on these topics and this database; ends them all."""
    made: list[WorkerProcess] = []

    def make(**env: str) -> WorkerProcess:
        process = WorkerProcess(
            "streamgauge.alerting.main", settings, store, tmp_path / f"engine-{len(made)}.log",
            {"STREAMGAUGE_CLOCK_MODE": "replay", **env},
        )  # fmt: skip
        made.append(process)
        process.start()
        return process

    yield make
    for process in made:
        process.end()


def steady(app: str, start_ms: int, end_ms: int, **more: Any) -> list[dict[str, Any]]:
    """Ten requests every 10 s."""
    hist = {histogram.bucket(500.0): 9, histogram.bucket(2000.0): 1}
    return [
        {"t_ms": t, "app": app, "n": 10, "cost": 2_000_000, "hist": hist, **more}
        for t in range(start_ms, end_ms, 10_000)
    ]


def evaluated(settings: KafkaSettings) -> list[tuple[str, int]]:
    """Rule and step of each final record of the log, in order per rule."""
    identity = identities(settings, ALERT_EVALS)[0]
    records = [
        parse_record(LoggedEvaluation, m.value() or b"")
        for p in range(identity.partitions)
        for m in read_back(settings, identity.name, p, clock=SystemClock())
    ]
    return [(r.rule, r.step_ms) for r in records if r.final]
