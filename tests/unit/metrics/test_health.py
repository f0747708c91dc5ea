"""A worker is alive while it makes progress, and ready while it has what it needs."""

from __future__ import annotations

import sys
import threading

import pytest

from streamgauge.storage.writer import PATIENCE_S
from streamgauge.stream_processors.core.health import LOOP_S, STAGE_S, STALL_S, Vitals


class Now:
    """A clock that is moved by hand, seconds."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def vitals(now: Now) -> Vitals:
    return Vitals(now)


def working(vitals: Vitals) -> None:
    for what in ("positions", "kafka", "store"):
        vitals.found(what)


def test_a_worker_that_starts_is_alive_and_not_ready(vitals: Vitals) -> None:
    assert vitals.sick() == {}
    assert sorted(vitals.unready()) == ["kafka", "positions", "store"]
    working(vitals)
    assert vitals.unready() == {}
    vitals.missing("store", "it does not answer")
    vitals.missing("store", "its disk is full")
    assert vitals.unready() == {"store": "its disk is full"}


def test_a_loop_that_does_not_turn_is_sick(vitals: Vitals, now: Now) -> None:
    now.s += LOOP_S
    assert vitals.sick() == {}
    now.s += 1
    assert vitals.sick() == {"loop": "has not turned for 16 s"}
    vitals.beat()
    assert vitals.sick() == {}


def test_an_attempt_at_a_slow_block_ends_before_the_thread_is_called_sick() -> None:
    assert PATIENCE_S < STAGE_S


def test_a_flush_thread_is_sick_when_one_attempt_takes_too_long(vitals: Vitals, now: Now) -> None:
    with vitals.stage("insert into events"):
        now.s += STAGE_S + 1
        vitals.beat()
        assert vitals.sick() == {"flush": "its thread has been at 'insert into events' for 121 s"}
    assert vitals.sick() == {}
    for _ in range(10):  # a store that is away for an hour: each attempt ends
        with vitals.stage("insert into events"):
            now.s += STAGE_S / 2
            vitals.beat()
            assert vitals.sick() == {}
    with vitals.stage("build"):  # a model that scores texts
        now.s += 5 * STAGE_S
        vitals.beat()
        assert vitals.sick() == {}
        now.s += 5 * STAGE_S
        vitals.beat()
        assert list(vitals.sick()) == ["flush"]


def test_events_that_wait_while_nothing_is_in_the_way_are_a_stall(vitals: Vitals, now: Now) -> None:
    def later() -> dict[str, str]:
        now.s += STALL_S + 1
        vitals.beat()
        return vitals.sick()

    working(vitals)
    assert later() == {}, "nothing waits"
    vitals.lags(7)
    vitals.missing("kafka", "does not answer")
    assert later() == {}, "Kafka is in the way"
    vitals.found("kafka")
    vitals.moved()
    assert vitals.sick() == {}
    assert list(later()) == ["progress"]
    vitals.lags(0)
    assert vitals.sick() == {}


def test_notes_of_two_threads_do_not_undo_each_other(vitals: Vitals) -> None:
    """The loop says that positions are known once; another thread says something all the time."""
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            vitals.missing("kafka", "away")
            vitals.found("kafka")

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other = threading.Thread(target=look)
    other.start()
    try:
        for _ in range(20_000):
            vitals.missing("positions", "read again")
            vitals.found("positions")
            assert "positions" not in vitals.unready()
    finally:
        stop.set()
        other.join()
        sys.setswitchinterval(often)
