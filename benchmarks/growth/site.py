"""Kafka, the store and one metrics worker as the supervisor starts it; what they hold and use.

    with site(folder, database="hour") as on:
        on.sender.order(0, 1_000)
        on.look()

Settings are the defaults. A worker that ends is an error: here nobody starts it again.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from benchmarks.consumers.meter import resident_mb
from benchmarks.growth.sender import Sender
from benchmarks.load import SPACING_MS
from benchmarks.services import PREFIX, Services, cpu_s, services
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.processes import ParentGuard
from streamgauge.deploy.stack.plan import StackConfig, client_env, worker_command, worker_env
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings

PARTITION_CAP_BYTES = 4 << 30
POSITION = "SELECT arraySum(mapValues(maxMap(next))) AS n FROM events WHERE kind = 1"
PARTS = (
    "SELECT count() AS parts, sum(bytes_on_disk) AS bytes,"
    " (SELECT sum(value) FROM system.events WHERE event = 'MergedUncompressedBytes') AS merged"
    " FROM system.parts WHERE active AND database = currentDatabase()"
)
MERGES = "SELECT count() AS n FROM system.merges WHERE database = currentDatabase()"
REST_S = 2.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """At one moment. at_s: monotonic. mb: resident. cpu_s: since the start of the process."""

    at_s: float
    acked: int
    stored: int
    worker_mb: float
    store_mb: float
    worker_cpu_s: float
    store_cpu_s: float


@dataclass(slots=True)
class Site:
    """All that runs. stored: offsets that table `events` is past, all partitions together."""

    services: Services
    settings: StoreSettings
    client: StoreClient
    worker: subprocess.Popen[bytes]
    sender: Sender
    log: Path

    def stored(self) -> int:
        """From the markers, so that it costs the same however large the store is."""
        (row,) = self.client.query(POSITION)
        return int(row["n"])

    def log_end(self) -> int:
        """Offsets that Kafka has, all partitions together."""
        topic, kafka = self.services.topic, KafkaSettings(self.services.kafka.bootstrap, PREFIX)
        consumer = Consumer(kafka.librdkafka(group_id="growth"))
        try:
            ends = [
                consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)
                for p in range(self.services.partitions)
            ]
        finally:
            consumer.close()
        return sum(high for _, high in ends)

    def parts(self) -> dict[str, int]:
        """parts and bytes of the database; merged: bytes, unpacked, since the store started."""
        (row,) = self.client.query(PARTS)
        return {name: int(value) for name, value in row.items()}

    def rest(self, most_s: float) -> None:
        """Wait until the store has merged nothing for two seconds; at most so long."""
        deadline = time.monotonic() + most_s
        quiet = time.monotonic()
        while (now := time.monotonic()) < min(deadline, quiet + REST_S):
            time.sleep(REST_S / 5)
            (row,) = self.client.query(MERGES)
            quiet = now if row["n"] else quiet

    def check(self) -> None:
        """RuntimeError if the worker or the sender has ended."""
        self.sender.check()
        if (status := self.worker.poll()) is not None:
            raise RuntimeError(f"the worker ended with {status}: see {self.log}")

    def look(self) -> Look:
        """What there is now; RuntimeError as `check`."""
        self.check()
        worker, store = self.worker.pid, self.services.store.pid
        return Look(
            time.monotonic(), self.sender.acked, self.stored(),
            resident_mb(worker, "VmRSS"), resident_mb(store, "VmRSS"),
            cpu_s(worker), cpu_s(store),
        )  # fmt: skip

    def peaks_mb(self) -> tuple[float, float]:
        """Most resident memory of worker and store since they started."""
        store = self.services.store.pid
        return resident_mb(self.worker.pid, "VmHWM"), resident_mb(store, "VmHWM")

    def stop_worker(self) -> None:
        """SIGTERM, upon which it writes what it holds; RuntimeError if it does not end well."""
        self.check()
        self.worker.terminate()
        if status := self.worker.wait(STOP_S):
            raise RuntimeError(f"SIGTERM ended the worker with {status}: see {self.log}")


@contextlib.contextmanager
def site(folder: Path, *, database: str, spacing_ms: int = SPACING_MS) -> Iterator[Site]:
    """Start all on what the folder holds; ended afterwards, the data stay.

    spacing_ms: between the times of two events that are sent at full speed.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as ends:
        on = ends.enter_context(services(folder=folder, partition_cap_bytes=PARTITION_CAP_BYTES))
        settings = on.store.settings(database)
        migrate(settings)
        client = ends.enter_context(connect(settings))
        log = folder / "worker.log"
        worker = ends.enter_context(_worker(on, settings, log))
        sender = Sender(on.kafka.bootstrap, on.topic, on.partitions, spacing_ms=spacing_ms)
        ends.callback(sender.end)
        yield Site(on, settings, client, worker, sender, log)


@contextlib.contextmanager
def _worker(on: Services, settings: StoreSettings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The metrics worker with the command and the environment that a stack gives it."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
    kafka = KafkaSettings(on.kafka.bootstrap, PREFIX)
    (port,) = free_ports(1)
    env = worker_env(
        StackConfig(home=str(on.folder / "home")),
        client_env(kafka, settings.to_env(), base=own),
        metrics_port=port,
    )
    with log.open("ab") as out:
        process = subprocess.Popen(worker_command("metrics"), env=env, stdout=out, stderr=out)
    guard = ParentGuard(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        guard.release()
