"""The process that sends events, by the clock or at full speed, and its driver.

    python -m benchmarks.growth.sender BOOTSTRAP TOPIC PARTITIONS SPACING_MS

stdin: orders, lines "START N RATE": the events number START to START + N - 1, RATE a second with
the present time; RATE 0: as fast as Kafka takes them, SPACING_MS apart by their number. stdout,
twice a second and after each order: {"acked": of all orders, "done": orders that are acknowledged
to the end, "behind_s": how late the last one was at most}. Exit 1: Kafka refused an event.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.load import T0_MS
from benchmarks.sending import SenderProcess
from benchmarks.templates import render

AT_ONCE = 1_000
PAUSE_S = 0.02
SAY_S = 0.5


def now_ms(_: int) -> int:
    """The present."""
    return time.time_ns() // 1_000_000


class Books:
    """Sends, and knows what Kafka has."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, spacing_ms: int) -> None:
        self._topic, self._partitions, self._spacing_ms = topic, partitions, spacing_ms
        self._sent = self._done = 0
        self._behind_s = self._said = 0.0
        self._failed = ""
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20,
                "compression.type": "zstd", "message.timeout.ms": 0, "log_level": 2,
                "batch.num.messages": 5_000, "queue.buffering.max.messages": 100_000,
                "delivery.report.only.error": True, "on_delivery": self._refused,
            }
        )  # fmt: skip

    def _refused(self, error: KafkaError | None, _: Message) -> None:
        self._failed = self._failed or str(error)

    def order(self, start: int, n: int, rate: float) -> None:
        """Send these and wait until Kafka has them."""
        ts_ms = now_ms if rate else self._by_number
        values = render(n, start, partitions=self._partitions, ts_ms=ts_ms)
        began, sent, self._behind_s = time.monotonic(), 0, 0.0
        while sent < n:
            due = n
            if rate:
                due = min(n, int((time.monotonic() - began) * rate) + 1)
                self._behind_s = max(self._behind_s, (due - sent) / rate)
            for partition, value in islice(values, min(due - sent, AT_ONCE)):
                self._send(partition, value)
                sent += 1
            self._look(PAUSE_S if sent == due else 0)
        while len(self._producer):
            self._look(0.1)
        self._done += 1
        self._say()

    def _by_number(self, i: int) -> int:
        """Time of event i at full speed."""
        return T0_MS + i * self._spacing_ms

    def _send(self, partition: int, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, partition=partition)
                break
            except BufferError:
                self._look(0.1)
        self._sent += 1

    def _look(self, seconds: float) -> None:
        self._producer.poll(0)
        if self._failed:
            raise SystemExit(f"Kafka refused an event for good: {self._failed}")
        time.sleep(seconds)
        if time.monotonic() - self._said >= SAY_S:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        acked = self._sent - len(self._producer)
        line = {"acked": acked, "done": self._done, "behind_s": round(self._behind_s, 3)}
        print(json.dumps(line), flush=True)  # ends us if nobody listens any more


class Sender(SenderProcess):
    """The process, and what it has said last. acked: events; done: orders."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, *, spacing_ms: int) -> None:
        super().__init__("benchmarks.growth.sender", bootstrap, topic, partitions, spacing_ms)
        self.said |= {"acked": 0, "done": 0, "behind_s": 0.0}

    @property
    def acked(self) -> int:
        """Events that Kafka has."""
        return int(self.said["acked"])

    @property
    def done(self) -> int:
        """Orders of which it has all."""
        return int(self.said["done"])

    @property
    def behind_s(self) -> float:
        """How late the last order was at most."""
        return float(self.said["behind_s"])

    def order(self, start: int, n: int, *, rate: float = 0) -> None:
        """See the module. Returns at once."""
        self.tell(f"{start} {n} {rate}")


def main() -> None:
    """Follow orders until there are none."""
    bootstrap, topic, partitions, spacing_ms = sys.argv[1:]
    books = Books(bootstrap, topic, int(partitions), int(spacing_ms))
    for line in sys.stdin:
        start, n, rate = line.split()
        books.order(int(start), int(n), float(rate))


if __name__ == "__main__":
    main()
