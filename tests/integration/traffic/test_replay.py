"""Replays on a real Apache Kafka: exact counts, keys, numbers, heartbeats, faults."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.events import ClientStats, LlmRequest, parse_event
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.producers.traffic import (
    Kind,
    Progress,
    parse_kinds,
    read_truth,
    replay,
    send,
    shipped_trace,
    simulate,
)
from streamgauge.producers.traffic.traces import Format
from tests.independent import recompute
from tests.support.kafka import TestKafka, create_topics

pytestmark = pytest.mark.kafka

PARTITIONS = 4


@dataclass
class Record:
    """A message as it lies on the topic. written: Kafka's time, ms."""

    partition: int
    offset: int
    key: str | None
    value: bytes
    event: dict[str, Any]
    written: int


@pytest.fixture
def broker(kafka: TestKafka, topic_prefix: str) -> KafkaSettings:
    return create_topics(kafka.bootstrap, topic_prefix, PARTITIONS)


def read(settings: KafkaSettings) -> dict[int, list[Record]]:
    """All messages of the events topic, per partition, in order."""
    topic = settings.topic(EVENTS)
    consumer = Consumer(
        settings.librdkafka(
            group_id=uuid.uuid4().hex, enable_partition_eof=True, enable_auto_commit=False
        )
    )
    found: dict[int, list[Record]] = {p: [] for p in range(PARTITIONS)}
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in found])
        ends = 0
        while ends < PARTITIONS:
            message = consumer.poll(20)
            assert message is not None, "no answer from the broker"
            if message.error() is not None:
                ends += 1
                continue
            value, key = message.value(), message.key()
            assert value is not None
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            try:
                event = json.loads(value)
            except ValueError:
                event = {}
            name = key.decode() if isinstance(key, bytes) else key
            found[partition].append(
                Record(partition, offset, name, value, event, message.timestamp()[1])
            )
    finally:
        consumer.close()
    return found


def flat(records: dict[int, list[Record]]) -> Iterator[Record]:
    for of_partition in records.values():
        yield from of_partition


@pytest.mark.parametrize(
    ("form", "requests", "tokens_in", "tokens_out"),
    [
        (Format.AZURE, 19_366, 22_361_870, 4_088_665),
        (Format.MOONCAKE, 12_031, 144_793_823, 4_122_048),
    ],
)
def test_unpaced_replay_puts_exactly_the_trace_on_the_topic(
    broker: KafkaSettings, form: Format, requests: int, tokens_in: int, tokens_out: int
) -> None:
    report = replay(form.value, broker, speed=0, seed=11)
    assert report.ok
    assert (report.requests, report.events) == (requests, requests)
    assert report.delivered == requests + report.heartbeats
    assert (report.input_tokens, report.output_tokens) == (tokens_in, tokens_out)

    topic = recompute.from_topic(broker.bootstrap, report.topic, report.producer_id)
    file = recompute.from_file(form.value, shipped_trace(form), 11, report.shift_ms)
    assert (topic.requests, topic.input_tokens, topic.output_tokens) == (
        requests,
        tokens_in,
        tokens_out,
    )
    assert topic == file


def test_every_message_of_a_replay_is_a_good_event(broker: KafkaSettings) -> None:
    replay("azure", broker, speed=0)
    for record in flat(read(broker)):
        assert isinstance(parse_event(record.value), LlmRequest | ClientStats)


def test_numbers_have_no_gaps_and_keys_follow_the_contract(broker: KafkaSettings) -> None:
    report = replay("azure", broker, speed=0)
    records = list(flat(read(broker)))
    numbers = sorted(r.event["seq"] for r in records)
    assert numbers == list(range(1, report.delivered + 1))
    assert {r.event["producer_id"] for r in records} == {report.producer_id}
    partition_of_key: dict[str | None, set[int]] = defaultdict(set)
    for record in records:
        assert record.key == f"{report.producer_id}:{record.event['seq'] // 1024}"
        if record.event["type"] == "llm.request":
            partition_of_key[record.key].add(record.partition)
    assert all(len(partitions) == 1 for partitions in partition_of_key.values())


def test_every_partition_gets_every_heartbeat_and_the_last_one_after_the_tail(
    broker: KafkaSettings,
) -> None:
    report = replay("azure", broker, speed=0, tail_s=75)
    assert report.first_ms is not None
    assert report.last_ms is not None
    expected = [*range(report.first_ms, report.last_ms + 75_000, 10_000), report.last_ms + 75_000]
    for records in read(broker).values():
        beats = [r.event["ts"] for r in records if r.event["type"] == "client.stats"]
        assert beats == expected
    assert report.clock_ms == report.last_ms + 75_000
    assert report.heartbeats == PARTITIONS * len(expected)


def test_no_event_lies_behind_a_later_heartbeat_of_its_partition(broker: KafkaSettings) -> None:
    replay("azure", broker, speed=0)
    for records in read(broker).values():
        times = [r.event["ts"] for r in records]
        assert times == sorted(times)


def test_heartbeats_count_what_was_accepted_and_sent(broker: KafkaSettings) -> None:
    replay("azure", broker, speed=0)
    beats = [r.event for r in flat(read(broker)) if r.event["type"] == "client.stats"]
    for beat in beats:
        assert beat["accepted"] == beat["last_seq"] == beat["seq"]
        assert beat["sent"] + beat["queue_events"] == beat["seq"] - 1
        assert beat["dropped"] == {}


def test_replay_ends_two_to_three_minutes_ago_by_default(broker: KafkaSettings) -> None:
    report = replay("azure", broker, speed=0)
    assert report.shift_ms % 60_000 == 0
    written = max(r.written for r in flat(read(broker)))
    assert report.last_ms is not None
    assert report.clock_ms is not None
    assert 120_000 <= written - report.last_ms < 240_000
    assert report.clock_ms <= written


def test_own_times_stay_on_request(broker: KafkaSettings) -> None:
    report = replay("azure", broker, speed=0, own_times=True)
    assert report.shift_ms == 0
    assert report.first_ms is not None
    assert 1_700_158_546_680 <= report.first_ms < 1_700_158_556_680


def test_paced_replay_keeps_its_speed_and_tells_progress(broker: KafkaSettings) -> None:
    told: list[Progress] = []
    report = replay("azure", broker, speed=1_200, progress=told.append)
    # 3,505 s of events and 120 s of tail at 1,200 times: 3.02 s
    assert 3.0 <= report.wall_s < 20.0
    assert report.ok
    assert len(told) >= 5
    assert [p.sent for p in told] == sorted(p.sent for p in told)
    assert told[-1].sent == told[-1].total == 19_366


def test_planted_incidents_are_on_the_topic_and_in_the_truth_file(
    broker: KafkaSettings, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.json"
    report = replay("azure", broker, speed=0, seed=5, incidents=parse_kinds("all"), truth=truth)
    plan = {i.kind: i for i in read_truth(truth)}
    assert tuple(plan.values()) == report.incidents
    assert report.ok
    requests = [r.event for r in flat(read(broker)) if r.event["type"] == "llm.request"]
    assert len(requests) == report.requests
    assert len({e["id"] for e in requests}) == report.requests
    silence, burst = plan[Kind.SILENCE], plan[Kind.ERROR_BURST]
    assert not [e for e in requests if e["app"] == silence.app and e["ts"] >= silence.start_ms]
    failed = [
        e for e in requests
        if e["app"] == burst.app and e["status"] == "error" and burst.covers(e["ts"])
    ]  # fmt: skip
    assert len(failed) >= 50


def test_ctrl_c_ends_the_replay_with_exact_counts(broker: KafkaSettings) -> None:
    script = """
import sys
from dataclasses import asdict
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.producers.traffic import replay
report = replay(
    "azure", KafkaSettings(sys.argv[1], sys.argv[2]), speed=60, seed=1,
    progress=lambda p: print("sent", p.sent, flush=True),
)
print("end", report.interrupted, report.delivered, report.failed, report.unconfirmed, flush=True)
"""
    arguments = [sys.executable, "-c", script, broker.bootstrap, broker.prefix]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line.split()[1]) > 300:
                process.send_signal(signal.SIGINT)
                break
        last = process.stdout.read().splitlines()[-1]
        assert process.wait(30) == 0
    word, interrupted, delivered, failed, unconfirmed = last.split()
    assert (word, interrupted, failed, unconfirmed) == ("end", "True", "0", "0")
    numbers = sorted(r.event["seq"] for r in flat(read(broker)))
    assert numbers == list(range(1, int(delivered) + 1))


def test_stopped_replay_reports_exactly_what_it_sent(broker: KafkaSettings) -> None:
    stop = threading.Event()

    def stop_soon(progress: Progress) -> None:
        if progress.sent > 1_000:
            stop.set()

    report = replay("azure", broker, speed=600, progress=stop_soon, stop=stop)
    assert report.interrupted
    assert not report.ok
    assert (report.failed, report.unconfirmed) == (0, 0)
    assert 1_000 < report.events < 19_366
    records = list(flat(read(broker)))
    assert len(records) == report.delivered == report.events + report.heartbeats
    assert sorted(r.event["seq"] for r in records) == list(range(1, len(records) + 1))


@pytest.mark.slow
def test_broker_killed_in_mid_replay_loses_and_doubles_nothing(
    kafka: TestKafka, broker: KafkaSettings
) -> None:
    killed = threading.Event()

    def kill_once(progress: Progress) -> None:
        if progress.sent > 5_000 and not killed.is_set():
            killed.set()
            kafka.kill()
            restarting.start()

    restarting = threading.Thread(target=kafka.restart)
    report = replay("azure", broker, speed=1_200, seed=2, progress=kill_once)
    restarting.join()
    assert killed.is_set()
    assert report.ok
    topic = recompute.from_topic(broker.bootstrap, report.topic)
    file = recompute.from_file("azure", shipped_trace(Format.AZURE), 2, report.shift_ms)
    assert topic == file


def test_own_events_are_replayed_with_their_ids_and_new_numbers(
    broker: KafkaSettings, tmp_path: Path
) -> None:
    lines = [
        {"v": 1, "id": f"own-{i}", "type": "llm.feedback", "ts": 1_700_000_000_000 + i * 1_000,
         "app": "shop", "producer_id": "old", "seq": 77, "target_id": "x", "name": "thumbs",
         "value": 1.0, "annotator": "human"}
        for i in range(50)
    ]  # fmt: skip
    path = tmp_path / "own.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = replay(path, broker, speed=0, tail_s=0)
    assert (report.events, report.requests) == (50, 0)
    sent = sorted(
        (r.event for r in flat(read(broker)) if r.event["type"] == "llm.feedback"),
        key=lambda e: e["ts"],
    )
    assert [e["id"] for e in sent] == [f"own-{i}" for i in range(50)]
    assert [e["ts"] - report.shift_ms for e in sent] == [line["ts"] for line in lines]
    assert {e["producer_id"] for e in sent} == {report.producer_id}


def test_simulation_sends_what_its_report_says(broker: KafkaSettings) -> None:
    report = simulate(
        broker, rate=3, duration_s=3_000, speed=0, seed=4, curve="flat",
        incidents=parse_kinds("silence,runaway"),
    )  # fmt: skip
    assert report.ok
    assert {i.kind for i in report.incidents} == {Kind.SILENCE, Kind.RUNAWAY}
    records = list(flat(read(broker)))
    assert len(records) == report.delivered
    assert {r.event["tags"]["synthetic"] for r in records if "tags" in r.event} == {"all"}
    silence = next(i for i in report.incidents if i.kind is Kind.SILENCE)
    of_app = [r.event["ts"] for r in records if r.event["app"] == silence.app]
    assert silence.start_ms - 60_000 < max(of_app) < silence.start_ms


def test_live_simulation_sends_no_event_before_its_time(broker: KafkaSettings) -> None:
    stop = threading.Event()

    def stop_soon(progress: Progress) -> None:
        if progress.sent >= 20:
            stop.set()

    report = simulate(broker, rate=100, duration_s=None, live=True, progress=stop_soon, stop=stop)
    assert report.interrupted
    assert report.events >= 20
    for record in flat(read(broker)):
        assert record.event["ts"] <= record.written


def test_sent_lines_arrive_byte_for_byte_and_bad_ones_are_named(broker: KafkaSettings) -> None:
    good = '{"v":1, "id":"a","type":"llm.request","producer_id":"p","seq":2050}'
    report = send([good, "", "[1]\n", '{"v"', '{"no": "event"}'], broker)
    assert [number for number, _ in report.refused] == [3, 4]
    assert (report.lines, report.delivered, report.ok) == (4, 2, False)
    records = list(flat(read(broker)))
    assert sorted(r.value for r in records) == sorted([good.encode(), b'{"no": "event"}'])
    assert {r.key for r in records} == {"p:2", None}


def test_lone_surrogates_in_an_id_do_not_end_the_sending(broker: KafkaSettings) -> None:
    lines = [b'{"id":"s\\ud800"}', b'{"producer_id":"p\\udfff","seq":1}', b'{"id":"good"}']
    assert send(lines, broker).ok
    records = {r.value: r.key for r in flat(read(broker))}
    assert records == dict(zip(lines, ["s?", "p?:0", "good"], strict=True))


def test_raw_lines_are_sent_whatever_they_are(broker: KafkaSettings) -> None:
    report = send([b"\xff\xfe", b'{"v"', b"  "], broker, raw=True)
    assert report.ok
    assert sorted(r.value for r in flat(read(broker))) == [b'{"v"', b"\xff\xfe"]


def test_message_that_the_broker_refuses_is_counted(broker: KafkaSettings) -> None:
    too_large = b'{"x":"' + b"y" * 2_000_000 + b'"}'
    report = send([too_large, b'{"v":1}'], broker)
    assert (report.delivered, report.failed, report.ok) == (1, 1, False)
    assert "too large" in report.first_error.lower()


def test_missing_topic_is_one_clear_line(kafka: TestKafka) -> None:
    with pytest.raises(Misconfigured, match=r"no topic none\.events\.v1 at .*topics create"):
        replay("azure", kafka.settings("none."), speed=0)


def test_absent_broker_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamgauge.producers.traffic.sender.REACH_S", 1.0)
    with pytest.raises(Unreachable, match=r"no Kafka at 127\.0\.0\.1:1: "):
        replay("azure", KafkaSettings("127.0.0.1:1"), speed=0)


@pytest.mark.parametrize("source", ["gpt", "/nowhere/trace.csv"])
def test_unknown_source_is_one_clear_line(source: str) -> None:
    with pytest.raises(Misconfigured, match=rf"no traffic named '{source}' \(expected azure, moon"):
        replay(source, KafkaSettings("127.0.0.1:1"))
