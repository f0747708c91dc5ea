"""A reprocessing run that is killed or overtaken, and workers that die, hang and come meanwhile."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import BadInput, Unreachable
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.reprocess import store as reprocess_store
from streamgauge.stream_processors.reprocess.run import reprocess
from streamgauge.stream_processors.reprocess.store import ReprocessStore
from tests.support.audited import assert_audit_is_clean, until_whole
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    ask,
    one,
    outcomes,
    produce,
    raw,
    until,
)
from tests.support.reprocessing import (
    STATIC,
    TASK,
    NewPrices,
    Traffic,
    assert_shown,
    cells,
    command,
    ended,
    event,
    fence,
    metrics,
    revisions,
    take_in,
)
from tests.support.store_proxy import Fault, StoreProxy

__all__ = ["metrics"]  # a fixture of this file
pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
FULL = pytest.mark.full
HOURS = [("t0", int(TASK.start.timestamp()))]
NOTHING = TABLES["windows"].data.empty_table()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("registered", marks=FULL),
        "fenced",
        pytest.param("rebuilt:2", marks=FULL),
        "committed",
        pytest.param("active", marks=FULL),
    ],
)
def test_late_traffic_a_killed_run_and_a_killed_worker_change_no_count(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    place: str,
) -> None:
    def metrics() -> MetricsWorker:
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **STATIC)

    before = [event(i) for i in range(4_000)]
    produce(kafka.bootstrap, topic, [raw(e) for e in before])
    with Traffic(kafka.bootstrap, topic, len(before))() as traffic:
        with metrics() as worker:
            until(lambda: outcomes(store).get("stored", 0) > 4_000, "the first events")
            status, _, error = ended(command(store, failpoint=place))
            assert status == -signal.SIGKILL, error
            running = command(store)
            until(lambda: fence(store) == 2, "the second run's fence")
            until(lambda: bool(worker.events_logged("block_refused")), "the worker heard of it")
            worker.kill()
        with metrics() as again:
            status, out, error = ended(running)
            assert status == 0, error
            revision = json.loads(out)["revision"]
            n = len(traffic.sent)
            until(lambda: len(traffic.sent) > n + 500, "traffic after it")
            traffic.end()
            total = 4_000 + len(traffic.sent)
            until(lambda: outcomes(store).get("stored") == total, "all events")
            until_whole(store, total)
            assert again.stop() == 0
    events = [*before, *traffic.sent]
    assert revision == 2
    assert one(store, "SELECT groupUniqArray(revision) FROM revisions FINAL") == [2]
    assert revisions(store) == {0, 2}
    assert_shown(store, events)
    assert_audit_is_clean(store)


def test_workers_that_share_the_topic_die_and_come_while_a_run_is_in_mid_rebuild(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def worker(name: str) -> MetricsWorker:
        static = {"STREAMGAUGE_STATIC_ID": name}
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **static)

    with (
        Traffic(kafka.bootstrap, topic, 0)() as traffic,
        worker("one") as one_,
        worker("two") as two,
    ):
        until(lambda: one_.owned == two.owned == 2, "each has two partitions")
        until(lambda: outcomes(store).get("stored", 0) > 1_000, "the first events")
        running = command(store)
        until(lambda: fence(store) == 1, "the fence")
        os.kill(running.pid, signal.SIGSTOP)
        for each in (one_, two):
            until(lambda each=each: each.events_logged("block_refused"), "both heard")  # type: ignore[misc]
        one_.kill()
        stored = outcomes(store)["stored"]
        with worker("one") as three:
            until(lambda: three.owned == 2, "its partitions have a worker again")
            until(lambda: outcomes(store)["stored"] > stored + 500, "traffic on its partitions")
            assert one(store, "SELECT count() FROM revisions") == 0, "the run stands in mid-way"
            os.kill(running.pid, signal.SIGCONT)
            status, out, error = ended(running)
            assert status == 0, error
            traffic.end()
            until(lambda: outcomes(store).get("stored") == len(traffic.sent), "all events")
            until_whole(store, len(traffic.sent))
            assert three.stop() == two.stop() == 0
    assert json.loads(out)["revision"] == 1
    old, new = cells(store, 0), cells(store, 1)
    assert old == new, "same prices: every count, map and histogram of every cell is the same"
    assert_shown(store, traffic.sent)
    assert_audit_is_clean(store)


def test_a_zombie_that_wakes_after_the_run_is_refused(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    with Traffic(kafka.bootstrap, topic, 0)() as traffic, metrics:
        until(lambda: outcomes(store).get("stored", 0) > 1_000, "the first events")
        os.kill(metrics.pid, signal.SIGSTOP)
        report = reprocess(store, TASK, PriceBook())
        os.kill(metrics.pid, signal.SIGCONT)
        until(lambda: bool(metrics.events_logged("block_refused")), "the zombie is refused")
        traffic.end()
        until(lambda: outcomes(store).get("stored") == len(traffic.sent), "all events")
        until_whole(store, len(traffic.sent))
        assert metrics.stop() == 0
    assert sum(h.rebuilt for h in report.hours) < len(traffic.sent)
    assert_shown(store, traffic.sent)
    assert_audit_is_clean(store)


def test_of_two_runs_the_newer_wins_and_the_older_is_told(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    events = [event(i) for i in range(600)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 600)
    older = ReprocessStore(store, SystemClock(), name="older")
    revision = older.register(HOURS, "", "")
    older.fence(revision)
    assert reprocess(store, TASK, NewPrices()).revision == revision + 1
    for late in (older.commit, older.fence, lambda r: older.put(r, NOTHING)):
        with pytest.raises(BadInput, match="revision 2 took the place of this run's 1"):
            late(revision)
    older.close()
    running = [command(store) for _ in range(3)]
    statuses = [ended(one)[0] for one in running]
    assert 0 in statuses
    assert set(statuses) <= {0, 1}
    assert_shown(store, events)
    assert_audit_is_clean(store)


def run_of(store: StoreSettings) -> closing[ReprocessStore]:
    return closing(ReprocessStore(store, SystemClock(), name="run"))


def comes_in(
    monkeypatch: pytest.MonkeyPatch, run: ReprocessStore, step: int, other: Callable[[], object]
) -> Callable[[], bool]:
    """Have `other` done just before the step-th call, from 0, of the run's writer; was it done?"""
    calls = itertools.count()
    done: list[object] = []

    def after(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if next(calls) == step:
                done.append(other())
            return real(*args)

        return call

    for name in ("high_water", "insert"):
        monkeypatch.setattr(run._writer, name, after(getattr(run._writer, name)))
    return lambda: bool(done)


def test_two_runs_that_start_together_get_two_numbers_wherever_one_overtakes_the_other(
    store: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprocess_store, "PAUSE_S", 0.02)
    numbers: list[int] = []

    def overtaken(through: StoreSettings, step: int) -> bool:
        with run_of(through) as run, run_of(store) as other:
            came = comes_in(
                monkeypatch, run, step, lambda: numbers.append(other.register(HOURS, "", ""))
            )
            numbers.append(run.register(HOURS, "", ""))
            return came()

    def assert_all_are_different() -> None:
        given = ask(store, "SELECT revision FROM reprocessing WHERE kind = 0 ORDER BY revision")
        registered = [int(row["revision"]) for row in given]
        assert registered == sorted(set(registered)), "each number has the hours of one run"
        assert sorted(numbers) == [number for number in registered if number in numbers]

    came = [overtaken(store, step) for step in range(4)]
    assert_all_are_different()
    assert came == [True, True, True, False], "two looks and an insert are all the steps"
    with StoreProxy(store) as proxy:
        proxy.late_s = 0.5
        for fault in Fault:
            proxy.spoil(fault)
            assert overtaken(proxy.settings, 3), "its insert was cut and is to be repeated"
        until(lambda: all(map(proxy.spoiled, Fault)), "the store has all that was cut")
    assert_all_are_different()


@pytest.mark.parametrize("by_newer", [True, False])
def test_of_two_runs_at_the_fence_the_newer_passes_wherever_one_overtakes_the_other(
    store: StoreSettings, monkeypatch: pytest.MonkeyPatch, by_newer: bool
) -> None:
    def overtaken(step: int) -> bool:
        with run_of(store) as older, run_of(store) as newer:
            low, high = (run.register(HOURS, "", "") for run in (older, newer))
            told = f"revision {high} took the place of this run's {low}"
            if by_newer:
                came = comes_in(monkeypatch, older, step, lambda: newer.fence(high))
                refused: AbstractContextManager[object] = pytest.raises(BadInput, match=told)
                with refused if step < 3 else nullcontext():
                    older.fence(low)
            else:
                came = comes_in(monkeypatch, newer, step, lambda: older.fence(low))
                newer.fence(high)
            if came():
                assert fence(store) == high
                newer.put(high, NOTHING)
                with pytest.raises(BadInput, match=told):
                    older.put(low, NOTHING)
            return came()

    assert [overtaken(step) for step in range(4)] == [True, True, True, False]


@FULL
@pytest.mark.parametrize("place", ["rebuilt", "committed"])
def test_a_store_that_is_killed_in_mid_run_loses_and_doubles_nothing(
    kafka: TestKafka, topic: str, topic_prefix: str, tmp_path: Path, place: str
) -> None:
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, die_with_parent=True)
    server.start()
    store = server.settings("killed")
    migrate(store)
    with ExitStack() as at_the_end:
        at_the_end.callback(server.stop)
        traffic = at_the_end.enter_context(Traffic(kafka.bootstrap, topic, 0)())
        worker = MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **STATIC)
        at_the_end.enter_context(worker)
        until(lambda: outcomes(store).get("stored", 0) > 1_000, "the first events")
        running = at_the_end.enter_context(command(store, failpoint=f"{place}:stop"))
        at_the_end.callback(running.kill)
        standing = psutil.Process(running.pid)
        until(lambda: standing.status() == psutil.STATUS_STOPPED, "the run is half done")
        server.kill()
        noticed = ("flush_retry", "recall_retry")  # it may be reading what the fence says
        until(lambda: any(map(worker.events_logged, noticed)), "the worker has noticed")
        server.start()
        standing.resume()
        status, out, error = ended(running)
        if status == Unreachable.exit_code:  # it was told that the store is away: begin anew
            status, out, error = ended(command(store))
        assert status == 0, error
        n = len(traffic.sent)
        until(lambda: len(traffic.sent) > n + 500, "traffic after it")
        traffic.end()
        until(lambda: outcomes(store).get("stored") == len(traffic.sent), "all events")
        until_whole(store, len(traffic.sent))
        assert worker.stop() == 0
        revision = json.loads(out)["revision"]
        assert one(store, "SELECT groupUniqArray(revision) FROM revisions FINAL") == [revision]
        assert revisions(store) == {0, revision}
        assert cells(store, 0) == cells(store, revision)
        assert_shown(store, traffic.sent)
        assert_audit_is_clean(store)
