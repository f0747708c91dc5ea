"""The same events in the three forms that the ways to consume them need.

The events topic, by partition as a client of ours sends them: twice n, so that each of two workers
has as much to do as one alone. For Quix Streams, whose windows are per message key, the first
quarter of n in a topic keyed by app; for ClickHouse's reader the first n as lines of a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.load import SPACING_MS, T0_MS, events, send
from benchmarks.services import PREFIX, Services
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import TopicSpec
from streamgauge.deploy.topics import create_topics

SHARE = 4  # the slow ways get a quarter of the events
WINDOW_MS = 10_000
BY_APP = TopicSpec("bench-by-app", key="app", content="events")
ANY = -1  # the partition that the key says


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was loaded: events of about `size` bytes; n for a process, `few` for the slow ways.

    by_app: the topic keyed by app, which has `few` events in `windows` windows of an app, with so
    many output tokens, and an event more per app after all of them, so that the last one closes.
    """

    n: int
    few: int
    size: float
    lines: Path
    by_app: str
    windows: int
    tokens: int


def load(on: Services, n: int) -> Inputs:
    """Put the events into all three. n: a multiple of the partitions."""
    settings, few = KafkaSettings(on.kafka.bootstrap, PREFIX), n // SHARE
    lines = on.folder / "events.ndjson"
    with lines.open("wb") as file:
        values = _written(events(2 * n, partitions=on.partitions), file, n)
        size = send(on.kafka.bootstrap, on.topic, values)
    create_topics(settings, partitions=on.partitions, registry=[BY_APP])
    first = [value for _, value in events(few, partitions=on.partitions)]
    said = [(e["app"], e["ts"] // WINDOW_MS, e["output_tokens"]) for e in map(json.loads, first)]
    by_app = settings.topic(BY_APP)
    send(on.kafka.bootstrap, by_app, _with_ends(first), key=lambda v: str(json.loads(v)["app"]))
    return Inputs(
        n=n,
        few=few,
        size=size / n / 2,
        lines=lines,
        by_app=by_app,
        windows=len({(app, window) for app, window, _ in said}),
        tokens=sum(tokens for _, _, tokens in said),
    )


def _written(
    values: Iterable[tuple[int, bytes]], file: BinaryIO, n: int
) -> Iterator[tuple[int, bytes]]:
    for i, (partition, value) in enumerate(values):
        if i < n:
            file.write(value + b"\n")
        yield partition, value


def _with_ends(values: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """The values, and one more of each app after the end of every window."""
    apps: dict[str, dict[str, Any]] = {}
    for value in values:
        event = json.loads(value)
        apps[event["app"]] = event
        yield ANY, value
    after = T0_MS + len(values) * SPACING_MS + WINDOW_MS
    for event in apps.values():
        yield ANY, json.dumps(event | {"ts": after}).encode()
