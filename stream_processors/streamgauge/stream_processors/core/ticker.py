"""A writer's ticks: how far it has stored, each second and after every flush, data or not.

In: watermarks of what is stored (only that: watermark.py), the ends of the partitions. Out: a
record on `llm.ticks.v1`, lag and age for Prometheus (lag.py).
Not here: when to tick (worker.py), the clock that follows (contracts.ticks).
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.ticks import Tick, Writer
from streamgauge.stream_processors import telemetry
from streamgauge.stream_processors.core.kafka_io import Publisher
from streamgauge.stream_processors.core.lag import LagAges
from streamgauge.stream_processors.core.watermark import Watermarks


class Ticker:
    """Publishes the ticks of one process."""

    def __init__(self, writer: str, instance: str, publisher: Publisher, clock: Clock) -> None:
        self._writer = Writer(writer)
        self._instance = instance
        self._publisher = publisher
        self._clock = clock
        self._ages = LagAges()

    def tick(
        self,
        watermarks: Watermarks,
        ends: Mapping[str, int | None],
        *,
        generation: int,
        partitions: int,
    ) -> int:
        """Enqueue one; returns the offsets not stored yet.

        ends: last stable offset by key; partitions: how many the source has.
        """
        progress, now_ms = watermarks.progress(ends), self._clock.now_ms()
        self._publisher.tick(
            Tick(
                v=1,
                writer=self._writer,
                instance=self._instance,
                generation=generation,
                wall_ms=now_ms,
                partitions=progress,
                completeness=min(1.0, len(progress) / partitions) if partitions else None,
            )
        )
        ages_s = self._ages.seconds(progress, now_ms)
        telemetry.show_progress(self._writer.value, progress, ages_s, watermarks.oldest(), now_ms)
        return sum(p.lag for p in progress.values())
