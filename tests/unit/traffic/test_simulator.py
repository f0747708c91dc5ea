"""Made-up traffic: seeded, at the rate and in the shape that was asked for."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.producers.traffic.catalog import TENANTS
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.simulator import DAY_MS, rate_factor, simulate_rows

HOUR = 3_600_000


def test_same_seed_makes_the_same_requests_up() -> None:
    def make(seed: int) -> list[object]:
        return list(simulate_rows(seed, 0, duration_ms=60_000, rate=5))

    assert make(1) == make(1)
    assert make(1) != make(2)


def test_flat_traffic_has_the_rate_that_was_asked_for() -> None:
    rows = list(simulate_rows(1, 0, duration_ms=HOUR, rate=5, curve="flat"))
    # 18,000 expected, standard deviation 134.
    assert 17_500 <= len(rows) <= 18_500
    assert [r.arrival_ms for r in rows] == sorted(r.arrival_ms for r in rows)
    assert rows[-1].arrival_ms < HOUR


def test_day_is_busiest_at_fifteen_and_keeps_the_mean() -> None:
    assert rate_factor(15 * HOUR, "day") == pytest.approx(1.6)
    assert rate_factor(3 * HOUR, "day") == pytest.approx(0.4)
    rows = list(simulate_rows(1, 0, duration_ms=DAY_MS, rate=0.2))
    # 17,280 expected over a day, standard deviation 131.
    assert 16_800 <= len(rows) <= 17_800
    hours = Counter(r.arrival_ms // HOUR for r in rows)
    assert hours[15] > 3 * hours[3]


def test_every_event_is_marked_as_made_up_and_tenants_share_the_traffic() -> None:
    rows = simulate_rows(1, 0, duration_ms=HOUR, rate=2, curve="flat")
    events = list(events_for(rows, 1, source="simulator"))
    assert {e["tags"]["synthetic"] for e in events} == {"all"}
    tenants = Counter(e["tenant"] for e in events)
    assert {name for name, _ in tenants.most_common()} == {name for name, _ in TENANTS}
    assert tenants["acme"] > tenants["globex"] > tenants["initech"]


def test_endless_traffic_is_made_as_it_is_asked_for() -> None:
    events = events_for(simulate_rows(1, 0, duration_ms=None, rate=100), 1)
    assert len(list(islice(events, 1_000))) == 1_000


@pytest.mark.parametrize("rate", [0, -1, 20_000, float("nan")])
def test_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(Misconfigured, match="expected above 0"):
        next(simulate_rows(1, 0, duration_ms=None, rate=rate))
