"""Which blow comes when. Pure: the same kills and seed give the same plan.

In: how many kills. Out: steps, the kills spread over worker, store and broker, and between them
what does not kill: zombies, rebalances, cut connections, a full disk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Blow(StrEnum):
    """What happens in a step."""

    KILL_WORKER = "worker killed"
    KILL_AT_POINT = "worker killed at a fail point"
    KILL_STORE = "store killed"
    KILL_BROKER = "broker killed"
    ZOMBIE = "worker stopped past its session"
    ZOMBIE_AT_POINT = "worker stopped at a fail point past its session"
    REBALANCE = "a second worker came and went"
    CUT = "connections to the store cut"
    DISK_FULL = "the store's disk was full"


KILLS = {
    Blow.KILL_WORKER: 0.3,
    Blow.KILL_AT_POINT: 0.3,
    Blow.KILL_STORE: 0.28,
    Blow.KILL_BROKER: 0.12,
}
"""Shares of the kills."""
BESIDE = {
    Blow.ZOMBIE: 0.1,
    Blow.ZOMBIE_AT_POINT: 0.1,
    Blow.REBALANCE: 0.1,
    Blow.CUT: 0.2,
    Blow.DISK_FULL: 0.04,
}
"""Steps of these per kill; at least one of each."""
POINTS = ("on_recall", "before_insert", "mid_insert", "between_sinks", "before_ack")
MOST_TIMES = {"on_recall": 1, "before_insert": 3, "mid_insert": 12, "between_sinks": 10}
"""The fail point acts at the n-th time, n at most so much (1 if not named: 3)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One blow. after_s: of undisturbed work. point: `place:n` of a fail point, else empty.

    static: the next worker to start has a static membership, so it need not wait for the session of
    a dead one. seed: for choices that are made on the spot.
    """

    blow: Blow
    after_s: float
    point: str
    static: bool
    seed: int


def make_plan(kills: int, seed: int) -> list[Step]:
    """The steps in order, with exactly this number of kills. ValueError: fewer than 4."""
    if kills < len(KILLS):
        raise ValueError(f"{kills} kills: expected at least {len(KILLS)}, one of each kind")
    rnd = random.Random(seed)
    counts = {blow: max(1, int(kills * share)) for blow, share in KILLS.items()}
    counts[Blow.KILL_WORKER] += kills - sum(counts.values())
    counts |= {blow: max(1, round(kills * share)) for blow, share in BESIDE.items()}
    blows = [blow for blow, n in counts.items() for _ in range(n)]
    rnd.shuffle(blows)
    points = _points(rnd)
    return [
        Step(
            blow,
            after_s=rnd.uniform(0.2, 1.5),
            point=next(points) if blow in (Blow.KILL_AT_POINT, Blow.ZOMBIE_AT_POINT) else "",
            static=rnd.random() < 0.8,
            seed=rnd.getrandbits(32),
        )
        for blow in blows
    ]


def _points(rnd: random.Random) -> Iterator[str]:
    """Every place in turn, in a new order each time."""
    while True:
        for place in rnd.sample(POINTS, len(POINTS)):
            yield f"{place}:{rnd.randint(1, MOST_TIMES.get(place, 3))}"
