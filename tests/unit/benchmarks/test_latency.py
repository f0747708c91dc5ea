"""bench-latency's arithmetic: which event is due when, and when an answer first counted it."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.latency.schedule import TAIL_S, WARM_UP_S, Poll, Schedule, latencies_s

RATE = 4.0
TWO = Schedule(partitions=2, rate=RATE, seconds=2.0)
"""Events 0 and 1 first; 2, 3, 4 ... due at 0, 0.25, 0.5 ... s."""
N = 2 + int((WARM_UP_S + 2 + TAIL_S) * RATE)


def answers(delay_s: float, *, each_s: float = 0.1, until_s: float = 30.0) -> list[Poll]:
    """Of a store that shows every event exactly so long after it was due."""
    polls = []
    for at_s in np.arange(0.0, until_s, each_s):
        there = [i for i in range(TWO.n) if TWO.due_s(i) + delay_s <= at_s]
        polls.append(Poll(float(at_s), (sum(i % 2 == 0 for i in there), sum(i % 2 for i in there))))
    return polls


def test_events_are_due_at_even_distances_whoever_keeps_up() -> None:
    assert TWO.n == N
    assert [TWO.due_s(i) for i in range(5)] == [0.0, 0.0, 0.0, 0.25, 0.5]
    # Due at 0, 0.25 and 0.5 s: none before the clock, one from the first moment, three at 0.51 s.
    assert [TWO.due_by(s) - 2 for s in (-1.0, 0.0, 0.01, 0.5, 0.51)] == [0, 0, 1, 2, 3]


def test_only_the_time_between_warm_up_and_tail_is_judged() -> None:
    due = [TWO.due_s(i) for i in TWO.judged]
    assert len(due) == 2 * RATE
    assert due[0] == WARM_UP_S
    assert due[-1] == WARM_UP_S + 2 - 1 / RATE
    assert TWO.judged.stop < TWO.n


def test_latency_is_the_delay_up_to_one_polling_interval_more() -> None:
    found = latencies_s(TWO, answers(0.73))
    assert len(found) == len(TWO.judged)
    # Due times end in .00, .25, .50 or .75; plus 0.73 that is .73, .98, .23 or .48; the next answer
    # of a tenth of a second is 0.07, 0.02, 0.07 or 0.02 s later.
    assert set(np.round(found, 6)) == {0.75, 0.80}


def test_a_store_that_stands_still_shows_in_every_event_of_that_time() -> None:
    polls = [p for p in answers(0.05, each_s=0.25) if not 10.5 < p.at_s < 11.5]
    found = np.sort(np.round(latencies_s(TWO, polls), 6))
    # Due from 10.00 on, eight events; answers at 10.25, 10.50, then none before 11.50.
    # 10.00 -> 10.25, 10.25 -> 10.50; 10.50 to 11.25 -> 11.50; 11.50 -> 11.75, 11.75 -> 12.00
    assert found.tolist() == [0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0]


def test_partitions_are_counted_apart() -> None:
    late = [
        Poll(p.at_s, (p.counts[0], q.counts[1]))
        for p, q in zip(answers(0.0), answers(5.0), strict=True)
    ]
    found = latencies_s(TWO, late)
    assert np.median(found[:4]) < 0.1
    assert np.median(found[4:]) >= 5.0


@pytest.mark.parametrize(
    "last",
    [Poll(40.0, (N // 2 - 1, N // 2)), Poll(40.0, (N // 2, N // 2 + 1)), Poll(40.0, (0, N // 2))],
    ids=["one is missing", "one is there twice", "a count went back"],
)
def test_an_aggregate_that_is_not_exact_has_no_latency(last: Poll) -> None:
    with pytest.raises(ValueError, match=r"partition \d: \d+ events were sent"):
        latencies_s(TWO, [*answers(0.1), last])
