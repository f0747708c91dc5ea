"""The closer on a real store: two at once, catching up; and its clock on real ticks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import cast

import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from streamgauge.contracts.clock import ManualClock, SystemClock
from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import to_json_bytes
from streamgauge.contracts.ticks import PartitionProgress, Tick, Writer
from streamgauge.contracts.topics import EVENTS, TICKS
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter, build_block
from streamgauge.stream_processors.core.kafka_io import Sources
from streamgauge.stream_processors.drift.bins import LOG2_SCHEME, log2_bin
from streamgauge.stream_processors.drift.closer import Closer
from streamgauge.stream_processors.drift.histograms import HistogramCell, HistogramKey
from streamgauge.stream_processors.drift.rows import histogram_rows
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.source_clock import TickClock
from streamgauge.stream_processors.drift.status import read_status
from streamgauge.stream_processors.drift.store import DriftStore
from tests.support.kafka import TestKafka, create_topics
from tests.support.waiting import until

T = 1_699_999_200_000  # a whole hour
MIN5 = 300_000
SETTINGS = DriftSettings(min_windows=5)


@pytest.fixture
def client(store: StoreSettings) -> Iterator[StoreClient]:
    with connect(store) as client:
        yield client


def fill(store: StoreSettings, windows: int, *, stray_ms: int | None = None) -> None:
    """Histograms of one app: `windows` windows of 300 calls, and one call at `stray_ms`."""
    rng = np.random.default_rng(3)
    cells = {}
    for i in range(windows):
        cell = HistogramCell(n=300)
        for x in rng.lognormal(6, 1, 300).astype(int).tolist():
            cell.bins[log2_bin(x)] = cell.bins.get(log2_bin(x), 0) + 1
        cells[HistogramKey("default", "chat", "input_tokens", LOG2_SCHEME, T + i * MIN5)] = cell
    if stray_ms is not None:
        key = HistogramKey("default", "chat", "input_tokens", LOG2_SCHEME, stray_ms)
        cells[key] = HistogramCell(n=1, bins={40: 1})
    writer = SinkWriter(store, instance="fill", session_timeout_s=10)
    block = build_block(
        "histograms",
        histogram_rows(cells),
        written_on=datetime.now(UTC).date(),  # retention counts from it
        expected={"e/0": 0},
        next={"e/0": 1},
    )
    writer.insert(block)
    writer.close()


def closer(store: StoreSettings, name: str) -> Closer:
    drift_store = DriftStore(store, instance=name, session_timeout_s=10)
    return Closer(drift_store, SETTINGS, SystemClock())


def verdicts(client: StoreClient, window_s: int) -> list[tuple[int, str]]:
    rows = client.query(
        "SELECT toUInt32(t) * 1000 AS t_ms, state FROM drift_verdicts WHERE kind = 0"
        f" AND window_s = {window_s} AND reference = 'previous' ORDER BY t"
    )
    return [(r["t_ms"], r["state"]) for r in rows]


@pytest.mark.clickhouse
def test_nothing_is_closed_before_its_end(store: StoreSettings, client: StoreClient) -> None:
    one = closer(store, "one")
    assert one.close_upto(T + 10**9) == 0  # nothing stored: nothing to judge, and no position
    fill(store, 3)
    assert one.close_upto(T + 2 * MIN5 - 1) == 1
    assert verdicts(client, 300) == [(T, "warming_up")]
    assert one.close_upto(T + 2 * MIN5) == 1
    (app,) = read_status(client, SETTINGS)
    assert (app.app, app.judged, app.ref_windows, app.ref_needed) == ("chat", False, 1, 5)


@pytest.mark.clickhouse
def test_one_stray_event_of_2015_does_not_hold_the_closer_up(
    store: StoreSettings, client: StoreClient
) -> None:
    stray = 1_420_070_400_000
    fill(store, 6, stray_ms=stray)
    closer(store, "one").close_upto(T + 6 * MIN5)
    found = [t for t, _ in verdicts(client, 300)]
    assert found == [stray, *(T + i * MIN5 for i in range(6))]
    assert closer(store, "two").close_upto(T + 6 * MIN5) == 0
    closer(store, "two").close_upto(T + 10**9)  # nothing came since: only the position moves
    assert [t for t, _ in verdicts(client, 300)] == found


@pytest.mark.clickhouse
def test_two_closers_judge_each_window_once(store: StoreSettings, client: StoreClient) -> None:
    fill(store, 24)
    closers = [closer(store, name) for name in ("one", "two")]
    start = threading.Barrier(2)

    def work(mine: Closer) -> None:
        start.wait()
        for i in range(1, 25):
            mine.close_upto(T + i * MIN5)

    threads = [threading.Thread(target=work, args=(c,)) for c in closers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verdicts(client, 300)
    assert [t for t, _ in found] == [T + i * MIN5 for i in range(24)]
    assert {state for _, state in found[:5]} == {"warming_up"}
    assert {state for _, state in found[5:]} == {"quiet"}
    assert [t for t, _ in verdicts(client, 3600)] == [T, T + 3_600_000]


@pytest.mark.clickhouse
def test_catching_up_gives_what_closing_one_by_one_gives(
    store: StoreSettings, client: StoreClient
) -> None:
    fill(store, 24)
    columns = "t, window_s, reference, state, p, z, evidence, ref_windows, from_t, n, stat_g, scale"
    query = f"SELECT {columns} FROM drift_verdicts WHERE kind = 0 ORDER BY window_s, reference, t"
    one = closer(store, "one")
    assert one.close_upto(T + 24 * MIN5) == 24 + 2
    at_once = client.query(query)
    client.command("TRUNCATE TABLE drift_verdicts")
    for i in range(1, 25):
        closer(store, "two").close_upto(T + i * MIN5)
    assert client.query(query) == at_once


class Ticking:
    """Publishes ticks of any writer about the partitions of a real events topic."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        name = settings.topic(EVENTS)
        self._src = Sources(settings).describe([name])[name].src
        self._producer = Producer(settings.librdkafka())

    def tick(
        self, writer: Writer, *partitions: int, stored: int = 9, watermark: int = 1,
        instance: str = "other",
    ) -> None:  # fmt: skip
        progress = PartitionProgress(stored_offset=stored, end_offset=9, watermark_ms=watermark)
        record = Tick(
            v=1, writer=writer, instance=instance, generation=1, wall_ms=1, completeness=None,
            partitions={f"{self._src}/{p}": progress for p in partitions},
        )  # fmt: skip
        self._producer.produce(self._settings.topic(TICKS), to_json_bytes(record), key=writer.value)
        assert self._producer.flush(10) == 0


@pytest.fixture
def settings(kafka: TestKafka, topic_prefix: str) -> KafkaSettings:
    return create_topics(kafka.bootstrap, topic_prefix, partitions=2)


def is_reachable(clock: TickClock) -> bool:
    try:
        clock.read_ms()
    except Unreachable:
        return False
    return True


@pytest.fixture
def make_clock(settings: KafkaSettings) -> Iterator[Callable[..., TickClock]]:
    made = []

    def make(*, asked: bool = True) -> TickClock:
        clock = TickClock(
            settings, instance="me", clock=ManualClock(), lateness_ms=5000, live=False
        )
        made.append(clock)
        if asked:
            until(lambda: is_reachable(clock), "leaders of topics just made")
        return clock

    yield make
    for clock in made:
        clock.close()


def comes_to(clock: TickClock, ms: int) -> bool:
    return any(clock.read_ms() == ms for _ in range(50))


@pytest.mark.kafka
def test_the_clock_waits_for_every_partition(
    settings: KafkaSettings, make_clock: Callable[..., TickClock]
) -> None:
    feed, clock = Ticking(settings), make_clock()
    feed.tick(Writer.DRIFT, instance="me")
    feed.tick(Writer.DRIFT, 0, stored=4, watermark=7_000)
    feed.tick(Writer.METRICS, 1, stored=4, watermark=1_000)
    assert {clock.read_ms() for _ in range(3)} == {None}  # partition 1 has told nothing
    feed.tick(Writer.DRIFT, 1, stored=5, watermark=6_000)
    assert comes_to(clock, 6_000)
    feed.tick(Writer.DRIFT, 1, watermark=6_000)  # read to its end: holds nothing back
    assert comes_to(clock, 7_000)


@pytest.mark.kafka
def test_ticks_from_before_this_process_resumed_close_nothing(
    settings: KafkaSettings, make_clock: Callable[..., TickClock]
) -> None:
    feed = Ticking(settings)
    feed.tick(Writer.DRIFT, 0, 1, watermark=7_000, instance="me")  # of its former life
    clock = make_clock()
    assert {clock.read_ms() for _ in range(3)} == {None}
    feed.tick(Writer.DRIFT, 0, stored=4, watermark=7_000, instance="me")
    assert comes_to(clock, 7_000)


@pytest.mark.kafka
def test_a_deleted_topic_does_not_end_the_closer(
    settings: KafkaSettings, make_clock: Callable[..., TickClock]
) -> None:
    clock, stop = make_clock(asked=False), threading.Event()
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    name = settings.topic(EVENTS)
    admin.delete_topics([name])[name].result()

    def gone() -> bool:
        try:
            Sources(settings).describe([name])
        except Misconfigured:
            return True
        return False

    until(gone, "the end of the topic")

    class Watched:
        """The same clock; `stop` after it has said that there is no topic."""

        def read_ms(self) -> int | None:
            try:
                return clock.read_ms()
            except Misconfigured:
                stop.set()
                raise

    no_store = cast(DriftStore, None)  # nothing may be closed
    Closer(no_store, SETTINGS, SystemClock()).run(Watched(), stop)
    assert stop.is_set()
