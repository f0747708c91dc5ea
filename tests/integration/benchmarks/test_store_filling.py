"""The benchmark of the store in small: filled in two lives, copied, asked, compared."""

from __future__ import annotations

import pytest
from benchmarks.store import plain, sizes
from benchmarks.store.ask import ask, compare, parameters
from benchmarks.store.fill import Filling
from benchmarks.store.queries import QUERIES
from benchmarks.store.traffic import Traffic
from benchmarks.store.world import BLOCK, DAY_MS, DAYS

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]


def test_filling_goes_on_where_it_was_and_both_sides_give_the_same_answers(
    store: StoreSettings, store_reader: StoreSettings
) -> None:
    today_ms = SystemClock().now_ms() // DAY_MS * DAY_MS
    traffic = Traffic(3 * BLOCK, today_ms - DAYS * DAY_MS)
    assert list(Filling(store, traffic, blocks=1).steps()) == [0, BLOCK]
    for stored in Filling(store, traffic).steps():
        if stored == 2 * BLOCK:
            break
    assert list(Filling(store, traffic).steps())[-1] == 3 * BLOCK
    with connect(store) as client:
        (found,) = client.query(
            "SELECT count() AS n, uniqExact(id) AS ids,"
            " (SELECT sum(requests) FROM v_hour) AS hours,"
            " (SELECT sum(requests) FROM v_spend) AS spend FROM v_requests"
        )
        assert found == dict.fromkeys(("n", "ids", "hours", "spend"), traffic.events)
        counted = sizes.measure(client)
        assert 40 < counted.tables["events"] / traffic.events < 90
        assert sum(counted.columns.values()) < counted.tables["events"]
        try:
            assert plain.copy(client, store.database, traffic.events)
            assert not plain.copy(client, store.database, traffic.events)
            with connect(store_reader) as reader:
                asked = parameters(reader)
                compare(reader, asked)
                times = ask(reader, asked, 2)
        finally:
            client.command(f"DROP DATABASE IF EXISTS {plain.DATABASE} SYNC", use_database=False)
    assert [len(one.ours) for one in times] == [2] * len(QUERIES)
    other = Traffic(6 * BLOCK, traffic.begin_ms)
    with pytest.raises(ValueError, match="it was filled otherwise"):
        list(Filling(store, other).steps())
