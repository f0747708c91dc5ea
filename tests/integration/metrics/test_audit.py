"""`streamgauge audit`: nothing to say of what the worker stored, everything of what it did not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamgauge.storage.audit import Audit, Gap, audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import T0, MetricsWorker, outcomes, produce, raw, request, until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

HOUR = timedelta(hours=1)
START = datetime.fromtimestamp(T0 / 1000, UTC).replace(minute=0, second=0, microsecond=0)
SECOND, END = START + HOUR, START + 2 * HOUR
MISSING = Gap("p2", missing=1, lowest=5, highest=5)


def looked_at(store: StoreSettings, start: datetime = START, end: datetime = END) -> Audit:
    with connect(store) as client:
        return audit(client, start, end)


def said(store: StoreSettings, *more: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [
            sys.executable, "-m", "streamgauge.deploy", "audit",
            "--from", f"{START:%Y-%m-%dT%H:%M}", "--to", f"{END:%Y-%m-%dT%H:%M}", *more,
        ],
        env=os.environ | store.to_env(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def messages() -> list[bytes]:
    """Two hours. The first: 2,000 requests of p1. The second: 499 of p2, who has no number 5, and
    100 that are not numbered. Between them 50 repeats and what is no event."""
    good = [raw(request(i)) for i in range(2_000)]
    second_ms = T0 + 3_600_000
    numbered = [
        raw(request(5_000 + i, ts=second_ms + i, producer_id="p2", seq=i + 1))
        for i in range(500)
        if i != 4
    ]
    foreign = [
        raw(request(3_000 + i, ts=second_ms + i, producer_id=None, seq=None)) for i in range(100)
    ]
    return [*good, *good[:50], b"{", *numbered, *foreign]


def tamper(store: StoreSettings) -> None:
    """In the second hour: a row of each kind is doubled, and a window has one request more."""
    with connect(store) as client:
        client.command("INSERT INTO events SELECT * FROM events WHERE kind = 0 AND id = 'e5007'")
        client.command("INSERT INTO events SELECT * FROM events WHERE kind = 0 AND id = 'e3001'")
        client.command(
            "INSERT INTO windows SELECT * REPLACE (1 AS n, 0 AS input_tokens) FROM windows"
            f" WHERE kind = 0 AND resolution = 60 AND t >= '{SECOND:%Y-%m-%d %H:00:00}' LIMIT 1"
        )


def test_it_finds_nothing_in_what_was_stored_and_each_row_that_was_tampered_with(
    kafka: TestKafka, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    produce(kafka.bootstrap, f"{topic_prefix}events.v1", messages())
    with MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path) as worker:
        until(lambda: sum(outcomes(store).values()) == 2_650, "all offsets")
        clean = Audit(2_599, 2_650, (), (), (), (MISSING,))
        assert looked_at(store) == clean  # while the worker lives
        assert worker.stop() == 0
    assert said(store)[0] == 0, "a number that is missing is told, and is no difference"

    tamper(store)
    first, second = looked_at(store, START, SECOND), looked_at(store, SECOND, END)
    assert {d.law for d in first.differences} == {"offsets", "clients"}, "of the whole log"
    assert (first.requests, second.requests) == (2_000, 601)
    assert (first.gaps, second.gaps) == ((), (MISSING,))
    assert first.unsettled == second.unsettled == ()
    twice = [(d.what, d.found - d.expected) for d in second.differences if d.law == "twice"]
    assert sorted(twice) == [("offset", 1), ("offset", 1), ("seq", 1)]
    assert sum(d.found - d.expected for d in second.differences if d.law == "offsets") == 2
    (client_difference,) = [d for d in second.differences if d.law == "clients"]
    assert client_difference.where == "producer p2"
    assert (client_difference.expected, client_difference.found) == (500, 499)
    by_n = {d.where[-5:]: d for d in second.differences if d.law == "windows" and d.what == "n"}
    assert {k: (d.expected, d.found) for k, d in by_n.items()} == {
        " 10 s": (601, 599),
        " 60 s": (601, 600),
        "600 s": (601, 599),
    }

    before = looked_at(store)
    with connect(store) as client:  # a raw row of the first hour, of p1
        client.command(
            "ALTER TABLE events DELETE WHERE kind = 0 AND id = 'e8'", settings={"mutations_sync": 2}
        )
    found = looked_at(store)
    new = [d for d in found.differences if d not in before.differences]
    rows = [(d.law, d.found - d.expected) for d in new if d.what in ("raw rows", "n", "events")]
    assert rows == [("offsets", -1), *[("windows", 1)] * 3, ("clients", 1)]
    assert [d.found - d.expected for d in new if d.what == "input_tokens"] == [108] * 3
    assert found.gaps == (Gap("p1", missing=1, lowest=9, highest=9), MISSING)
    assert found.not_compared == ()

    status, out, error = said(store)
    differences, gaps = out.split("\n\n")
    head, *lines = differences.splitlines()
    assert (status, head.split()) == (1, ["law", "where", "what", "expected", "found"])
    assert len(lines) == len(found.differences)
    assert [line.split() for line in gaps.splitlines()[1:]] == [
        ["p1", "1", "9", "9"],
        ["p2", "1", "5", "5"],
    ]
    assert error.startswith(f"{len(lines)} differences; 2,600 requests of")
    assert "of the whole log 2,650 offsets" in error
    status, out, _ = said(store, "--json")
    told = json.loads(out)
    assert (status, len(told["differences"]), told["unsettled"]) == (1, len(lines), [])
    assert told["gaps"][1] == {"producer_id": "p2", "missing": 1, "lowest": 5, "highest": 5}
    assert (told["scope"]["offsets"], told["scope"]["windows"]) == ("whole log", "period")
