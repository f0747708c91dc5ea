"""`streamgauge audit`: nothing to say of what the worker stored, everything of what it did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamgauge.storage.audit import Audit, audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import T0, MetricsWorker, outcomes, produce, raw, request, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

START = datetime.fromtimestamp(T0 / 1000, UTC).replace(minute=0, second=0, microsecond=0)
END = START + timedelta(hours=2)


def looked_at(store: StoreSettings) -> Audit:
    with connect(store) as client:
        return audit(client, START, END)


def test_it_finds_nothing_in_what_was_stored_and_each_row_that_was_tampered_with(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    topic = f"{topic_prefix}events.v1"
    good = [raw(request(i)) for i in range(2_000)]
    foreign = [raw(request(3_000 + i, producer_id=None, seq=None)) for i in range(100)]
    produce(kafka.bootstrap, topic, [*good, *good[:50], b"{", *foreign])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == 2_151, "all offsets")
        assert looked_at(store) == Audit(2_100, 2_151, (), ())  # while the worker lives
        assert worker.stop() == 0
    with connect(store) as client:
        client.command("INSERT INTO events SELECT * FROM events WHERE kind = 0 AND id = 'e7'")
        client.command("INSERT INTO events SELECT * FROM events WHERE kind = 0 AND id = 'e3001'")
        client.command(
            "INSERT INTO windows SELECT * REPLACE (1 AS n, 0 AS input_tokens) FROM windows"
            " WHERE kind = 0 AND resolution = 60 LIMIT 1"
        )
    found = looked_at(store)
    assert found.unsettled == ()
    twice = [(d.what, d.found - d.expected) for d in found.differences if d.law == "twice"]
    assert sorted(twice) == [("offset", 1), ("offset", 1), ("seq", 1)]
    assert sum(d.found - d.expected for d in found.differences if d.law == "offsets") == 2
    (client_difference,) = [d for d in found.differences if d.law == "clients"]
    assert (client_difference.expected, client_difference.found) == (2_001, 2_000)
    by_n = {d.where[-5:]: d for d in found.differences if d.law == "windows" and d.what == "n"}
    assert {k: (d.expected, d.found) for k, d in by_n.items()} == {
        " 10 s": (2_102, 2_100),
        " 60 s": (2_102, 2_101),
        "600 s": (2_102, 2_100),
    }
