"""One run of one consumer, on a Kafka and a store of its own.

In: consumer, events a second, seconds to judge. Out: percentiles of the events' latencies, and what
else went on meanwhile: cores that each process used and that were idle, time from answer to answer.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.latency.schedule import WARM_UP_S, Poll, Schedule, latencies_s
from benchmarks.services import Services, cpu_s, outcome, services
from benchmarks.templates import app_of
from streamgauge.deploy.paths import ENV_HOME
from streamgauge.deploy.stack.plan import worker_command
from streamgauge.deploy.stack.services import WorkerService
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings

POLL_S = 0.25  # asking more often is load of its own
LATE_S = 1.0
SETTLE_S = 60.0
WITHOUT_END = 10**12
COMMANDS = {
    "ours": worker_command("metrics"),
    "take": [sys.executable, "-m", "benchmarks.consumers.take", str(WITHOUT_END), "by-time"],
}
"""Ours: as the supervisor starts it."""
QUERY = (
    "SELECT app, sum(requests) AS n FROM v_10s WHERE t >= fromUnixTimestamp({since:Int64})"
    " GROUP BY app"
)


def measure(consumer: str, rate: float, seconds: float) -> dict[str, float]:
    """One run: p50, p99, max, late, polled in seconds, the others in cores.

    RuntimeError: a process ended, the sender could not keep the pace, or events never came.
    """
    with services() as on, on.database() as store:
        schedule = Schedule(on.partitions, rate, seconds)
        with (
            _consumer(consumer, on, store) as worker,
            _sender(on, schedule) as sender,
            connect(store) as client,
        ):
            return _Run(on, schedule, worker, sender, client).judge()


@contextlib.contextmanager
def _consumer(name: str, on: Services, store: StoreSettings) -> Iterator[WorkerService]:
    env = on.environment(store, **{ENV_HOME: str(on.folder)})
    worker = WorkerService(name, COMMANDS[name], lambda: env, on.folder / f"{name}.log")
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()
        worker.stop(0)


@contextlib.contextmanager
def _sender(on: Services, schedule: Schedule) -> Iterator[subprocess.Popen[str]]:
    numbers = schedule.partitions, schedule.rate, schedule.seconds
    command = ["-m", "benchmarks.latency.sender", on.kafka.bootstrap, on.topic, *map(str, numbers)]
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sender:
        try:
            yield sender
        finally:
            sender.kill()


@dataclass(frozen=True, slots=True)
class _Run:
    """Lets the sender begin and asks the store until it has all."""

    on: Services
    schedule: Schedule
    worker: WorkerService
    sender: subprocess.Popen[str]
    client: StoreClient

    def judge(self) -> dict[str, float]:
        """The whole of it."""
        since = int(time.time()) // 10 * 10
        next(a for a in self._answers(since, time.monotonic(), SETTLE_S) if min(a.counts) > 0)
        began = time.monotonic()
        assert self.sender.stdin is not None
        self.sender.stdin.write(f"{began}\n")
        self.sender.stdin.flush()
        polls, used = self._follow(since, began)
        said = outcome(self.sender)
        if said["late_s"] > LATE_S:
            raise RuntimeError(
                f"the sender was {said['late_s']:.1f} s behind the clock at"
                f" {self.schedule.rate:,.0f} events/s: this machine cannot offer that many"
            )
        s = latencies_s(self.schedule, polls)
        return {
            "p50": float(np.percentile(s, 50)),
            "p99": float(np.percentile(s, 99)),
            "max": float(s.max()),
            "late": said["late_s"],
            "polled": float(np.median(np.diff([poll.at_s for poll in polls]))),
            **used,
        }

    def _follow(self, since: int, began: float) -> tuple[list[Poll], dict[str, float]]:
        """All answers until everything is there; cores used during the judged part."""
        polls: list[Poll] = []
        marks: list[tuple[float, dict[str, float]]] = []
        ends = iter((WARM_UP_S, WARM_UP_S + self.schedule.seconds, float("inf")))
        end = next(ends)
        for poll in self._answers(since, began, self.schedule.due_s(self.schedule.n) + SETTLE_S):
            polls.append(poll)
            if poll.at_s >= end:
                marks.append((poll.at_s, self._cpu_s()))
                end = next(ends)
            if sum(poll.counts) >= self.schedule.n:
                break
        (first_s, before), (last_s, after) = marks
        return polls, {name: (after[name] - before[name]) / (last_s - first_s) for name in after}

    def _answers(self, since: int, began: float, limit_s: float) -> Iterator[Poll]:
        """One every POLL_S, if the store is fast enough."""
        apps = [app_of(partition) for partition in range(self.schedule.partitions)]
        while True:
            asked = time.monotonic()
            _, rows = self.client.rows(QUERY, {"since": since})
            n = {app: int(count) for app, count in rows}
            answered = time.monotonic()
            poll = Poll(answered - began, tuple(n.get(app, 0) for app in apps))
            yield poll
            if self.worker.exit_code is not None:
                raise RuntimeError(f"{self.worker.name} ended: {self.worker.last_words()}")
            if self.sender.poll():
                raise RuntimeError(f"the sender ended with {self.sender.returncode}")
            if poll.at_s > limit_s:
                raise RuntimeError(
                    f"{self.worker.name} does not keep up with {self.schedule.rate:,.0f} events/s:"
                    f" {sum(poll.counts):,} of {self.schedule.n:,} are in the aggregate"
                    f" after {poll.at_s:.0f} s"
                )
            time.sleep(max(0.0, POLL_S - (answered - asked)))

    def _cpu_s(self) -> dict[str, float]:
        machine = psutil.cpu_times()
        return {
            "worker": cpu_s(self.worker.pid),
            "store": cpu_s(self.on.store.pid),
            "Kafka": cpu_s(self.on.kafka.pid),
            "sender": cpu_s(self.sender.pid),
            "asking": time.process_time(),
            "idle": machine.idle + getattr(machine, "iowait", 0.0),
        }
