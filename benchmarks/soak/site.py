"""Kafka, the store, the proxy between, and the workers; and what may happen to them.

    with Site(folder) as site:
        site.start_worker()
        site.strike(step)      # returns when work goes on after the blow

In: a folder that outlives this process. Out: the position that the store has come to. A worker that
ends without having been killed is an error: here nobody would start it again. Nothing of it
outlives this process, however that ends: the next one goes on with the folder.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from pathlib import Path
from typing import Self

from benchmarks.soak.plan import Blow, Step
from streamgauge.contracts.errors import Retryable, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.deploy import topics
from streamgauge.deploy.kafka import LocalKafka
from streamgauge.deploy.processes import ParentGuard
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from tests.support.in_flight import PartsBeingWritten, frozen
from tests.support.metrics_worker import DEADLINE_S, MetricsWorker, one, until
from tests.support.store_proxy import Fault, StoreProxy

PREFIX = "soak."
POSITION = "SELECT arraySum(mapValues(maxMap(next))) FROM events WHERE kind = 1"
PARTITIONS = 8
LARGER_THAN_ANY_DISK_MB = 1_000_000_000
IN_FLIGHT_S = 3.0
MOST_WORKERS = 3
SESSION_S = 6


class Worker(MetricsWorker):
    """Killed when this process is gone: it would keep partitions that it can no longer store."""

    _guard: ParentGuard

    def start(self) -> Worker:
        """Start it; does not wait for its first flush."""
        super().start()
        self._guard = ParentGuard(self.pid)
        return self

    def wait(self, seconds: float = DEADLINE_S) -> int:
        """Its exit status; -9 after a kill -9."""
        status = super().wait(seconds)
        self._guard.release()
        return status

    def kill(self) -> None:
        """kill -9."""
        super().kill()
        self._guard.release()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM; its exit status."""
        status = super().stop(seconds)
        self._guard.release()
        return status


class Site:
    """All of it. `counts`: what has happened, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder = folder.resolve()
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.kafka = LocalKafka(folder / "kafka")
        self.store = EmbeddedStore(folder / "store", memory_mb=2048, die_with_parent=True)
        self.workers: list[MetricsWorker] = []
        self.counts: Counter[str] = Counter()
        self.rss_mb = 0.0
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start Kafka, the store and the proxy, on what the folder holds."""
        try:
            self._ends.callback(self.kafka.kill)
            self.kafka.start()
            self._ends.callback(self.store.stop)
            self.store.start()
            self.direct: StoreSettings = self.store.settings("soak")
            topics.create_topics(KafkaSettings(self.kafka.bootstrap, PREFIX), partitions=PARTITIONS)
            migrate(self.direct)
            self.proxy = self._ends.enter_context(StoreProxy(self.direct))
            self._ends.callback(self._end_workers)
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        self._ends.close()

    def _end_workers(self) -> None:
        for worker in self.workers:
            if worker.running:
                worker.kill()

    @property
    def topic(self) -> str:
        """The events topic."""
        return KafkaSettings(self.kafka.bootstrap, PREFIX).topic(EVENTS)

    def position(self) -> int:
        """Offsets that `events` has, all partitions together; -1 while the store is away."""
        try:
            return int(one(self.direct, POSITION))
        except Retryable:
            return -1

    # -- workers -----------------------------------------------------------------------------------

    def start_worker(self, *, static: bool = False, **env: str) -> MetricsWorker:
        """One more. static: with a membership that its successor takes over at once."""
        if static:
            held = {w.more.get("STREAMGAUGE_STATIC_ID") for w in self.workers}
            names = (f"soak-{number}" for number in range(len(self.workers) + 1))
            env["STREAMGAUGE_STATIC_ID"] = next(name for name in names if name not in held)
        worker = Worker(
            self.kafka.bootstrap, PREFIX, self.proxy.settings, self.logs,
            STREAMGAUGE_FLUSH_EVENTS="2000", STREAMGAUGE_SESSION_S=str(SESSION_S), **env,
        )  # fmt: skip
        self.workers.append(worker.start())
        return worker

    def check_workers(self) -> None:
        """RuntimeError if one has ended by itself."""
        for worker in self.workers:
            if not worker.running:
                raise RuntimeError(f"a worker ended by itself: {worker.log}\n{worker.tail()}")
            self.rss_mb = max(self.rss_mb, worker.rss_mb())

    def restart_who_gave_up(self) -> None:
        """As a supervisor does: who finds no store at its start waits 30 s and ends with 3."""
        for worker in [w for w in self.workers if not w.running]:
            if worker.wait() == Unreachable.exit_code and not worker.events_logged(
                "worker_started"
            ):
                self.workers.remove(worker)
                self.start_worker()
                self.counts["starts given up without a store"] += 1

    def end_worker(self, worker: MetricsWorker, *, kill: bool) -> None:
        """By kill -9, or by SIGTERM: then it must end well."""
        if kill:
            worker.kill()
        elif status := worker.stop():
            raise RuntimeError(f"SIGTERM ended a worker with {status}: {worker.log}")
        self.workers.remove(worker)

    # -- blows -------------------------------------------------------------------------------------

    def strike(self, step: Step) -> None:
        """The blow of this step, and what brings all up again."""
        rnd = random.Random(step.seed)
        self.counts[step.blow] += 1
        match step.blow:
            case Blow.KILL_WORKER:
                self.end_worker(rnd.choice(self.workers), kill=True)
                if not self.workers:
                    self.start_worker(static=step.static)
            case Blow.KILL_AT_POINT:
                self._kill_at_point(step, alone=rnd.random() < 0.5)
            case Blow.KILL_STORE:
                self._kill_store(rnd.uniform(0, 2))
            case Blow.KILL_BROKER:
                self.kafka.kill()
                time.sleep(rnd.uniform(0, 2))
                self.kafka.restart()
            case Blow.ZOMBIE:
                zombie = rnd.choice(self.workers)
                zombie.freeze()
                self._outlive(zombie, keep=rnd.random() < 0.5)
            case Blow.ZOMBIE_AT_POINT:
                zombie = self._at_point(step, "stop")
                until(lambda: zombie.frozen, f"a worker stands at {step.point}")
                self._outlive(zombie, keep=rnd.random() < 0.5)
            case Blow.REBALANCE:
                self._rebalance(step)
            case Blow.CUT:
                faults = rnd.choices([*Fault], k=rnd.randint(2, 5))
                before = sum(self.proxy.spoiled(fault) for fault in Fault)
                self.proxy.spoil(*faults)
                wanted = before + len(faults)
                until(lambda: sum(map(self.proxy.spoiled, Fault)) >= wanted, "connections are cut")
                self.counts["connections cut"] += len(faults)
            case Blow.DISK_FULL:
                self._fill_disk(rnd.uniform(0.5, 3))

    def recovered(self, before: int, done: int) -> bool:
        """Whether work has gone on since; done: the position at which there is no more of it."""
        now = self.position()
        return now > before or now >= done

    def _at_point(self, step: Step, action: str) -> MetricsWorker:
        place, _, nth = step.point.partition(":")
        return self.start_worker(
            static=step.static, STREAMGAUGE_FAILPOINT=f"{place}:{action}:{nth}"
        )

    def _kill_at_point(self, step: Step, *, alone: bool) -> None:
        if alone:
            while self.workers:
                self.end_worker(self.workers[-1], kill=False)
        dying = self._at_point(step, "kill")
        if dying.wait() != -9:
            raise RuntimeError(f"no death at {step.point}: {dying.log}\n{dying.tail()}")
        self.workers.remove(dying)
        if not self.workers:
            self.start_worker(static=step.static)

    def _kill_store(self, away_s: float) -> None:
        with connect(self.direct) as client:
            parts = PartsBeingWritten(client)
        deadline = time.monotonic() + IN_FLIGHT_S
        while time.monotonic() < deadline:
            if not parts.any():
                continue
            with contextlib.suppress(ProcessLookupError), frozen(self.store.pid):
                if parts.any():
                    self.counts["store killed with a part half written"] += 1
                    self.store.kill()
                    break
        self.store.kill()
        time.sleep(away_s)
        self.store.start()

    def _outlive(self, zombie: MetricsWorker, *, keep: bool) -> None:
        """Another goes on while it stands; then it wakes, and one of them may leave."""
        if len(self.workers) == 1:
            self.start_worker()
        others = [w for w in self.workers if w is not zombie]
        time.sleep(SESSION_S + 1)
        until(lambda: sum(map(_owned, others)) == PARTITIONS, "others have taken over")
        at = self.position()
        with contextlib.suppress(AssertionError):  # there may be nothing left to do
            until(lambda: self.position() > at, "another goes on", seconds=5)
        dropped = len(zombie.events_logged("buffers_dropped"))
        zombie.wake()
        until(
            lambda: not zombie.running or len(zombie.events_logged("buffers_dropped")) > dropped,
            "the zombie has seen that it is late",
        )
        self.check_workers()
        if not keep or len(self.workers) > MOST_WORKERS:
            self.end_worker(zombie, kill=False)

    def _rebalance(self, step: Step) -> None:
        second = self.start_worker(static=step.static)
        until(lambda: _resumptions(second) > 0, "a second worker has partitions")
        leaving = random.Random(step.seed).choice(self.workers)
        self.end_worker(leaving, kill=False)

    def _fill_disk(self, seconds: float) -> None:
        """By a reserve that is larger than the disk: what is free is not enough."""
        usual = self.store.reserve_mb
        self.store.stop()
        self.store.reserve_mb = LARGER_THAN_ANY_DISK_MB
        self.store.start()
        refused = self._retries("cannot write")
        until(lambda: self._retries("cannot write") > refused, "a worker says that it cannot write")
        time.sleep(seconds)
        self.store.stop()
        self.store.reserve_mb = usual
        self.store.start()

    def _retries(self, words: str) -> int:
        return sum(
            words in entry["error"]
            for w in self.workers
            for entry in w.events_logged("flush_retry")
        )


def _owned(worker: MetricsWorker) -> int:
    """Partitions from which it has resumed last."""
    resumed = worker.events_logged("resumed")
    return len(resumed[-1]["positions"]) if resumed else 0


def _resumptions(worker: MetricsWorker) -> int:
    return sum(bool(entry["positions"]) for entry in worker.events_logged("resumed"))
