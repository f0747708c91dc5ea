"""A metrics worker as its own process against a real Kafka and store, and what to ask of it.

with MetricsWorker(kafka, prefix, store) as worker:
    produce(kafka, topic, [request(1), request(2)])
    until(lambda: stored(store) == 2)
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Producer

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings

T0 = 1_790_000_000_000
DEADLINE_S = 90.0


def request(i: int, **fields: Any) -> dict[str, Any]:
    """A valid llm.request; every figure follows from i."""
    return {
        "v": 1,
        "id": f"e{i}",
        "type": "llm.request",
        "ts": T0 + i * 100,
        "app": f"app{i % 3}",
        "producer_id": "p1",
        "seq": i + 1,
        "op": "chat",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "status": "ok" if i % 10 else "error",
        "duration_ms": 100 + i % 900,
        "input_tokens": 100 + i % 50,
        "output_tokens": 10 + i % 7,
        "content": "none",
    } | fields


def raw(event: dict[str, Any]) -> bytes:
    """As our client writes it."""
    return json.dumps(event, separators=(",", ":")).encode()


def produce(
    bootstrap: str, topic: str, values: Sequence[bytes], *, partition: int | None = None
) -> None:
    """Send and wait until Kafka has them. Without a partition: round robin, so order is known."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            "message.max.bytes": 4_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    failed: list[str] = []

    def done(error: Any, _: Any) -> None:
        if error is not None:
            failed.append(str(error))

    for i, value in enumerate(values):
        where = partition if partition is not None else i % 4
        producer.produce(topic, value, partition=where, on_delivery=done)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert not failed, failed[0]


def until(condition: Callable[[], bool], what: str, *, seconds: float = DEADLINE_S) -> None:
    """Poll until it holds, or fail saying what did not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


@functools.lru_cache(maxsize=2)
def _client(store: StoreSettings) -> StoreClient:
    """Kept: to connect costs six times what a question does, and tests ask until it holds."""
    return connect(store)


def ask(store: StoreSettings, sql: str) -> list[dict[str, Any]]:
    """Rows of a query."""
    return _client(store).query(sql)


def one(store: StoreSettings, sql: str) -> Any:
    """The single value of a query."""
    (row,) = ask(store, sql)
    (value,) = row.values()
    return value


def stored(store: StoreSettings) -> int:
    """Rows of raw events."""
    return int(one(store, "SELECT count() FROM events WHERE kind = 0"))


def outcomes(store: StoreSettings) -> dict[str, int]:
    """Offsets by outcome."""
    rows = ask(store, "SELECT outcome, sum(n) AS n FROM ingest_log WHERE kind = 0 GROUP BY outcome")
    return {r["outcome"]: int(r["n"]) for r in rows}


def sums(store: StoreSettings, resolution: int = 10) -> dict[str, int]:
    """Totals of the windows of one resolution."""
    (row,) = ask(
        store,
        "SELECT sum(n) AS n, sum(errors) AS errors, sum(input_tokens) AS input_tokens,"
        " sum(output_tokens) AS output_tokens, sum(cost_nano_usd) AS cost_nano_usd,"
        " sum(duration_us_sum) AS duration_us_sum,"
        " arraySum(mapValues(sumMap(duration_ms_hist))) AS hist_n"
        f" FROM windows WHERE kind = 0 AND resolution = {resolution}",
    )
    return {k: int(v) for k, v in row.items()}


def expected_sums(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The same, counted from the events. gpt-4o-mini: 0.15 and 0.60 USD per million tokens."""
    tokens_in = sum(e["input_tokens"] for e in events)
    tokens_out = sum(e["output_tokens"] for e in events)
    return {
        "n": len(events),
        "errors": sum(e["status"] == "error" for e in events),
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cost_nano_usd": tokens_in * 150 + tokens_out * 600,
        "duration_us_sum": sum(e["duration_ms"] * 1000 for e in events),
        "hist_n": len(events),
    }


class MetricsWorker:
    """The worker as a process. Its log is in `log`."""

    module = "streamgauge.stream_processors.metrics.main"

    def __init__(
        self, bootstrap: str, prefix: str, store: StoreSettings, folder: Path, **env: str
    ) -> None:
        self.kafka = KafkaSettings(bootstrap, prefix)
        self.log = folder / f"worker-{time.time_ns()}.log"
        self.more = env
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")},
            **store.to_env(),
            "STREAMGAUGE_BOOTSTRAP": bootstrap,
            "STREAMGAUGE_TOPIC_PREFIX": prefix,
            "STREAMGAUGE_SESSION_S": "6",
            "STREAMGAUGE_FLUSH_S": "0.2",
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> MetricsWorker:
        """Start it; does not wait for its first flush."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env=self._env, stdout=out, stderr=out,
            )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        """Process id of a started worker."""
        assert self.process is not None
        return self.process.pid

    @property
    def owned(self) -> int:
        """Source partitions it reads since its last log line about them."""
        resumed = self.events_logged("resumed")
        dropped = self.events_logged("buffers_dropped")
        if not resumed or (dropped and dropped[-1]["epoch"] > resumed[-1]["epoch"]):
            return 0
        return len(resumed[-1]["positions"])

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.poll() is None

    def rss_mb(self) -> float:
        """Its resident memory."""
        assert self.process is not None
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def peak_rss_mb(self) -> float:
        """The most resident memory that it ever had, as the kernel counts it."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kib) * 1024 / 1e6

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def wait(self, seconds: float = DEADLINE_S) -> int:
        """Its exit status; -9 after a kill -9."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def freeze(self) -> None:
        """SIGSTOP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def frozen(self) -> bool:
        """Whether it stands still, by SIGSTOP of anybody."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        return stat.rpartition(")")[2].split()[0] == "T"

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def events_logged(self, name: str) -> list[dict[str, Any]]:
        """Log lines with this event name."""
        found = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry["event"] == name:
                    found.append(entry)
        return found

    def __enter__(self) -> MetricsWorker:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()


@contextlib.contextmanager
def worker_that_dies(worker: MetricsWorker) -> Iterator[MetricsWorker]:
    """Start it and wait until its fail point has killed it."""
    with worker:
        yield worker
        assert worker.wait() == -signal.SIGKILL, worker.log.read_text()[-2000:]
