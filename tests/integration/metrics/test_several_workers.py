"""Several metrics workers on one topic: shared fairly; one may be slow, come, go or die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.faust_app import group_name
from tests.support.audited import assert_exact, until_whole
from tests.support.committed import assert_no_commit_is_ahead, lowest_markers
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    MetricsWorker,
    one,
    stored,
    until,
)
from tests.support.steady_load import SteadyLoad
from tests.support.ticks import completeness
from tests.support.waiting import measured_below

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
PARTITIONS = 8
PER_SECOND = 1_000
TAKEOVER_S, LONG_SESSION_S = 15.0, 120
SESSION = {"STREAMGAUGE_SESSION_S": "10"}  # as it ships


@pytest.fixture
def topic(kafka: TestKafka, topic_prefix: str) -> str:
    """The events topic under a prefix of this test's own."""
    create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
    return f"{topic_prefix}events.v1"


def shared(workers: Sequence[MetricsWorker], *owned: int) -> None:
    """Wait until they own so many partitions each."""
    until(lambda: [w.owned for w in workers] == list(owned), f"they own {owned}")


def test_from_one_to_two_and_back_under_load_each_owns_half_and_counts_are_exact(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        load = stack.enter_context(
            SteadyLoad(kafka.bootstrap, topic, per_second=PER_SECOND, partitions=PARTITIONS)
        )

        def worker(name: str) -> MetricsWorker:
            env = {
                "STREAMGAUGE_SESSION_S": f"{LONG_SESSION_S}",
                "STREAMGAUGE_INSTANCE": name,
            }
            return stack.enter_context(
                MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env)
            )

        def they_say(**complete: float) -> None:
            def told() -> bool:
                return complete.items() <= completeness(kafka.bootstrap, topic_prefix).items()

            until(told, f"ticks say {complete}")

        first = worker("first")
        shared([first], PARTITIONS)
        until(lambda: stored(store) > 0, "the first is at work")
        they_say(first=1.0)
        second = worker("second")
        shared([first, second], PARTITIONS // 2, PARTITIONS // 2)
        they_say(first=0.5, second=0.5)
        both = stored(store)
        until(lambda: stored(store) > both + 2 * PER_SECOND, "both are at work")
        assert first.stop() == 0
        left = time.monotonic()
        shared([second], PARTITIONS)
        took_s = time.monotonic() - left
        print(f"takeover after an orderly end: {took_s:.1f} s")
        assert took_s < LONG_SESSION_S, "it said that it leaves"
        they_say(second=1.0)
        alone = stored(store)
        until(lambda: stored(store) > alone + 2 * PER_SECOND, "the second goes on alone")
        n = load.end()
        until_whole(store, n)
        assert second.stop() == 0
    assert_exact(store, n)


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_after_kill_9_of_one_of_two_the_other_has_all_within_15_s(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    static: bool,
) -> None:
    def worker(name: str) -> MetricsWorker:
        env = SESSION | ({"STREAMGAUGE_STATIC_ID": name} if static else {})
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env)

    with ExitStack() as stack:
        load = stack.enter_context(
            SteadyLoad(kafka.bootstrap, topic, per_second=PER_SECOND, partitions=PARTITIONS)
        )
        survivor = stack.enter_context(worker("survivor"))

        def takeover() -> float:
            victim = stack.enter_context(worker("victim"))
            shared([survivor, victim], PARTITIONS // 2, PARTITIONS // 2)
            both = stored(store)
            until(lambda: stored(store) > both, "both are at work")
            victim.kill()
            killed = time.monotonic()
            shared([survivor], PARTITIONS)
            return time.monotonic() - killed

        what = f"takeover after kill -9, {'static' if static else 'dynamic'}"
        measured_below(TAKEOVER_S, takeover, what)
        n = load.end()
        until_whole(store, n)
        assert survivor.stop() == 0
    assert_exact(store, n)


def test_a_static_member_that_comes_back_in_time_moves_no_partition_of_the_other(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def static(name: str) -> MetricsWorker:
        env = {"STREAMGAUGE_STATIC_ID": name, "STREAMGAUGE_SESSION_S": f"{LONG_SESSION_S}"}
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env)

    with ExitStack() as stack:
        load = stack.enter_context(
            SteadyLoad(kafka.bootstrap, topic, per_second=PER_SECOND, partitions=PARTITIONS)
        )
        first, second = stack.enter_context(static("one")), stack.enter_context(static("two"))
        shared([first, second], PARTITIONS // 2, PARTITIONS // 2)
        restarts = len(second.events_logged("buffers_dropped"))
        first.kill()
        killed = time.monotonic()
        again = stack.enter_context(static("one"))
        shared([again], PARTITIONS // 2)
        took_s = time.monotonic() - killed
        print(f"a static member is back after kill -9: {took_s:.1f} s")
        assert took_s < LONG_SESSION_S, "it did not wait for the end of the dead one's session"
        assert len(second.events_logged("buffers_dropped")) == restarts, "the other went on"
        n = load.end()
        until_whole(store, n)
        assert again.stop() == 0
        assert second.stop() == 0
    assert_exact(store, n)


def test_a_worker_that_gets_the_cpu_in_slices_holds_up_neither_the_other_nor_the_counts(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    """And nothing is ever committed that some table lacks."""

    def committed() -> dict[int, int]:
        group = group_name("metrics", topic_prefix)
        return assert_no_commit_is_ahead(kafka.bootstrap, group, store, PARTITIONS)

    with ExitStack() as stack:
        slow, other = (
            stack.enter_context(
                MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **SESSION)
            )
            for _ in range(2)
        )
        shared([slow, other], PARTITIONS // 2, PARTITIONS // 2)
        mine = set(slow.events_logged("resumed")[-1]["positions"])
        in_slices = stack.enter_context(Slices(slow.pid, run_s=0.1, stop_s=0.9))
        load = stack.enter_context(
            SteadyLoad(kafka.bootstrap, topic, per_second=PER_SECOND, partitions=PARTITIONS)
        )
        began = time.monotonic()
        while time.monotonic() - began < 10:  # so long the slow tables lack what others have
            committed()
            time.sleep(0.5)
        behind = backlog(store, load.sent, slow=mine)
        n = load.end()
        in_slices.end()
        print(f"behind after 10 s, events: slow worker {behind[0]}, the other {behind[1]}")
        assert behind[1] < 3 * PER_SECOND, "the other keeps up"
        assert [w.owned for w in (slow, other)] == [PARTITIONS // 2] * 2, "nobody was thrown out"
        until_whole(store, n)
        until(lambda: any(committed().values()), "offsets are committed")
        assert slow.stop() == 0
        assert other.stop() == 0
    ends = {p: len(range(p, n, PARTITIONS)) for p in range(PARTITIONS)}
    assert lowest_markers(store, PARTITIONS) == ends
    assert committed() == ends, "in the end all of it"
    assert_exact(store, n)


def backlog(store: StoreSettings, sent: int, *, slow: set[str]) -> tuple[int, int]:
    """Events sent and not stored: in the partitions of the slow worker, in the others."""
    names = ", ".join(f"'{key}'" for key in slow)
    there = int(
        one(
            store,
            "SELECT count() FROM events WHERE kind = 0"
            f" AND concat(src, '/', toString(partition)) IN ({names})",
        )
    )
    return sent // 2 - there, sent - sent // 2 - (stored(store) - there)


class Slices:
    """A process that runs for `run_s`, is stopped for `stop_s`, and so on."""

    def __init__(self, pid: int, *, run_s: float, stop_s: float) -> None:
        self._pid, self._run_s, self._stop_s = pid, run_s, stop_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._slice)

    def _slice(self) -> None:
        while not self._over.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self._over.wait(self._stop_s)
            os.kill(self._pid, signal.SIGCONT)
            self._over.wait(self._run_s)

    def end(self) -> None:
        """It runs freely from now on."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def __enter__(self) -> Slices:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
