"""Recomputes what a replay must amount to, sharing no code with streamgauge.

Two ways to the same figures: from the raw bytes of the events topic (confluent_kafka and json
alone), and from the trace file and the seed, by the algorithm that traffic/model.py states in its
docstring, written down here a second time. Figures: requests, token sums, and per minute of
completion the number of requests and the nearest-rank 95th percentile of output tokens and latency.

    python tests/independent/recompute.py file azure TRACE.csv.gz --seed 1 --shift-ms 95288880000
    python tests/independent/recompute.py topic localhost:9092 llm.events.v1

prints the figures as JSON. Imported: `from_topic`, `from_file`, `nearest_rank`.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import math
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import confluent_kafka

# The tables of traffic/catalog.py, typed in again: (app, share, [(model, share)]).
APPS: list[tuple[str, float, list[tuple[str, float]]]] = [
    ("support-chat", 0.16, [("gpt-4o-mini", 1.0)]),
    ("search-answers", 0.15, [("gpt-4.1-mini", 0.8), ("gpt-4o-mini", 0.2)]),
    ("doc-summary", 0.13, [("claude-3-5-haiku-latest", 1.0)]),
    ("mail-drafts", 0.12, [("gpt-4.1-mini", 1.0)]),
    ("translate", 0.12, [("gpt-4.1-nano", 0.7), ("gpt-4o-mini", 0.3)]),
    ("code-review", 0.12, [("claude-haiku-4-5", 1.0)]),
    ("ops-agent", 0.10, [("claude-haiku-4-5", 1.0)]),
    ("research-agent", 0.10, [("claude-haiku-4-5", 1.0)]),
]
# model: (ttft ms, its sigma, prefill ms per token, tokens per s, its sigma)
MODELS: dict[str, tuple[float, float, float, float, float]] = {
    "gpt-4o-mini": (420, 0.35, 0.012, 95, 0.20),
    "gpt-4.1-mini": (400, 0.35, 0.012, 85, 0.20),
    "gpt-4.1-nano": (300, 0.30, 0.008, 130, 0.20),
    "claude-3-5-haiku-latest": (600, 0.30, 0.015, 75, 0.20),
    "claude-haiku-4-5": (550, 0.30, 0.010, 110, 0.20),
}
EPOCH_2025_MS = 1_735_689_600_000
T = TypeVar("T")


@dataclass(frozen=True)
class Minute:
    """Requests that completed in one minute."""

    requests: int
    output_tokens_p95: int
    duration_ms_p95: float


@dataclass(frozen=True)
class Figures:
    """minutes: by start of the minute, ms since the epoch. seq_gaps: numbers that are missing."""

    requests: int
    input_tokens: int
    output_tokens: int
    minutes: dict[int, Minute]
    duplicates: int = 0
    seq_gaps: int = 0


def nearest_rank(values: Iterable[float], q: float) -> float:
    """The smallest value that at least the share q of the values does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(q * len(ordered)) - 1]


def figures(
    calls: Iterable[tuple[int, int, int, float]], duplicates: int = 0, seq_gaps: int = 0
) -> Figures:
    """Figures of (ts, input tokens, output tokens, duration ms) of all calls."""
    by_minute: dict[int, list[tuple[int, float]]] = {}
    n = tokens_in = tokens_out = 0
    for ts, call_in, call_out, duration in calls:
        n += 1
        tokens_in += call_in
        tokens_out += call_out
        by_minute.setdefault(ts - ts % 60_000, []).append((call_out, duration))
    minutes = {
        minute: Minute(
            len(found),
            int(nearest_rank([o for o, _ in found], 0.95)),
            nearest_rank([d for _, d in found], 0.95),
        )
        for minute, found in sorted(by_minute.items())
    }
    return Figures(n, tokens_in, tokens_out, minutes, duplicates, seq_gaps)


def from_topic(bootstrap: str, topic: str, producer_id: str | None = None) -> Figures:
    """Figures of the requests on a topic, all or those of one producer, each id once."""
    calls: dict[str, tuple[int, int, int, float]] = {}
    numbers: dict[str, set[int]] = {}
    duplicates = 0
    for value in read_topic(bootstrap, topic):
        event = json.loads(value)
        if producer_id is not None and event.get("producer_id") != producer_id:
            continue
        if event.get("producer_id") and event.get("seq"):
            numbers.setdefault(event["producer_id"], set()).add(event["seq"])
        if event["type"] != "llm.request":
            continue
        if event["id"] in calls:
            duplicates += 1
        calls[event["id"]] = (
            event["ts"],
            event.get("input_tokens") or 0,
            event.get("output_tokens") or 0,
            event["duration_ms"],
        )
    gaps = sum(max(seen) - len(seen) for seen in numbers.values())
    return figures(calls.values(), duplicates, gaps)


def read_topic(bootstrap: str, topic: str) -> Iterator[bytes]:
    """The values of all messages that are on the topic now."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "independent-recompute",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in partitions])
        open_partitions = set(partitions)
        while open_partitions:
            message = consumer.poll(30)
            if message is None:
                raise TimeoutError(f"no answer from {bootstrap} for 30 s")
            error = message.error()
            if error is None:
                value = message.value()
                if value is not None:
                    yield value
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                open_partitions.discard(message.partition())
            else:
                raise confluent_kafka.KafkaException(error)
    finally:
        consumer.close()


def from_file(form: str, path: Path, seed: int, shift_ms: int = 0) -> Figures:
    """Figures of a trace file (form `azure` or `mooncake`) as `seed` fills it."""
    rows = azure_rows(path) if form == "azure" else mooncake_rows(path)
    return figures(
        call(seed, number, arrival + shift_ms, tokens_in, tokens_out)
        for number, (arrival, tokens_in, tokens_out) in enumerate(rows, start=1)
    )


def call(
    seed: int, number: int, arrival_ms: int, tokens_in: int, tokens_out: int
) -> tuple[int, int, int, float]:
    """(ts, tokens in, tokens out, duration) of one row: the algorithm, once more."""
    rng = random.Random(f"{seed}/{number}")
    u = [rng.random() for _ in range(14)]
    models = choose([(models, share) for _, share, models in APPS], u[0])
    model = choose(models, u[1])
    ttft, ttft_sigma, prefill, speed, speed_sigma = MODELS[model]
    z1 = math.sqrt(-2 * math.log(1 - u[2])) * math.cos(2 * math.pi * u[3])
    z2 = math.sqrt(-2 * math.log(1 - u[4])) * math.cos(2 * math.pi * u[5])
    first = ttft * math.exp(ttft_sigma * z1) + prefill * tokens_in
    duration = round(first + 1000 * tokens_out / (speed * math.exp(speed_sigma * z2)), 3)
    return arrival_ms + math.floor(duration + 0.5), tokens_in, tokens_out, duration


def choose(choices: list[tuple[T, float]], x: float) -> T:
    """The first choice whose running sum of shares is above x, else the last."""
    total = 0.0
    for choice, share in choices:
        total += share
        if x < total:
            return choice
    return choices[-1][0]


def azure_rows(path: Path) -> Iterator[tuple[int, int, int]]:
    """(arrival ms, tokens in, tokens out) of AzureLLMInferenceTrace_conv.csv, plain or gzip."""
    for line in lines(path)[1:]:
        stamp, tokens_in, tokens_out = line.split(",")
        day, clock = stamp.split(" ")
        hours, minutes, seconds = clock.split(":")
        midnight = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
        whole, _, fraction = seconds.partition(".")
        ms = ((int(hours) * 60 + int(minutes)) * 60 + int(whole)) * 1000 + int(fraction[:3])
        yield int(midnight.timestamp()) * 1000 + ms, int(tokens_in), int(tokens_out)


def mooncake_rows(path: Path) -> Iterator[tuple[int, int, int]]:
    """(arrival ms, tokens in, tokens out) of Mooncake's conversation_trace.jsonl."""
    for line in lines(path):
        row: dict[str, Any] = json.loads(line)
        yield EPOCH_2025_MS + row["timestamp"], row["input_length"], row["output_length"]


def lines(path: Path) -> list[str]:
    """Lines of a text file, plain or gzip, without the empty ones."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


def main(argv: list[str]) -> int:
    """Print the figures of a topic or of a file as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="command", required=True)
    topic = commands.add_parser("topic")
    topic.add_argument("bootstrap")
    topic.add_argument("topic")
    topic.add_argument("--producer-id")
    file = commands.add_parser("file")
    file.add_argument("form", choices=["azure", "mooncake"])
    file.add_argument("path", type=Path)
    file.add_argument("--seed", type=int, default=1)
    file.add_argument("--shift-ms", type=int, default=0)
    args = parser.parse_args(argv)
    if args.command == "topic":
        found = from_topic(args.bootstrap, args.topic, args.producer_id)
    else:
        found = from_file(args.form, args.path, args.seed, args.shift_ms)
    print(json.dumps(asdict(found), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
