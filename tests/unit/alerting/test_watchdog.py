"""A call that never comes back ends the process; one that does, does not."""

from __future__ import annotations

from streamgauge.alerting.watchdog import Watchdog
from streamgauge.contracts.clock import ManualClock


def test_block_over_its_limit_ends_the_process() -> None:
    clock, ended = ManualClock(), []
    dog = Watchdog(clock=clock, limit_s=30, end=lambda: ended.append(True))
    with dog.watch("machine"):
        clock.advance(30)
        dog.check()
        assert ended == []
        clock.advance(1)
        dog.check()
    assert ended == [True]


def test_block_that_has_ended_is_not_watched_any_more() -> None:
    clock, ended = ManualClock(), []
    dog = Watchdog(clock=clock, limit_s=30, end=lambda: ended.append(True))
    with dog.watch("machine"):
        clock.advance(1)
    clock.advance(100)
    dog.check()
    assert ended == []


def test_block_that_gets_on_is_given_time_and_one_that_stops_is_not() -> None:
    clock, ended = ManualClock(), []
    dog = Watchdog(clock=clock, limit_s=30, end=lambda: ended.append(True))
    dog.alive("machine")
    with dog.watch("machine"):
        for _ in range(5):
            clock.advance(20)
            dog.alive("machine")
            dog.check()
        assert ended == []
        clock.advance(31)
        dog.check()
    assert ended == [True]
