"""What a worker holds to the outside, made once, and what it reads there when it resumes.

In: settings. Out: `Connections`; `Recalled`, the store's truth at one moment. All calls block and
run in the flush thread, so a recall always comes after any flush of an older epoch.
Not here: the Faust app (faust_app.py), when to resume (worker.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from faust.types import TP

from streamgauge.contracts.errors import Misconfigured, Retryable, StreamgaugeError
from streamgauge.contracts.ticks import PartitionProgress
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.writer import SinkWriter
from streamgauge.stream_processors.core.chunks import source_key
from streamgauge.stream_processors.core.failpoints import FailPoints
from streamgauge.stream_processors.core.flusher import Flusher
from streamgauge.stream_processors.core.health import Vitals
from streamgauge.stream_processors.core.kafka_io import (
    ASK_S,
    Publisher,
    Source,
    Sources,
    last_progress,
)
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.core.resume import latest_below
from streamgauge.stream_processors.core.watermark import Latest, Watermarks
from streamgauge.stream_processors.settings import WorkerSettings

log = logging.getLogger(__name__)

Recall = Callable[[WorkerSettings, Mapping[str, int]], object]
ReadBack = Callable[[WorkerSettings, Mapping[str, int]], Mapping[str, int]]


@dataclass(slots=True)
class Recalled:
    """Where to go on. memory: what the processor must remember."""

    sources: dict[str, Source]
    positions: Positions
    watermarks: Watermarks
    memory: object


class Connections:
    """Kafka beside the consumer, and the store."""

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        topics: Sequence[str],
        tables: Sequence[str],
        *,
        current_epoch: Callable[[], int],
        halt: threading.Event,
        vitals: Vitals | None = None,
        slow: frozenset[str] = frozenset(),
    ) -> None:
        self._vitals = vitals or Vitals(time.monotonic)
        self._beside: StoreClient | None = None  # the writer's own is the flush thread's
        self._name = name
        self._settings = settings
        self._topics = list(topics)
        self._tables = tuple(tables)
        self.sources = Sources(settings.kafka)
        self.publisher = Publisher(settings.kafka)
        self._failpoints = FailPoints.from_env()
        in_mid_body = None
        if self._failpoints.place == "mid_insert":
            in_mid_body = partial(self._failpoints.reached, "mid_insert")
        self._writer = SinkWriter(
            settings.store,
            instance=f"{name}-{settings.instance}",
            session_timeout_s=settings.session_s,
            in_mid_body=in_mid_body,
        )
        self.flusher = Flusher(
            writer_name=name,
            writer=self._writer,
            publisher=self.publisher,
            sources=self.sources,
            failpoints=self._failpoints,
            current_epoch=current_epoch,
            halt=halt,
            vitals=self._vitals,
            slow=slow,
        )

    def reach(self) -> None:
        """Kafka, its topics and the store answer; else Misconfigured or Unreachable."""
        with self._missing_if_away("kafka"):
            self.sources.describe(self._topics)
        with self._missing_if_away("store"):
            self._writer.high_water(self._tables[0])

    def look(self) -> dict[str, Source] | None:
        """Do both answer? What the topics are now, None if that cannot be told.

        May be called beside a flush.
        """
        with suppress(Retryable, Misconfigured), self._missing_if_away("store"):
            if self._beside is None:
                self._beside = connect(self._settings.store, timeout_s=ASK_S)
            self._beside.rows("SELECT 1")
        with suppress(Retryable, Misconfigured), self._missing_if_away("kafka"):
            return self.sources.describe(self._topics)
        return None

    @contextmanager
    def _missing_if_away(self, what: str) -> Iterator[None]:
        try:
            yield
        except StreamgaugeError as e:
            self._vitals.missing(what, str(e))
            raise
        self._vitals.found(what)

    def recall(
        self,
        assigned: frozenset[TP],
        generation: int,
        recall: Recall | None,
        read_back: ReadBack | None = None,
    ) -> Recalled:
        """Read the store's truth about the partitions that are ours now. Raises Retryable."""
        with self._vitals.stage("recall"):
            return self._recall(assigned, generation, recall, read_back)

    def _recall(
        self,
        assigned: frozenset[TP],
        generation: int,
        recall: Recall | None,
        read_back: ReadBack | None,
    ) -> Recalled:
        try:
            sources = self.sources.describe(self._topics)
        except Misconfigured:  # deleted
            self.flusher.settle({})
            raise
        self.flusher.settle(sources)
        self._writer.set_generation(generation)
        self._writer.end_predecessors()
        markers = {table: self._writer.high_water(table) for table in self._tables}
        if assigned:
            self._failpoints.reached("on_recall")
        keys = {source_key(sources[tp.topic].src, tp.partition) for tp in assigned}
        positions = Positions(self._tables, markers, keys)
        marks = self._watermarks(positions)
        if read_back is not None and keys:
            positions.back_to(read_back(self._settings, positions.pos))
        memory = recall(self._settings, positions.pos) if recall is not None and keys else None
        return Recalled(sources, positions, marks, memory)

    def _watermarks(self, positions: Positions) -> Watermarks:
        ticked: dict[str, PartitionProgress] = {}
        below: dict[str, Latest] = {}
        if positions.pos:
            tops = {key: positions.highest(key) for key in positions.pos}
            ticked = last_progress(self._settings.kafka, self._name, tops)
            below = latest_below(self._settings.store, positions.pos)
        lateness_ms = round(self._settings.lateness_s * 1000)
        return Watermarks(positions.pos, ticked, lateness_ms, below)

    def close(self, timeout_s: float) -> None:
        """Send what waits, at most so long."""
        self.publisher.close(timeout_s)
