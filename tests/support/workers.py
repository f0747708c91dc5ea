"""Stream workers as processes of their own, and events for them, for the integration tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.storage.settings import StoreSettings


class WorkerProcess:
    """One `run()` of a worker module. Its log lines are in `log`."""

    def __init__(
        self,
        module: str,
        kafka: KafkaSettings,
        store: StoreSettings,
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", module]
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")} | {
            "STREAMGAUGE_BOOTSTRAP": kafka.bootstrap,
            "STREAMGAUGE_TOPIC_PREFIX": kafka.prefix,
            **store.to_env(),
            "STREAMGAUGE_STATIC_ID": "1",  # a killed worker comes back at once
            "STREAMGAUGE_FLUSH_S": "0.2",
            **(env or {}),
        }
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, env=self._env, stdout=out, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        assert self.process.poll() is None, self.tail()
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; its exit code. Nothing to do if it has ended."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def end(self) -> None:
        """Whatever its state."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def tail(self) -> str:
        """The end of its log, for messages."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def wait_for(
        self, what: str, condition: Callable[[], bool], *, timeout_s: float = 60.0
    ) -> None:
        """Poll until the condition holds; fails with the log if the worker ends or time is up."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = "the worker ended" if ended else f"not within {timeout_s:.0f} s"
                raise AssertionError(f"{what}: {why}\n{self.tail()}")
            time.sleep(0.1)


def send(kafka: KafkaSettings, events: Iterable[Mapping[str, Any]]) -> None:
    """Send events as plain JSON lines, spread over the partitions; returns when Kafka has them."""
    producer = Producer(kafka.librdkafka(**{"linger.ms": 5, "acks": "all"}))
    for i, event in enumerate(events):
        producer.produce(kafka.topic(EVENTS), json.dumps(event).encode(), partition=i % 8)
        if i % 1000 == 0:
            producer.poll(0)
    assert producer.flush(30) == 0
