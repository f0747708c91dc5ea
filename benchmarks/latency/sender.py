"""The sender as a process of its own: sends by the clock, however slow those behind it are.

    python -m benchmarks.latency.sender BOOTSTRAP TOPIC PARTITIONS RATE SECONDS

Sends one event to each partition, then waits for a line on stdin: when the clock begins, in seconds
of the machine's monotonic clock. Its producer is set as that of our client. stdout, at the end:
{"late_s": how far it was behind the clock at most, in the judged part, "cpu_s"}. Exit 1: an event
was not acknowledged.
"""

from __future__ import annotations

import json
import sys
import time

from confluent_kafka import Producer

from benchmarks.latency.schedule import Schedule
from benchmarks.latency.templates import Events
from streamgauge.producers._kafka import DEFAULTS

STEP_S = 0.005
PORTION = 200
FLUSH_S = 60.0


class Sender:
    """Renders and enqueues."""

    def __init__(self, bootstrap: str, topic: str, schedule: Schedule) -> None:
        self._topic, self._schedule = topic, schedule
        self._events = Events(schedule.partitions)
        self._producer = Producer({**DEFAULTS, "bootstrap.servers": bootstrap})

    def send(self, begin: int, end: int) -> None:
        """Events begin to end - 1, now."""
        produce, partitions = self._producer.produce, self._schedule.partitions
        ts_ms = time.time_ns() // 1_000_000
        for i, value in enumerate(self._events.render(begin, end, ts_ms), begin):
            while True:
                try:
                    produce(self._topic, value, partition=i % partitions)
                    break
                except BufferError:  # the broker is behind: seen as lateness
                    self._producer.poll(0.01)
        self._producer.poll(0)

    def by_the_clock(self, began: float) -> float:
        """All events but the first ones; how late it was at most, seconds."""
        schedule, sent, late_s = self._schedule, self._schedule.partitions, 0.0
        while sent < schedule.n:
            now_s = time.monotonic() - began
            due = min(schedule.n, schedule.due_by(now_s))
            if sent in schedule.judged:
                late_s = max(late_s, now_s - schedule.due_s(sent))
            if due > sent:
                end = min(due, sent + PORTION)
                self.send(sent, end)
                sent = end
            if due == sent:
                time.sleep(STEP_S)
        return late_s

    def flush(self) -> int:
        """Wait for the acknowledgements; how many are missing."""
        return len(self._producer) and self._producer.flush(FLUSH_S)


def main() -> None:
    """Send one of each partition, then all."""
    bootstrap, topic, partitions, rate, seconds = sys.argv[1:]
    schedule = Schedule(int(partitions), float(rate), float(seconds))
    sender = Sender(bootstrap, topic, schedule)
    sender.send(0, schedule.partitions)
    began, used = float(sys.stdin.readline()), time.process_time()
    late_s = sender.by_the_clock(began)
    cpu_s = time.process_time() - used
    if missing := sender.flush():
        raise SystemExit(f"{missing} events were not acknowledged within {FLUSH_S:.0f} s")
    print(json.dumps({"late_s": late_s, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    main()
