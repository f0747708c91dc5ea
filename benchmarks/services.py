"""A real Kafka and a real ClickHouse engine for a benchmark, and consumers as processes on them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.deploy import topics
from streamgauge.deploy.kafka import LocalKafka
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings

PREFIX = "bench."
CONSUMER_S = 300.0


def cpu_s(pid: int | None) -> float:
    """CPU seconds that a process has used so far, all its threads."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Services:
    """Both, with the topics made."""

    kafka: LocalKafka
    store: EmbeddedStore
    partitions: int
    folder: Path

    @property
    def topic(self) -> str:
        """The events topic."""
        return KafkaSettings(self.kafka.bootstrap, PREFIX).topic(EVENTS)

    @contextlib.contextmanager
    def database(self) -> Iterator[StoreSettings]:
        """An empty database, so that a worker begins at the beginning."""
        settings = self.store.settings(f"b{uuid.uuid4().hex[:10]}")
        migrate(settings)
        try:
            yield settings
        finally:
            with connect(settings) as client:
                client.command(f"DROP DATABASE `{settings.database}` SYNC", use_database=False)

    def environment(self, store: StoreSettings, **more: str) -> dict[str, str]:
        """What a worker on these services reads."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
        return {
            **own,
            **store.to_env(),
            "STREAMGAUGE_BOOTSTRAP": self.kafka.bootstrap,
            "STREAMGAUGE_TOPIC_PREFIX": PREFIX,
            "STREAMGAUGE_LOG_LEVEL": "WARNING",
            **more,
        }

    def start(
        self,
        consumer: str,
        *arguments: object,
        python: str | Path = sys.executable,
        **env: str,
    ) -> subprocess.Popen[str]:
        """A consumer of benchmarks/consumers as a process, with this environment alone."""
        command = [str(python), "-m", f"benchmarks.consumers.{consumer}", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that a consumer prints at its end."""
    try:
        out, _ = process.communicate(timeout=CONSUMER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@contextlib.contextmanager
def services(
    *,
    partitions: int = 8,
    memory_mb: int = 2048,
    folder: Path | None = None,
    partition_cap_bytes: int = 1 << 30,
) -> Iterator[Services]:
    """Start both in a temporary folder, or in one that is kept; ended afterwards."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgauge-bench-"))
            folder = Path(name)
        kafka = LocalKafka(folder / "kafka", partition_cap_bytes=partition_cap_bytes)
        store = EmbeddedStore(folder / "store", memory_mb=memory_mb, die_with_parent=True)
        kafka.start()
        try:
            store.start()
            settings = KafkaSettings(kafka.bootstrap, PREFIX)
            topics.create_topics(settings, partitions=partitions)
            yield Services(kafka, store, partitions, folder)
        finally:
            store.stop()
            kafka.kill()
