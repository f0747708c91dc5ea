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
