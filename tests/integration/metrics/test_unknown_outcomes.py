"""The connection to the store is cut while an insert is under way: nobody knows what became of it.

Each fault of the proxy strikes several tables of several flushes, in the order of the tables, with
one worker and while another takes over.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamgauge.storage.settings import StoreSettings
from tests.support.exact import assert_exact, wait_for_slow_tables
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    outcomes,
    produce,
    raw,
    request,
    stored,
    until,
)
from tests.support.store_proxy import Fault, StoreProxy

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
SMALL = {"STREAMGAUGE_FLUSH_EVENTS": "300"}


@pytest.fixture
def proxy(store: StoreSettings) -> Iterator[StoreProxy]:
    """Between the worker and the store."""
    with StoreProxy(store) as proxy:
        yield proxy


@pytest.mark.full
@pytest.mark.parametrize("fault", list(Fault))
def test_an_insert_whose_connection_is_cut_is_stored_once(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    proxy: StoreProxy,
    tmp_path: Path,
    fault: Fault,
) -> None:
    n, cuts = 4_000, 6
    proxy.spoil(*[fault] * cuts)
    with MetricsWorker(kafka.bootstrap, topic_prefix, proxy.settings, tmp_path, **SMALL) as worker:
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n)])
        until(lambda: outcomes(store).get("stored") == n, "all events")
        wait_for_slow_tables(store, n)
        assert proxy.spoiled(fault) == cuts
        assert worker.stop() == 0
    assert_exact(store, n)


def test_a_request_that_comes_after_its_sender_died_and_another_went_on_is_refused(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    proxy: StoreProxy,
    tmp_path: Path,
) -> None:
    n = 4_000
    static = SMALL | {"STREAMGAUGE_STATIC_ID": "one"}
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n)])
    proxy.late_s = None
    with MetricsWorker(kafka.bootstrap, topic_prefix, proxy.settings, tmp_path, **static) as dying:
        until(lambda: stored(store) > 0, "progress")
        proxy.spoil(Fault.LATE)
        until(lambda: proxy.late > 0, "a request is on its way")
        dying.kill()
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **static) as other:
        until(lambda: outcomes(store).get("stored") == n, "all events, without it")
        assert proxy.spoiled(Fault.LATE) == 0, "it has not come yet"
        proxy.deliver()
        until(lambda: proxy.spoiled(Fault.LATE) == 1, "it has come")
        assert proxy.last_status == 409, "and was refused"
        wait_for_slow_tables(store, n)
        assert other.stop() == 0
    assert_exact(store, n)


def test_a_slow_way_to_the_store_and_cuts_of_every_kind_in_any_order_change_nothing(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    proxy: StoreProxy,
    tmp_path: Path,
) -> None:
    n, order = 6_000, random.Random(5)
    faults = [*Fault] * 3
    order.shuffle(faults)
    proxy.delay_s = 0.02
    proxy.spoil(*faults)
    with (
        MetricsWorker(kafka.bootstrap, topic_prefix, proxy.settings, tmp_path, **SMALL) as first,
        MetricsWorker(kafka.bootstrap, topic_prefix, proxy.settings, tmp_path, **SMALL) as second,
    ):
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2)])
        until(lambda: stored(store) > 0, "progress")
        first.kill()
        produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(n // 2, n)])
        until(lambda: outcomes(store).get("stored") == n, "all events, by the survivor")
        wait_for_slow_tables(store, n)
        assert sum(proxy.spoiled(fault) for fault in Fault) == len(faults)
        assert second.stop() == 0
    assert_exact(store, n)
