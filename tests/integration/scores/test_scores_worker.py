"""Events in through Kafka, score cells and score rows out in ClickHouse, exact after kill -9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.scores.builtin.lexical import LexicalAbuse
from streamgauge.stream_processors.scores.scorer import Scored
from tests.support.kafka import TestKafka, create_topics
from tests.support.workers import WorkerProcess, send

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

T = 1_700_000_000_000
N = 6000


def event(i: int) -> dict[str, Any]:
    """A finished call; every 7th prompt is abusive, every 5th has no text, every 3rd logprobs."""
    prompt = f"You idiot number {i % 50}" if i % 7 == 0 else f"Where is parcel {i % 50}?"
    body: dict[str, Any] = {
        "v": 1, "id": f"r{i}", "type": "llm.request", "ts": T + i * 20, "app": f"app{i % 2}",
        "op": "chat", "provider": "openai", "model": "gpt-4o-mini", "status": "ok",
        "duration_ms": 500.0, "content": "redacted", "output_text": '{"ok": true}',
    }  # fmt: skip
    if i % 5:
        body["input_text"] = prompt
    if i % 3 == 0:
        body["logprob_mean"] = -0.25
    return body


@pytest.fixture
def topics(kafka: TestKafka, topic_prefix: str) -> KafkaSettings:
    return create_topics(kafka.bootstrap, topic_prefix)


@pytest.fixture
def client(store: StoreSettings) -> Iterator[StoreClient]:
    with connect(store) as client:
        yield client


@pytest.fixture
def worker(topics: KafkaSettings, store: StoreSettings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(
        "streamgauge.stream_processors.scores.main",
        topics,
        store,
        tmp_path / "scores.log",
        {"STREAMGAUGE_FLUSH_EVENTS": "500"},
    )
    yield worker
    worker.stop()


def seen(client: StoreClient) -> int:
    (row,) = client.query(
        "SELECT sum(n) AS n FROM score_windows"
        " WHERE kind = 0 AND resolution = 60 AND name = 'toxicity' AND side = 'prompt'"
    )
    return int(row["n"])


def test_scores_are_exact_though_the_worker_is_killed(
    worker: WorkerProcess, topics: KafkaSettings, client: StoreClient
) -> None:
    events = [event(i) for i in range(N)]
    worker.start()
    send(topics, events[: N // 2])
    worker.wait_for("the first rows", lambda: seen(client) > 0)
    send(topics, events[N // 2 : -8])
    worker.wait_for("some of the second half", lambda: seen(client) > N // 2)
    worker.kill()
    send(topics, [*events[:800], *events[-8:]])  # repeats, then something in each partition
    worker.start()
    worker.wait_for("all rows", lambda: seen(client) >= N)
    assert worker.stop() == 0

    # Every scorer and side has seen every request, in each resolution.
    totals = client.query(
        "SELECT resolution, scorer, side, sum(n) AS n, sumMap(statuses) AS statuses"
        " FROM score_windows WHERE kind = 0 GROUP BY resolution, scorer, side"
    )
    assert {row["n"] for row in totals} == {N}
    assert {sum(row["statuses"].values()) for row in totals} == {N}
    assert len(totals) == 3 * 6  # lexical 2 sides, json 1, perplexity 1, detoxify 2
    by = {(row["scorer"], row["side"]): Counter(row["statuses"]) for row in totals}
    assert by["detoxify", "prompt"] == {"no_scorer": N}
    prompts = by["lexical", "prompt"]
    assert prompts["no_text"] == N // 5
    assert prompts["scored"] + prompts["cached"] == N - N // 5
    assert by["perplexity", "response"] == {"scored": N // 3, "no_text": N - N // 3}

    # The cells hold what the texts say.
    lexical = LexicalAbuse()
    texts = [e["input_text"] for e in events if "input_text" in e]
    flagged = sum(isinstance(o, Scored) and o.values[0] for o in lexical.score_batch(texts))
    (cell,) = client.query(
        "SELECT sum(hits_50) AS hits, sum(value_e6_sum) AS value, sum(weight_e6_sum) AS weight,"
        " sumMap(value_hist) AS hist FROM score_windows"
        " WHERE kind = 0 AND resolution = 3600 AND scorer = 'lexical' AND side = 'prompt'"
    )
    assert (cell["hits"], cell["value"]) == (flagged, flagged * 10**6)
    assert cell["weight"] == len(texts) * 10**6
    assert dict(cell["hist"]) == {0: len(texts) - flagged, 63: flagged}

    # One row per scored text in `scores`, none twice; toxicity has none, and is NULL in its view.
    rows = client.query(
        "SELECT scorer, side, count() AS n, uniqExact(event_id) AS ids FROM scores"
        " WHERE kind = 0 GROUP BY scorer, side ORDER BY scorer, side"
    )
    assert [(r["scorer"], r["side"], r["n"], r["ids"]) for r in rows] == [
        ("json", "response", N, N),
        ("lexical", "prompt", len(texts), len(texts)),
        ("lexical", "response", N, N),
        ("perplexity", "response", N // 3, N // 3),
    ]
    (toxicity,) = client.query("SELECT sum(requests) AS n, max(mean) AS mean FROM v_toxicity")
    assert (toxicity["n"], toxicity["mean"]) == (2 * N, None)


def test_a_scorer_that_does_not_exist_ends_with_exit_code_2(
    topics: KafkaSettings, store: StoreSettings, tmp_path: Path
) -> None:
    worker = WorkerProcess(
        "streamgauge.stream_processors.scores.main",
        topics,
        store,
        tmp_path / "scores.log",
        {"STREAMGAUGE_SCORERS": "lexikal"},
    )
    worker.start()
    assert worker.process is not None
    assert worker.process.wait(30) == 2
    log = worker.tail()
    assert "no scorer 'lexikal'" in log
    assert "Traceback" not in log
