"""One run of one way to consume, on an empty database: its counts are checked, its rates told."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import say
from benchmarks.services import Services, cpu_s, outcome
from benchmarks.stream.inputs import Inputs
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings

Run = Mapping[str, Any]
"""Of all processes together: events, wall_s, cpu_s, rss_mb of the largest; wall and core: events
per second by the clock and per CPU second."""

QUIX_ENV = {"PYTHONPATH": str(Path(__file__).parents[2])}


def into_store(on: Services, way: str, n: int, *arguments: object, workers: int = 1) -> Run:
    """Processes with our code behind a way to consume: n events to rows and windows of the store.

    Also has store_us and kafka_us, CPU of the store and of the broker an event.
    """
    with on.database() as store:
        before = cpu_s(on.store.pid), cpu_s(on.kafka.pid)
        env = on.environment(store, STREAMGAUGE_LOG_LEVEL="ERROR" if workers > 1 else "WARNING")
        own = (n // workers, *arguments)
        processes = [on.start(way, *own, **env) for _ in range(workers)]
        try:
            run = together([outcome(process) for process in processes])
        finally:
            for process in processes:
                process.kill()
        after = cpu_s(on.store.pid), cpu_s(on.kafka.pid)
        stored = count(store)
    if not n <= stored == run["events"]:
        raise RuntimeError(f"{way}: {stored} rows, {run['events']} said to have landed")
    used = [(y - x) / stored * 1e6 for x, y in zip(before, after, strict=True)]
    what = " ".join([way, *map(str, arguments)]) if workers == 1 else f"{way} x {workers}"
    tell(what, run, f"; store {used[0]:.1f}, Kafka {used[1]:.1f} us of CPU an event")
    return {**run, "store_us": used[0], "kafka_us": used[1]}


def clickhouse(on: Services, inputs: Inputs) -> Run:
    """ClickHouse's JSON reader and GROUP BY over the file of all events."""
    found = outcome(on.start("clickhouse", inputs.n, inputs.lines, **os.environ))
    return _checked("ClickHouse", found, events=inputs.n)


def quix(on: Services, inputs: Inputs, home: Path) -> Run:
    """Quix Streams in its environment, over the topic keyed by app."""
    with tempfile.TemporaryDirectory(dir=on.folder) as state:
        found = outcome(
            on.start(
                "quix", inputs.few, inputs.windows, on.kafka.bootstrap, inputs.by_app, state,
                python=home / "bin/python", **(os.environ | QUIX_ENV),
            )
        )  # fmt: skip
    expected = {"events": inputs.few, "windows": inputs.windows, "tokens": inputs.tokens}
    return _checked("quix", found, **expected)


def _checked(what: str, found: dict[str, Any], **expected: int) -> Run:
    if {name: found[name] for name in expected} != expected:
        raise RuntimeError(f"{what}: {found}, expected {expected}")
    run = together([found])
    tell(what, run)
    return run


def together(found: Sequence[dict[str, Any]]) -> Run:
    """Processes that ran side by side as one: from the first one's begin to the last one's end."""
    events, cpu = (sum(one[name] for one in found) for name in ("events", "cpu_s"))
    began = min(one["began_s"] for one in found)
    wall = max(one["began_s"] + one["wall_s"] for one in found) - began
    return {
        "events": events, "wall_s": wall, "cpu_s": cpu, "wall": events / wall, "core": events / cpu,
        "rss_mb": max(one["rss_mb"] for one in found),
    }  # fmt: skip


def count(store: StoreSettings) -> int:
    """Raw rows; the windows must say the same."""
    with connect(store) as client:
        (row,) = client.query(
            "SELECT (SELECT count() FROM events WHERE kind = 0) AS events,"
            " (SELECT sum(n) FROM windows WHERE kind = 0 AND resolution = 3600) AS windows"
        )
    if row["events"] != row["windows"]:
        raise RuntimeError(f"events and windows differ: {row}")
    return int(row["events"])


def tell(what: str, run: Run, more: str = "") -> None:
    """A run in a line."""
    say(
        f"{what:12} {run['wall']:9,.0f} events/s {run['core']:9,.0f} per core-second,"
        f" {run['rss_mb']:4.0f} MB{more}"
    )
