"""Labels that nobody should send: capped, never lost, and the same cells after a kill -9."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.reading.labels import CAP as CAP_BY_DEFAULT
from tests.support.audited import assert_audit_is_clean, until_whole
from tests.support.kafka import TestKafka, create_topics
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

OTHER = "__other__"
CAP = 24
MOST_MB = 500
HOSTILE = (
    OTHER, "x" * 256, "\U0001f4a9" * 256, "o'clock", 'say "hi"', "back`tick", "back\\slash",
    "new\nline", "tab\t", "\x01\x1b[31mred\x7f", "\u202eright to left", "e\u0301", "\u00e9",
    "{tenant:String}", "%s %(x)s $1", "'; DROP TABLE windows; --", " ", "null", "NULL", "\\N", "0",
    "\ufeffbom", "a/b@c",
)  # fmt: skip
"""Values of a label, each to stand for itself but the first, which is the overflow cell's."""


def event(i: int) -> dict[str, Any]:
    """Hostile values first, then names that are made up anew with each call."""
    value = HOSTILE[i % len(HOSTILE)] if i < 10 * len(HOSTILE) else f"made-up-{i}"
    return request(i, app=value, model=value, team="", feature=value, response_model=value)


def cell(i: int) -> str:
    """What windows show for event i: as many values as the cap lets in, in order of arrival."""
    value = str(event(i)["app"])
    admitted = (*HOSTILE[1:], *(f"made-up-{10 * len(HOSTILE) + k}" for k in range(2)))
    assert len(admitted) == CAP
    return value if value in admitted else OTHER


def by_label(store: StoreSettings, label: str, resolution: int) -> dict[str, int]:
    rows = ask(
        store,
        f"SELECT {label} AS value, sum(n) AS requests FROM windows"
        f" WHERE kind = 0 AND resolution = {resolution} GROUP BY value",
    )
    return {str(r["value"]): int(r["requests"]) for r in rows}


def test_hostile_values_stand_for_themselves_up_to_the_cap_and_no_request_is_lost(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    topic = f"{topic_prefix}events.v1"
    n = 2_000
    events = [event(i) | {"provider": "own", "cost_nano_usd": 0} for i in range(n)]
    env = {"STREAMGAUGE_LABEL_CAP": str(CAP), "STREAMGAUGE_STATIC_ID": "one"}
    too_long = raw(request(n, app="x" * 257))  # no label: a dead letter, which is counted
    produce(kafka.bootstrap, topic, [raw(e) for e in events[: n // 2]], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: stored(store) == n // 2, "the first half")
        worker.kill()
    produce(kafka.bootstrap, topic, [raw(e) for e in events[n // 2 :]], partition=0)
    produce(kafka.bootstrap, topic, [too_long], partition=0)
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: sum(outcomes(store).values()) == n + 1, "every offset")
        assert worker.stop() == 0
    assert outcomes(store) == {"stored": n, "dead": 1}
    expected = Counter(cell(i) for i in range(n))
    for resolution in (10, 60, 3600):
        assert sums(store, resolution) == expected_sums(events) | {"cost_nano_usd": 0}
        for label in ("app", "model", "feature"):
            assert by_label(store, label, resolution) == expected, (label, resolution)
    rows = ask(store, "SELECT model, count() AS n FROM events WHERE kind = 0 GROUP BY model")
    true = {r["model"]: int(r["n"]) for r in rows}
    assert true == Counter(str(e["model"]) for e in events), "raw rows keep the name"
    answers: Counter[str] = Counter()
    for r in ask(store, "SELECT response_models FROM windows WHERE kind = 0 AND resolution = 60"):
        answers.update({name: int(count) for name, count in r["response_models"].items()})
    assert answers == expected
    assert_audit_is_clean(store)


TWO_CAP, MODELS, PARTITIONS = 20, 30, 4


def of_partition(i: int) -> dict[str, Any]:
    """Event i goes to partition i % 4; each partition has model names of its own."""
    model = f"m{i % PARTITIONS}-{i // PARTITIONS % MODELS}"
    return request(i, model=model, provider="own", cost_nano_usd=0)


def of_all(i: int) -> dict[str, Any]:
    """Every model in every partition."""
    return of_partition(i) | {"model": of_partition(i // PARTITIONS)["model"]}


@pytest.mark.full
def test_two_workers_admit_as_many_as_the_cap_each_and_no_more_after_a_takeover(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
    topic = f"{topic_prefix}events.v1"
    env = {"STREAMGAUGE_LABEL_CAP": str(TWO_CAP)}
    n = 2_400
    events = [of_partition(i) for i in range(n)] + [of_all(i) for i in range(n, 2 * n)]

    def worker() -> MetricsWorker:
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env)

    def models() -> dict[str, int]:
        return by_label(store, "model", 10)

    with worker() as survivor, worker() as victim:
        until(lambda: [survivor.owned, victim.owned] == [2, 2], "each has half")
        produce(kafka.bootstrap, topic, [raw(e) for e in events[:n]])
        until(lambda: outcomes(store).get("stored") == n, "the first half")
        victim.kill()
        admitted = models()
        until(lambda: survivor.owned == PARTITIONS, "the other has all")
        produce(kafka.bootstrap, topic, [raw(e) for e in events[n:]])
        until_whole(store, 2 * n)
        assert survivor.stop() == 0
    assert TWO_CAP + 1 < len(admitted) <= 2 * TWO_CAP + 1, "a worker does not know of the other's"
    assert OTHER in admitted
    after = models()
    assert after.keys() == admitted.keys(), "after the takeover nobody is admitted"
    # From then on each admitted value stands for itself, whoever had admitted it.
    second = Counter(str(e["model"]) for e in events[n:])
    assert {m: after[m] - admitted[m] for m in admitted if m != OTHER} == {
        m: second[m] for m in admitted if m != OTHER
    }
    for resolution in (10, 60, 3600):
        assert sums(store, resolution) == expected_sums(events) | {"cost_nano_usd": 0}
    assert_audit_is_clean(store)


@pytest.mark.full
def test_5000_apps_with_20_models_each_lose_no_request_and_a_kill_changes_no_admission(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    topic = f"{topic_prefix}events.v1"
    n = 100_000
    events = [
        request(i, app=f"app-{i % 5_000}", model=f"model-{i // 5_000}", cost_nano_usd=0)
        for i in range(n)
    ]
    env = {"STREAMGAUGE_STATIC_ID": "one"}

    def apps() -> set[str]:
        return set(by_label(store, "app", 10))

    produce(kafka.bootstrap, topic, [raw(e) for e in events[: n // 2]])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until(lambda: outcomes(store).get("stored", 0) > n // 4, "a quarter, in every table")
        assert worker.peak_rss_mb() < MOST_MB
        worker.kill()
    admitted = apps()
    assert len(admitted) == CAP_BY_DEFAULT + 1
    produce(kafka.bootstrap, topic, [raw(e) for e in events[n // 2 :]])
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as worker:
        until_whole(store, n)
        print(f"most resident memory with 5,000 apps: {worker.peak_rss_mb():.0f} MB")
        assert worker.peak_rss_mb() < MOST_MB
        assert worker.stop() == 0
    assert apps() == admitted
    expected = expected_sums(events) | {"cost_nano_usd": 0}
    for resolution in (10, 60, 3600):
        assert sums(store, resolution) == expected
        by_model = by_label(store, "model", resolution)
        assert by_model == {f"model-{m}": 5_000 for m in range(20)}
        by_app = by_label(store, "app", resolution)
        assert by_app == dict.fromkeys(admitted - {OTHER}, 20) | {OTHER: n - 20 * CAP_BY_DEFAULT}
    assert_audit_is_clean(store)
