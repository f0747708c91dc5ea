"""What a store must hold of `request(0)` to `request(n - 1)`: each of them once, in every table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from streamgauge.storage.audit import audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.metrics_worker import (
    T0,
    ask,
    expected_sums,
    one,
    outcomes,
    request,
    stored,
    sums,
    until,
)


def assert_exact(store: StoreSettings, n: int, *, first_ms: int = T0) -> None:
    """Raw rows, windows, outcomes, clients, spend, and the audit. first_ms: `ts` of request 0."""
    events = [request(i) for i in range(n)]
    assert stored(store) == n
    assert one(store, "SELECT uniqExact(id) FROM events WHERE kind = 0") == n
    for resolution in (10, 60, 3600):
        assert sums(store, resolution) == expected_sums(events), resolution
    assert outcomes(store) == {"stored": n}
    (producer,) = ask(
        store,
        "SELECT sum(n) AS n, min(min_seq) AS low, max(max_seq) AS high FROM producers"
        " WHERE kind = 0",
    )
    assert producer == {"n": n, "low": 1, "high": n}
    assert one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == n
    begin = datetime.fromtimestamp(first_ms / 1000, UTC).replace(minute=0, second=0, microsecond=0)
    with connect(store) as client:
        found = audit(client, begin, begin + timedelta(hours=2))
    assert not found.differences, found.differences
    assert (found.unsettled, found.not_compared) == ((), ())
    assert (found.requests, found.offsets) == (n, n)


def wait_for_slow_tables(store: StoreSettings, n: int) -> None:
    """Until the tables that are written every 10 s have n events, too; a worker must be alive."""
    for table in ("producers", "spend"):
        whole = f"SELECT sum(n) FROM {table} WHERE kind = 0"
        until(lambda whole=whole: one(store, whole) >= n, table)  # type: ignore[misc]
