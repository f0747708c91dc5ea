"""Input that nobody wants: each has one exact outcome, and its neighbours are unharmed.

BAD_INPUT is the table in the docs: what is sent, and its outcome (`dead: reason`, or `stored`).
"""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not re-exported for mypy
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.kafka_io import HEAD_BYTES
from tests.support.audited import assert_audit_is_clean
from tests.support.dead_letters import read_dead_letters
from tests.support.kafka import TestKafka, create_topics, delete_topic
from tests.support.metrics_worker import (
    MetricsWorker,
    ask,
    expected_sums,
    one,
    outcomes,
    produce,
    raw,
    request,
    stored,
    sums,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

NOISE = base64.b64encode(random.Random(1).randbytes(2_625_000)).decode()  # does not compress
FAR = 4_102_444_800_000  # 2100-01-01


def changed(i: int, **fields: Any) -> bytes:
    return raw(request(i, **fields))


def with_text(i: int, before: bytes, after: bytes) -> bytes:
    good = raw(request(i))
    assert before in good
    return good.replace(before, after)


BAD_INPUT: dict[str, tuple[bytes, str]] = {
    "truncated JSON": (raw(request(1000))[:-20], "dead: bad_json"),
    "no JSON at all": (b"hello", "dead: bad_json"),
    "empty value": (b"", "dead: bad_json"),
    "a JSON list": (b"[]", "dead: wrong_type"),
    "text where a number is": (changed(1001, duration_ms="fast"), "dead: wrong_type"),
    "a fraction where a whole number is": (changed(1002, input_tokens=1.5), "dead: wrong_type"),
    "a required field missing": (with_text(1003, b'"status":"ok",', b""), "dead: missing_field"),
    "a required field null": (changed(1004, model=None), "dead: missing_field"),
    "a status nobody knows": (changed(1005, status="meh"), "dead: unknown_value"),
    "unknown major version": (changed(1006, v=2), "dead: unknown_major"),
    "2 MB event": (changed(1007, input_text="x" * 2_000_000), "dead: too_large"),
    "3.5 MB event": (changed(1024, input_text=NOISE), "dead: too_large"),
    "timestamp in 1970": (changed(1008, ts=0), "dead: ts_too_old"),
    "timestamp in 2100": (changed(1009, ts=FAR), "dead: ts_in_future"),
    "NaN": (with_text(1010, b'"duration_ms":210', b'"duration_ms":NaN'), "dead: bad_json"),
    "Infinity": (
        with_text(1011, b'"duration_ms":211', b'"duration_ms":Infinity'), "dead: bad_json",
    ),
    "a number too large for a float": (
        with_text(1012, b'"duration_ms":212', b'"duration_ms":1e400'), "dead: not_finite",
    ),
    "negative tokens": (changed(1013, input_tokens=-1), "dead: out_of_bounds"),
    "negative cost": (changed(1014, cost_nano_usd=-1), "dead: out_of_bounds"),
    "huge tokens": (changed(1015, output_tokens=2**31), "dead: out_of_bounds"),
    "huge duration": (changed(1016, duration_ms=1e12), "dead: out_of_bounds"),
    "a 100-digit number": (
        with_text(1017, b'"input_tokens":117', b'"input_tokens":' + b"9" * 100),
        "dead: out_of_bounds",
    ),
    "invalid UTF-8": (with_text(1018, b'"id":"e1018"', b'"id":"\xff\xfe"'), "dead: bad_json"),
    "lone surrogate": (with_text(1020, b'"id":"e1020"', b'"id":"\\ud800x"'), "stored"),
    "NUL": (with_text(1021, b'"id":"e1021"', b'"id":"a\\u0000b"'), "stored"),
    "unknown field": (changed(1022, brand_new={"a": [1]}), "stored"),
    "unknown type": (changed(1023, type="llm.someday"), "stored as unknown_type"),
    "the same event again": (raw(request(1)), "duplicate"),
}  # fmt: skip


@pytest.fixture
def topic(kafka: TestKafka, topic_prefix: str) -> str:
    """The events topic under a prefix of this test's own.

    It takes messages of 4 MB, the dead-letter topic of 2 MB.
    """
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    name = f"{topic_prefix}events.v1"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for each, most in ((name, "4000000"), (f"{topic_prefix}deadletters.v1", "2000000")):
        entry = ConfigEntry("max.message.bytes", most, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, each, incremental_configs=[entry])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)
    return name


def test_each_bad_input_has_its_exact_outcome_and_its_neighbours_are_unharmed(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    values: list[bytes] = []
    offset_of: dict[str, int] = {}
    good: list[dict[str, Any]] = []
    for i, (name, (value, _)) in enumerate(BAD_INPUT.items()):
        good += [request(2 * i), request(2 * i + 1)]
        offset_of[name] = len(values) + 1
        values += [raw(good[-2]), value, raw(good[-1])]
    dead = {n: o.removeprefix("dead: ") for n, (_, o) in BAD_INPUT.items() if o.startswith("dead")}
    kept = [n for n, (_, o) in BAD_INPUT.items() if o == "stored"]
    produce(kafka.bootstrap, topic, values, partition=2)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == len(values), "every offset accounted for")
        assert worker.stop() == 0, worker.log.read_text()[-2000:]
    rows = ask(store, "SELECT offset, reason, size FROM dead_letters FINAL WHERE kind = 0")
    assert {r["offset"]: r["reason"] for r in rows} == {
        offset_of[n]: why for n, why in dead.items()
    }
    letters = read_dead_letters(kafka.bootstrap, f"{topic_prefix}deadletters.v1")
    assert {letter.offset: (letter.reason, body, letter.size) for letter, body in letters} == {
        offset_of[n]: (why, body[:HEAD_BYTES], len(body))
        if len(body := BAD_INPUT[n][0]) > 3_000_000
        else (why, body, None)
        for n, why in dead.items()
    }
    assert outcomes(store) == {
        "stored": len(good) + len(kept), "unknown_type": 1, "duplicate": 1, "dead": len(dead),
    }  # fmt: skip
    ids = {r["id"] for r in ask(store, "SELECT id FROM events WHERE kind = 0")}
    assert ids == {e["id"] for e in good} | {"\ufffdx", "a\ufffdb", "e1022", "e1023"}
    requests = [*good, request(1020), request(1021), request(1022)]
    assert sums(store) == expected_sums(requests)


def test_aborted_transactions_and_control_records_are_passed_over(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": topic_prefix, "linger.ms": 5}
    )
    producer.init_transactions(30)
    for round_ in range(6):
        producer.begin_transaction()
        for i in range(50):
            producer.produce(topic, raw(request(50 * round_ + i)), partition=1)
        producer.flush(30)
        if round_ % 2:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
    committed = [request(50 * r + i) for r in (0, 2, 4) for i in range(50)]
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 150, "the committed half")
        until(lambda: sum(outcomes(store).values()) == 306, "every offset accounted for")
        produce(kafka.bootstrap, topic, [raw(request(1000))], partition=1)
        until(lambda: stored(store) == 151, "an event after the last abort")
        assert worker.stop() == 0
    # 150 aborted events and one marker per transaction
    assert outcomes(store) == {"stored": 151, "control": 156}
    assert sums(store) == expected_sums([*committed, request(1000)])
    ((_, position),) = (
        (k, v)
        for k, v in one(store, "SELECT maxMap(next) FROM windows WHERE kind = 1").items()
        if k.endswith("/1")
    )
    assert position == 307


def test_a_topic_that_was_deleted_and_made_anew_is_counted_from_its_start(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    produce(kafka.bootstrap, topic, [raw(request(i)) for i in range(400)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: stored(store) == 400, "the first life of the topic")
        delete_topic(kafka.bootstrap, topic)
        create_topics(kafka.bootstrap, topic_prefix, partitions=4)
        again = [raw(request(i, producer_id="p2")) for i in range(1000, 1100)]
        produce(kafka.bootstrap, topic, again)
        until(lambda: stored(store) == 500, "the second life")
        assert worker.stop() == 0
    assert one(store, "SELECT uniqExact(src) FROM events WHERE kind = 0") == 2
    assert sums(store)["n"] == 500
    assert_audit_is_clean(store)


def test_repeats_are_dropped_also_after_a_restart(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def foreign(i: int) -> bytes:
        return changed(i, producer_id=None, seq=None)

    ours = [raw(request(i)) for i in range(40)]
    theirs = [foreign(i) for i in range(100, 140)]
    produce(kafka.bootstrap, topic, [*ours, *theirs, *ours[:10]], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == 90, "all offsets")
        assert worker.stop() == 0
    produce(kafka.bootstrap, topic, [*ours, *theirs, raw(request(40))], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == 171, "all offsets again")
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": 81, "duplicate": 90}
    assert one(store, "SELECT sum(duplicates) FROM producers WHERE kind = 0") == 50


def test_thousands_of_model_names_share_one_cell_beyond_the_cap_also_after_a_restart(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def names() -> list[str]:
        return sorted(
            r["model"] for r in ask(store, "SELECT DISTINCT model FROM windows WHERE kind = 0")
        )

    n = 1_600
    produce(kafka.bootstrap, topic, [changed(i, model=f"m{i % 800}") for i in range(n // 2)])
    cap = {"STREAMGAUGE_LABEL_CAP": "20"}
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **cap) as worker:
        until(lambda: stored(store) == n // 2, "the first half")
        assert worker.stop() == 0
    admitted = names()
    assert len(admitted) == 21
    assert "__other__" in admitted
    produce(kafka.bootstrap, topic, [changed(i, model=f"m{i % 800}") for i in range(n // 2, n)])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **cap) as worker:
        until(lambda: stored(store) == n, "the second half")
        assert worker.stop() == 0
    assert names() == admitted
    assert sums(store)["n"] == n
    assert one(store, "SELECT uniqExact(model) FROM events WHERE kind = 0") == 800
    assert json.dumps(admitted)
