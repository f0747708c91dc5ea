"""Exact counts, by our own sums and by the store's audit over all that test events may fall on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streamgauge.storage.audit import audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.metrics_worker import (
    T0,
    expected_sums,
    one,
    outcomes,
    request,
    stored,
    sums,
    until,
)

START = datetime.fromtimestamp(T0 / 1000, UTC).replace(minute=0, second=0, microsecond=0)
HOURS = 72


def assert_audit_is_clean(store: StoreSettings) -> None:
    """All offsets, raw rows, windows and clients' numbers add up, with no worker at work."""
    with connect(store) as client:
        found = audit(client, START, START + timedelta(hours=HOURS))
    assert (found.differences, found.unsettled, found.not_compared) == ((), (), ()), found
    assert found.requests > 0


def until_whole(store: StoreSettings, n: int, *, seconds: float = 90.0) -> None:
    """Wait, while workers work, until every table has all of n events; the slow ones take 10 s."""
    until(lambda: sum(outcomes(store).values()) >= n, f"{n} offsets", seconds=seconds)
    for table in ("producers", "spend"):
        counted = f"SELECT sum(n) FROM {table} WHERE kind = 0"
        until(lambda counted=counted: one(store, counted) >= n, table)  # type: ignore[misc]


def assert_exact(store: StoreSettings, n: int) -> None:
    """Every event once, in every table, as `request(0)` to `request(n - 1)` say."""
    assert outcomes(store) == {"stored": n}
    assert stored(store) == n
    assert one(store, "SELECT uniqExact(id) FROM events WHERE kind = 0") == n
    expected = expected_sums([request(i) for i in range(n)])
    for resolution in (10, 60, 3600):
        assert sums(store, resolution) == expected, resolution
    assert one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == n
    assert_audit_is_clean(store)
