"""Which event is due when, and how long after it its aggregate showed it. Pure.

Event i goes to partition i % partitions. One of each partition goes first, at no set time: they
show that all is up. From `began` on the others are due at even distances, whoever keeps up.
In: when the store was asked, and how many events of each partition it had. Out: seconds per event.
Since a partition is stored in order, a count of k says that its first k events are there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WARM_UP_S = 10.0
TAIL_S = 3.0
"""Load before and after the judged part: its last events, too, are stored beside others."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """rate: events/s, all partitions together. seconds: of the judged part."""

    partitions: int
    rate: float
    seconds: float

    @property
    def n(self) -> int:
        """Events in all."""
        return self.due_by(WARM_UP_S + self.seconds + TAIL_S)

    @property
    def judged(self) -> range:
        """Numbers of the events that are judged."""
        return range(self.due_by(WARM_UP_S), self.due_by(WARM_UP_S + self.seconds))

    def due_by(self, s: float) -> int:
        """Events that are due before s seconds have passed since the beginning."""
        return self.partitions + math.ceil(max(0.0, s) * self.rate)

    def due_s(self, i: int) -> float:
        """When event i is due, seconds since the beginning."""
        return max(0, i - self.partitions) / self.rate

    def of(self, partition: int) -> NDArray[np.int64]:
        """Numbers of a partition's events, in its order."""
        return np.arange(partition, self.n, self.partitions)


@dataclass(frozen=True, slots=True)
class Poll:
    """An answer of the store. at_s: when it was there, seconds since the beginning.

    counts: events by partition.
    """

    at_s: float
    counts: tuple[int, ...]


def latencies_s(schedule: Schedule, polls: Sequence[Poll]) -> NDArray[np.float64]:
    """Seconds from when an event was due to the first answer that counts it, of each judged event.

    ValueError: the last answer does not hold exactly what was sent, or a count went back.
    """
    at_s = np.array([poll.at_s for poll in polls])
    counts = np.array([poll.counts for poll in polls])
    judged, found = schedule.judged, []
    for partition in range(schedule.partitions):
        numbers, seen = schedule.of(partition), counts[:, partition]
        if seen[-1] != len(numbers) or (np.diff(seen) < 0).any():
            raise ValueError(
                f"partition {partition}: {len(numbers)} events were sent; the aggregate had"
                f" {seen[-1]} at the end and {seen.max()} at most"
            )
        first = np.searchsorted(seen, np.arange(1, len(numbers) + 1))
        due_s = np.maximum(0, numbers - schedule.partitions) / schedule.rate
        found.append((at_s[first] - due_s)[(numbers >= judged.start) & (numbers < judged.stop)])
    return np.concatenate(found)
