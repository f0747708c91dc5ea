"""The sender as a process of its own: benchmark events in order, and which of them Kafka has.

    python -m benchmarks.soak.sender BOOTSTRAP TOPIC N PARTITIONS SEED BEGIN

Events before BEGIN were acknowledged in an earlier life and are only counted. stdin: lines with the
events to send a second from now on; none are sent before the first. stdout: {"acked": all events
before this one are acknowledged}, twice a second; at the end {"expected": ..}, counted from the
events themselves. Exit 1: Kafka refused one. An idempotent producer that never gives up: an event
is acknowledged or on its way, never neither.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Producer

from benchmarks.load import events

SAY_S = 0.5


@dataclass(slots=True)
class Expected:
    """What a store must hold of these events. seqs: how many each client has sent, 1, 2, 3 ..."""

    seqs: Counter[str] = field(default_factory=Counter)
    apps: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, event: dict[str, Any]) -> None:
        """One event more."""
        self.seqs[event["producer_id"]] += 1
        self.apps[event["app"]] += 1
        self.sums["n"] += 1
        self.sums["errors"] += event["status"] == "error"
        self.sums["input_tokens"] += event["input_tokens"]
        self.sums["output_tokens"] += event["output_tokens"]
        self.sums["duration_us_sum"] += round(event["duration_ms"] * 1000)


class Sender:
    """Sends when it may, keeps the books."""

    def __init__(self, bootstrap: str, topic: str, n: int, begin: int) -> None:
        self._topic = topic
        self._acked = bytearray(n + 1)
        self._acked[:begin] = b"\1" * begin
        self._prefix = begin
        self._failed = ""
        self._rate = 0.0
        self._due = time.monotonic()
        self._said = 0.0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20,
                "compression.type": "zstd", "message.timeout.ms": 0, "log_level": 2,
                "queue.buffering.max.messages": 200_000,
            }
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self._rate = float(line)
            self._due = time.monotonic()
        os._exit(1)  # whoever drives it is gone

    def send(self, number: int, partition: int, value: bytes) -> None:
        """Wait until it may go, then enqueue it."""
        while not self._rate:
            self.look(0.05)
        self._due = max(self._due, time.monotonic() - 0.5) + 1 / self._rate
        if number % 50 == 0:
            self.look(0)
            while (wait_s := self._due - time.monotonic()) > 0:
                self.look(min(wait_s, 0.5))  # comes back as soon as something is acknowledged

        def done(error: Any, _: Any) -> None:
            if error is None:
                self._acked[number] = 1
            else:
                self._failed = str(error)

        while True:
            try:
                self._producer.produce(self._topic, value, partition=partition, on_delivery=done)
                return
            except BufferError:
                self.look(0.1)

    def look(self, seconds: float) -> None:
        """Take in acknowledgements; say so twice a second."""
        self._producer.poll(seconds)
        if self._failed:
            raise SystemExit(f"Kafka refused an event for good: {self._failed}")
        while self._acked[self._prefix]:
            self._prefix += 1
        if time.monotonic() - self._said >= SAY_S:
            self._said = time.monotonic()
            print(json.dumps({"acked": self._prefix}), flush=True)

    def finish(self, n: int) -> None:
        """Wait for the last acknowledgement."""
        while self._prefix < n:
            self.look(0.1)


def main() -> None:
    """Send them all."""
    bootstrap, topic, *numbers = sys.argv[1:]
    n, partitions, seed, begin = map(int, numbers)
    expected, sender = Expected(), Sender(bootstrap, topic, n, begin)
    decoder = msgspec.json.Decoder()
    for number, (partition, value) in enumerate(events(n, partitions=partitions, seed=seed)):
        expected.add(decoder.decode(value))
        if number >= begin:
            sender.send(number, partition, value)
    sender.finish(n)
    print(json.dumps({"acked": n}), flush=True)
    books = {"seqs": expected.seqs, "apps": expected.apps, "sums": expected.sums}
    print(json.dumps({"expected": books}), flush=True)


if __name__ == "__main__":
    main()
