"""What a client produced adds up; what Kafka threw away is counted; texts are kept on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streamgauge.deploy import topics as topic_admin
from streamgauge.producers import Client
from streamgauge.producers._counts import Drop
from streamgauge.producers.testing import MemorySink
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    ask,
    expected_sums,
    outcomes,
    produce,
    raw,
    request,
    stored,
    sums,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def a_client_with_losses() -> list[bytes]:
    """What a real client sends that was given 230 events and lost 20 of them on its side."""
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    for _ in range(200):
        client.log(model="gpt-4o-mini", duration_ms=100)
    for _ in range(13):
        client.log(model="gpt-4o-mini")  # type: ignore[call-arg]  # dropped, without a number
    assert client.flush(10) == 0
    sink.refuse = Drop.REFUSED
    for _ in range(7):
        client.log(model="gpt-4o-mini", duration_ms=100)  # dropped with a number
    assert client.flush(10) == 0
    sink.refuse = None
    for _ in range(10):
        client.log(model="gpt-4o-mini", duration_ms=100)
    assert client.close(10) == 0
    return [value for _, value in sink.records]


def from_tomorrow(value: bytes) -> bytes:
    """The same event by a clock that is a day ahead: a dead letter."""
    event = json.loads(value)
    return json.dumps(event | {"ts": event["ts"] + 86_400_000}).encode()


def test_the_account_of_a_client_with_drops_dead_letters_and_repeats_adds_up(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    sent = a_client_with_losses()
    beats = sum(json.loads(v)["type"] == "client.stats" for v in sent)
    last_seq = json.loads(sent[-1])["seq"]
    dead = [*range(20, 25), 209]
    sent = [from_tomorrow(v) if i in dead else v for i, v in enumerate(sent)]
    produce(kafka.bootstrap, topic, [*sent, *sent[:9]], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == len(sent) + 9, "every offset")
        assert worker.stop() == 0
    (row,) = ask(store, "SELECT * FROM v_loss")
    assert (row["stored"], row["dead"], row["duplicates"]) == (len(sent) - 6, 6, 9)
    assert row["dropped"] == {"invalid": 13, "refused": 7}
    assert row["accepted"] == 230 + beats
    assert row["accepted"] == row["stored"] + row["dead"] + row["dropped_n"]
    assert (row["min_seq"], row["max_seq"]) == (1, last_seq)
    assert row["missing"] == 7, "what was numbered and did not come: not the dead letters"


def test_events_that_were_lost_before_any_other_came_are_missing(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    for _ in range(60):
        client.log(model="gpt-4o-mini", duration_ms=100)
    assert client.close(10) == 0
    sent = [value for _, value in sink.records]
    goodbye = json.loads(sent[-1])
    assert (goodbye["type"], goodbye["accepted"]) == ("client.stats", len(sent)), "counts itself"
    produce(kafka.bootstrap, topic, sent[50:], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == len(sent) - 50, "what came")
        assert worker.stop() == 0
    (row,) = ask(store, "SELECT * FROM v_loss")
    assert (row["stored"], row["accepted"], row["dropped_n"]) == (len(sent) - 50, len(sent), 0)
    assert (row["missing"], row["missing_before"], row["missing_after"]) == (50, 50, 0)


def test_unread_events_of_a_deleted_topic_are_missing_in_v_loss_and_no_lost_offset(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(40)], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 40, "what came before")
        settings = worker.kafka
        assert worker.stop() == 0
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(40, 70)], partition=0)
    admin.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in admin.list_topics(timeout=5).topics, "deleted")
    topic_admin.create_topics(settings, partitions=4)
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(70, 80)], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 50, "what came after")
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": 50}
    (row,) = ask(store, "SELECT stored, missing FROM v_loss")
    assert row == {"stored": 50, "missing": 30}


def test_records_deleted_before_they_were_read_are_counted_as_lost(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    def delete_below(offset: int) -> None:
        where = TopicPartition(topic, 0, offset)
        for future in admin.delete_records([where]).values():
            future.result(30)

    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(100)], partition=0)
    delete_below(30)  # nobody has read this log yet: it begins at 30, and that is no loss
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 70, "what is there")
        assert worker.stop() == 0
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(100, 200)], partition=0)
    delete_below(160)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 110, "what is left")
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": 110, "lost": 60}
    (lost,) = ask(
        store,
        "SELECT min(first_offset) AS first, max(last_offset) AS last FROM ingest_log"
        " WHERE kind = 0 AND outcome = 'lost'",
    )
    assert (lost["first"], lost["last"]) == (100, 159)
    assert sums(store) == expected_sums([request(i) for i in [*range(30, 100), *range(160, 200)]])


def test_texts_are_stored_only_on_request_and_once_each(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def told(i: int) -> dict[str, Any]:
        return request(i, input_text=f"question {i}", output_text=f"answer {i}", content="full")

    asked = "SELECT event_id, input_text, output_text FROM texts WHERE kind = 0 ORDER BY offset"
    static = {"STREAMGAUGE_STATIC_ID": "one"}
    produce(kafka.bootstrap, topic, [raw(told(0)), raw(request(1))], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **static) as worker:
        until(lambda: stored(store) == 2, "without texts")
        assert worker.stop() == 0
    assert ask(store, asked) == []
    texts = static | {"STREAMGAUGE_TEXTS": "1"}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **texts) as worker:
        produce(kafka.bootstrap, topic, [raw(request(2)), raw(told(3))], partition=0)
        until(lambda: outcomes(store) == {"stored": 4}, "with texts")
        assert worker.stop() == 0
    # The table lacked everything, so it was filled from the start of the log; no other table was.
    assert ask(store, asked) == [
        {"event_id": f"e{i}", "input_text": f"question {i}", "output_text": f"answer {i}"}
        for i in (0, 3)
    ]
    assert ask(store, "SELECT uniqExact(offset) AS n, count() AS m FROM events WHERE kind = 0") == [
        {"n": 4, "m": 4}
    ]
