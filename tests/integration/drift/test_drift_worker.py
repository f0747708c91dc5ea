"""Events in through Kafka, histograms and verdicts out in ClickHouse, exact after kill -9."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.drift.bins import CATEGORY_SCHEME, LOG2_SCHEME, log2_bin
from streamgauge.stream_processors.drift.detector import Segments, TenantSeries, judge_window
from streamgauge.stream_processors.drift.rows import verdict_rows
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.status import read_status
from streamgauge.stream_processors.drift.verdict import Past, StreamKey, Verdict
from tests.support.kafka import TestKafka, create_topics
from tests.support.workers import WorkerProcess, send

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

WINDOW_S = 300
T = 1_700_000_100_000 // 3_600_000 * 3_600_000
SETTINGS = DriftSettings(windows_s=(WINDOW_S,), min_windows=10)
WINDOWS, MOVED_FROM, PER_WINDOW = 18, 13, 260


def calls() -> list[dict[str, Any]]:
    """Calls of one app and two tenants by ts; from window MOVED_FROM on prompts are 3 x longer."""
    rng = random.Random(11)
    out = []
    for i in range(WINDOWS * PER_WINDOW):
        ts = T + i * WINDOW_S * 1000 // PER_WINDOW
        longer = 3 if i // PER_WINDOW >= MOVED_FROM else 1
        call: dict[str, Any] = {
            "v": 1, "id": f"r{i}", "type": "llm.request", "ts": ts, "app": "chat",
            "tenant": "acme" if rng.random() < 0.3 else "blue", "op": "chat", "provider": "openai",
            "model": "gpt-4o" if rng.random() < 0.2 else "gpt-4o-mini", "status": "ok",
            "duration_ms": 500.0, "content": "none",
            "input_tokens": int(rng.lognormvariate(5.5, 1.0) * longer),
        }  # fmt: skip
        if rng.random() < 0.9:
            call["output_tokens"] = int(rng.lognormvariate(4.5, 0.7))
        out.append(call)
    return out


def heartbeats(ts: int) -> list[dict[str, Any]]:
    """One per partition, as a replay sends them: they move the clock."""
    body = {
        "v": 1, "type": "client.stats", "ts": ts, "app": "chat", "accepted": 0, "sent": 0,
        "spooled": 0, "errors": 0, "queue_events": 0, "queue_bytes": 0, "open_calls": 0,
        "last_seq": 0,
    }  # fmt: skip
    return [{**body, "id": f"beat{i}"} for i in range(8)]


def expected_series(events: list[dict[str, Any]]) -> list[TenantSeries]:
    """Histograms counted straight from the events."""
    cells: dict[tuple[str, str, int], dict[int, Counter[int | str]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for e in events:
        t = e["ts"] // (WINDOW_S * 1000) * WINDOW_S * 1000
        for name in ("input_tokens", "output_tokens"):
            cells[e["tenant"], name, LOG2_SCHEME][t][log2_bin(e.get(name))] += 1
        cells[e["tenant"], "model", CATEGORY_SCHEME][t][e["model"]] += 1
    return [
        TenantSeries("chat", tenant, feature, scheme, windows)
        for (tenant, feature, scheme), windows in cells.items()
    ]


def expected_verdicts(events: list[dict[str, Any]], *, closed: int) -> list[Verdict]:
    """Verdicts by the pure detector over those histograms."""
    segments = Segments(expected_series(events), window_s=WINDOW_S, settings=SETTINGS)
    past: dict[StreamKey, list[Past]] = defaultdict(list)
    verdicts = []
    for t in range(T, T + closed * WINDOW_S * 1000, WINDOW_S * 1000):
        for verdict in judge_window(
            segments.at(t), past, t_ms=t, window_s=WINDOW_S, settings=SETTINGS
        ):
            past[verdict.key].append(verdict.past)
            verdicts.append(verdict)
    return verdicts


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
        "streamgauge.stream_processors.drift.main",
        topics,
        store,
        tmp_path / "drift.log",
        {
            "STREAMGAUGE_CLOCK_MODE": "replay",
            "STREAMGAUGE_DRIFT_WINDOWS_S": str(WINDOW_S),
            "STREAMGAUGE_DRIFT_MIN_WINDOWS": str(SETTINGS.min_windows),
        },
    )
    yield worker
    worker.stop()


def counted(client: StoreClient) -> int:
    query = "SELECT sum(n) AS n FROM histograms WHERE kind = 0 AND feature = 'model'"
    return int(client.query(query)[0]["n"])


def closed(client: StoreClient) -> int:
    query = "SELECT uniqExact(t) AS n FROM drift_verdicts WHERE kind = 0"
    return int(client.query(query)[0]["n"])


def test_verdicts_are_those_of_the_pure_detector_though_the_worker_is_killed(
    worker: WorkerProcess, topics: KafkaSettings, client: StoreClient
) -> None:
    events = calls()
    half = 9 * PER_WINDOW
    worker.start()
    send(topics, events[:half])
    worker.wait_for("some verdicts", lambda: closed(client) >= 5)
    assert not read_status(client, SETTINGS)[0].judged
    send(topics, events[half:])
    worker.wait_for("some of the second half", lambda: counted(client) > half)
    worker.kill()
    send(topics, events[:800])  # repeats
    worker.start()
    worker.wait_for("all events", lambda: counted(client) >= len(events))
    send(topics, heartbeats(T + WINDOWS * WINDOW_S * 1000 + 5_000))  # 5 s: the lateness
    worker.wait_for("all verdicts", lambda: closed(client) >= WINDOWS)
    assert worker.stop() == 0

    stored = client.query(
        "SELECT segment, feature, toUInt32(t) * 1000 AS t_ms, sum(n) AS n, sumMap(bins) AS bins,"
        " sumMap(categories) AS categories FROM histograms WHERE kind = 0"
        " GROUP BY segment, feature, t"
    )
    found = {
        (r["segment"], r["feature"], r["t_ms"]): dict(r["bins"] or r["categories"]) for r in stored
    }
    assert found == {
        (s.tenant, s.feature, t): dict(h)
        for s in expected_series(events)
        for t, h in s.windows.items()
    }
    assert sum(r["n"] for r in stored) == 3 * len(events)

    expected = verdict_rows(
        expected_verdicts(events, closed=WINDOWS), bar=SETTINGS.thresholds.bar
    ).to_pylist()
    rows = client.query(
        "SELECT * EXCEPT (kind, written_on, next) FROM drift_verdicts WHERE kind = 0"
    )

    def key(row: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[c]) for c in ("t", "tenant", "segment", "feature", "reference"))

    assert [key(r) for r in sorted(rows, key=key)] == [key(r) for r in sorted(expected, key=key)]
    for row, wanted in zip(sorted(rows, key=key), sorted(expected, key=key), strict=True):
        assert {k: v for k, v in row.items() if k != "top_bins"} == {
            k: v for k, v in wanted.items() if k != "top_bins"
        }
        assert [tuple(_values(b)) for b in row["top_bins"]] == [
            tuple(b.values()) for b in wanted["top_bins"]
        ]

    states = client.query(
        "SELECT tenant, feature, argMax(state, t) AS state FROM drift_verdicts WHERE kind = 0"
        " GROUP BY tenant, feature"
    )
    firing = {(r["tenant"], r["feature"]) for r in states if r["state"] == "firing"}
    assert ("__all__", "input_tokens") in firing
    assert {feature for _, feature in firing} == {"input_tokens"}
    assert [app.app for app in read_status(client, SETTINGS) if app.firing] == ["chat"]


def _values(moved: Any) -> list[Any]:
    return list(moved.values()) if isinstance(moved, dict) else list(moved)
