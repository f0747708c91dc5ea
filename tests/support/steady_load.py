"""Traffic that goes on while a test does something to the workers.

with SteadyLoad(kafka.bootstrap, topic, per_second=1_000) as load:
    ...
until(lambda: stored(store) == load.sent)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from confluent_kafka import Producer

from tests.support.metrics_worker import raw, request

STEP_S = 0.05


class SteadyLoad:
    """`make(i)` for i = 0, 1, 2 ... at this rate, round robin over the partitions.

    per_second: None = as fast as Kafka takes them. `sent` of them are acknowledged once it ended.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        per_second: int | None,
        partitions: int = 4,
        make: Callable[[int], bytes] = lambda i: raw(request(i)),
    ) -> None:
        self.sent = 0
        self._topic, self._partitions, self._make = topic, partitions, make
        self._per_second = per_second
        self._failed: list[str] = []
        self._stop = threading.Event()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True,
             "queue.buffering.max.kbytes": 65_536}
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="load")

    def _delivered(self, error: object, _: object) -> None:
        if error is not None:
            self._failed.append(str(error))

    def _run(self) -> None:
        started = time.monotonic()
        while not self._stop.is_set():
            ahead = self.sent + 500
            if self._per_second is not None:
                ahead = int((time.monotonic() - started) * self._per_second)
            while self.sent < ahead:
                try:
                    self._producer.produce(
                        self._topic, self._make(self.sent),
                        partition=self.sent % self._partitions, on_delivery=self._delivered,
                    )  # fmt: skip
                    self.sent += 1
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)
            if self._per_second is not None:
                self._stop.wait(STEP_S)

    def end(self) -> int:
        """Stop; how many were sent, all of them acknowledged."""
        self._stop.set()
        self._thread.join(60)
        assert self._producer.flush(60) == 0
        assert not self._failed, self._failed[0]
        return self.sent

    def __enter__(self) -> SteadyLoad:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        if kind is None:
            self.end()
