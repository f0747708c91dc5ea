"""A replay through the whole stack while its processes are killed with -9, and what came of it.

Each kill hits while an insert or a publication is in flight (tests/support/in_flight.py).
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from streamgauge.contracts import topics
from streamgauge.contracts.alerts import Alert, Transition
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.demo.watch import EvaluationWatch
from streamgauge.deploy.stack import Stack
from streamgauge.producers.traffic import TrafficReport, parse_kinds, replay
from tests.support.in_flight import kill_in_flight
from tests.support.stack import running_stack, store_client
from tests.support.waiting import until

LATENESS_S = 30.0
TAIL_S = 120.0


@dataclass(frozen=True)
class Episode:
    """One alert episode: every time at which it is said to have fired and to have resolved.

    In seconds of the trace's own time. app: "" for the engine's alerts about itself.
    """

    rule: str
    app: str
    fired_s: list[float] = field(default_factory=list)
    resolved_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """Counts of the store, alert episodes that fired or resolved, records per alert id."""

    report: TrafficReport
    raw: dict[str, int]
    windows: dict[int, tuple[int, int, int]]
    episodes: list[Episode]
    records_by_id: dict[str, list[bytes]]


RAW = """
SELECT count() AS n, uniqExact(id) AS ids, sum(input_tokens) AS tokens_in,
    sum(output_tokens) AS tokens_out FROM v_requests
"""


def windows_sql(view: str) -> str:
    return (
        "SELECT sum(requests) AS n, sum(input_tokens) AS tokens_in,"
        f" sum(output_tokens) AS tokens_out FROM {view}"
    )


def read_topic(kafka: KafkaSettings, spec: topics.TopicSpec) -> list[bytes]:
    """Every committed value of a topic, tombstones left out."""
    topic = kafka.topic(spec)
    reader = Consumer(
        kafka.librdkafka(group_id="test-reader", isolation_level="read_committed",
                         enable_partition_eof=True)
    )  # fmt: skip
    try:
        partitions = list(reader.list_topics(topic, timeout=30).topics[topic].partitions)
        reader.assign([TopicPartition(topic, p, 0) for p in partitions])
        values: list[bytes] = []
        open_partitions = set(partitions)
        deadline = time.monotonic() + 60
        while open_partitions:
            assert time.monotonic() < deadline, f"{topic} not read within 60 s"
            for message in reader.consume(1000, timeout=1.0):
                if message.error() is not None:
                    open_partitions.discard(int(message.partition() or 0))
                elif (value := message.value()) is not None:
                    values.append(value)
        return values
    finally:
        reader.close()


def replay_under_kills(
    home: Path, *, kills: Sequence[str], seed: int, speed: float, pause_s: tuple[float, float]
) -> Outcome:
    """Replay Azure with incidents; kill the processes in this order, each when it is up again."""
    rng = random.Random(seed)
    reports: list[TrafficReport] = []
    with running_stack(home, prefix="kills.", clock_mode="replay", lateness_s=LATENESS_S) as stack:

        def send() -> None:
            reports.append(
                replay(
                    "azure", stack.kafka, speed=speed, seed=seed,
                    incidents=parse_kinds("all"), tail_s=TAIL_S,
                )
            )  # fmt: skip

        sender = threading.Thread(target=send)
        sender.start()
        for name in kills:
            time.sleep(rng.uniform(*pause_s))
            kill_in_flight(stack, name)
            stack.wait_up(name, 60)
        sender.join(timeout=300)
        assert reports, "the replay did not end within 5 minutes"
        report = reports[0]
        assert report.ok, report.first_error
        _settle(stack, report)
        return _outcome(stack, report)


def _settle(stack: Stack, report: TrafficReport) -> None:
    assert report.last_ms is not None
    target_ms = report.last_ms + int((TAIL_S - LATENESS_S - 60) * 1000)
    with store_client(stack) as client:

        def stored() -> bool:
            return int(client.query(RAW, {})[0]["n"]) >= report.requests

        until(stored, "all requests stored", timeout_s=120)
    rules = EvaluationWatch(stack.kafka)
    try:
        until(
            lambda: (rules.evaluated_until_ms() or 0) >= target_ms,
            "rules evaluated to the end",
            timeout_s=120,
        )
        until(lambda: not rules.machine_is_behind(), "state machine done", timeout_s=90)
    finally:
        rules.close()


def _outcome(stack: Stack, report: TrafficReport) -> Outcome:
    with store_client(stack) as client:
        raw = {k: int(v) for k, v in client.query(RAW, {})[0].items()}
        windows = {}
        for seconds, view in ((10, "v_10s"), (60, "v_minute"), (3600, "v_hour")):
            row = client.query(windows_sql(view), {})[0]
            windows[seconds] = (int(row["n"]), int(row["tokens_in"]), int(row["tokens_out"]))
    records: dict[str, list[bytes]] = defaultdict(list)
    episodes: dict[str, Episode] = {}

    def own_s(at: datetime | None) -> float:
        assert at is not None
        return at.timestamp() - report.shift_ms / 1000

    for value in read_topic(stack.kafka, topics.ALERTS):
        alert = Alert.model_validate_json(value)
        records[alert.id].append(value)
        if alert.transition not in (Transition.FIRED, Transition.RESOLVED):
            continue
        found = episodes.setdefault(alert.episode, Episode(alert.rule, alert.labels.get("app", "")))
        if alert.transition == Transition.FIRED:
            found.fired_s.append(own_s(alert.fired_at))
        else:
            found.resolved_s.append(own_s(alert.ends_at))
    return Outcome(report, raw, windows, list(episodes.values()), dict(records))
