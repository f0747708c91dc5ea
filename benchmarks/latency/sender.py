"""The sender as a process of its own: sends by the clock, however slow those behind it are.

    python -m benchmarks.latency.sender BOOTSTRAP TOPIC PARTITIONS RATE SECONDS

Sends one event to each partition, then waits for a line on stdin: when the clock begins, in seconds
of the machine's monotonic clock. Its producer is set as that of our client. stdout, at the end:
{"late_s": how far it was behind the clock at most, in the judged part}. Exit 1: an event was not
acknowledged.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice

from confluent_kafka import Producer

from benchmarks.latency.schedule import Schedule
from benchmarks.templates import render
from streamgauge.producers._kafka import DEFAULTS

PAUSE_S = 0.005
AT_ONCE = 200
FLUSH_S = 60.0


class Sender:
    """Renders and enqueues. sent: events so far."""

    def __init__(self, bootstrap: str, topic: str, schedule: Schedule) -> None:
        self.sent = 0
        self._topic, self._schedule = topic, schedule
        self._producer = Producer({**DEFAULTS, "bootstrap.servers": bootstrap})
        self._events = render(
            schedule.n, 0, partitions=schedule.partitions, own_apps=True,
            ts_ms=lambda _: time.time_ns() // 1_000_000,
        )  # fmt: skip

    def send(self, n: int) -> None:
        """The next n events, now."""
        produce = self._producer.produce
        for partition, value in islice(self._events, n):
            while True:
                try:
                    produce(self._topic, value, partition=partition)
                    break
                except BufferError:  # the broker is behind: it is seen in how late we are
                    self._producer.poll(0.01)
        self.sent += n
        self._producer.poll(0)

    def by_the_clock(self, began: float) -> float:
        """All events but those sent; how late one was at most, of the judged ones, seconds."""
        schedule, late_s = self._schedule, 0.0
        while self.sent < schedule.n:
            now_s = time.monotonic() - began
            if self.sent in schedule.judged:
                late_s = max(late_s, now_s - schedule.due_s(self.sent))
            due = min(schedule.n, schedule.due_by(now_s))
            self.send(min(due - self.sent, AT_ONCE))
            if self.sent == due:
                time.sleep(PAUSE_S)
        return late_s

    def flush(self) -> int:
        """Wait for the acknowledgements; how many are missing."""
        return self._producer.flush(FLUSH_S)


def main() -> None:
    """Send one of each partition, then all."""
    bootstrap, topic, partitions, rate, seconds = sys.argv[1:]
    schedule = Schedule(int(partitions), float(rate), float(seconds))
    sender = Sender(bootstrap, topic, schedule)
    sender.send(schedule.partitions)
    late_s = sender.by_the_clock(float(sys.stdin.readline()))
    if missing := sender.flush():
        raise SystemExit(f"{missing} events were not acknowledged within {FLUSH_S:.0f} s")
    print(json.dumps({"late_s": late_s}), flush=True)


if __name__ == "__main__":
    main()
