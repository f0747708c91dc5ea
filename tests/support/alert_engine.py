"""Fixtures of the engine tests: topics, window rows, ticks, and the engine as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streamgauge.contracts import histogram
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import to_json_bytes
from streamgauge.contracts.ticks import PartitionProgress, Tick, Writer
from streamgauge.contracts.topics import TICKS
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics

PARTITIONS = 2


class Feed:
    """Plays the metrics worker: window rows into the store, ticks onto the topic."""

    def __init__(self, kafka: KafkaSettings, store: StoreSettings) -> None:
        self.kafka, self.store = kafka, store
        self._client = connect(store)
        self._producer = Producer(kafka.librdkafka())
        self._stored = 0

    def rows(self, rows: list[dict[str, Any]]) -> None:
        """Insert cells: t_ms, app, n, errors, and what else; both resolutions."""
        values = []
        for row in rows:
            for resolution in (10, 60):
                t = row["t_ms"] // 1000 // resolution * resolution
                hist = row.get("hist", {})
                pairs = ", ".join(f"{k}, {v}" for k, v in hist.items())
                values.append(
                    f"(0, today(), {resolution}, 'default', fromUnixTimestamp({t}),"
                    f" '{row['app']}', 'prod', 'openai', '{row.get('model', 'm1')}', 0, 1,"
                    f" {row.get('n', 0)}, {row.get('errors', 0)}, {row.get('cost', 0)},"
                    f" {row.get('unpriced', 0)}, map({pairs})::Map(Int16, UInt64))"
                )
        self._client.command(
            "INSERT INTO windows (kind, written_on, resolution, tenant, t, app, env,"
            " provider, model, revision, scheme, n, errors, cost_nano_usd, unpriced_n,"
            " duration_ms_hist) VALUES " + ", ".join(values)
        )
        self._stored += len(rows)

    def tick(self, watermark_ms: int, *, behind: bool = False, max_ts: int | None = None) -> None:
        """Say how far everything is stored."""
        progress = PartitionProgress(
            stored_offset=self._stored,
            end_offset=self._stored + (5 if behind else 0),
            watermark_ms=watermark_ms,
            max_ts=max_ts or watermark_ms,
        )
        tick = Tick(
            v=1, writer=Writer.METRICS, instance="test", generation=1, wall_ms=watermark_ms,
            partitions={"llm.events.v1@aaaaaaaa/0": progress}, completeness=1.0,
        )  # fmt: skip
        self._producer.produce(self.kafka.topic(TICKS), to_json_bytes(tick), key="metrics")
        assert self._producer.flush(20) == 0

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class EngineProcess:
    """`python -m streamgauge.alerting.main`, killable."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self._env, self.log = env, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamgauge.alerting.main"],
                env={**os.environ, **self._env}, stdout=out, stderr=out,
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        """Whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)


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
) -> Iterator[Callable[..., EngineProcess]]:
    """Makes engine processes on these topics and this database; ends them all."""
    made: list[EngineProcess] = []

    def make(**env: str) -> EngineProcess:
        full = {
            **store.to_env(),
            "STREAMGAUGE_BOOTSTRAP": settings.bootstrap,
            "STREAMGAUGE_TOPIC_PREFIX": settings.prefix,
            "STREAMGAUGE_CLOCK_MODE": "replay",
            **env,
        }
        process = EngineProcess(full, tmp_path / f"engine-{len(made)}.log")
        made.append(process)
        process.start()
        return process

    yield make
    for process in made:
        process.end()


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Poll until the condition gives something true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:g} s for: {what}")


def steady(app: str, start_ms: int, end_ms: int, **more: Any) -> list[dict[str, Any]]:
    """Ten requests every 10 s."""
    hist = {histogram.bucket(500.0): 9, histogram.bucket(2000.0): 1}
    return [
        {"t_ms": t, "app": app, "n": 10, "cost": 2_000_000, "hist": hist, **more}
        for t in range(start_ms, end_ms, 10_000)
    ]
