"""The metrics worker against other ways to consume the same topic with the same code.

    python -m benchmarks.stream [--events N] [--rounds N]

Real Kafka, 8 partitions, about 1 KB an event, one event a message; decode, prices, windows at three
resolutions, raw rows and all other tables into the ClickHouse engine. Interleaved, median of the
rounds. Per core-second: events over the CPU seconds of the consuming process, all threads, from its
first batch to its last insert.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.load import MODELS, T0_MS, preload
from benchmarks.report import Figure, close
from benchmarks.services import Services, cpu_s, outcome, services
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.metrics.pricing import PriceBook

GRID = (500, 2_000, 8_000)
TAKE_SHARE = 10  # take() is so slow that it gets a tenth of the events

Run = Mapping[str, Any]


def measure(on: Services, consumer: str, n: int, *arguments: object, **env: str) -> Run:
    """One run of one consumer on an empty database; its counts are checked."""
    with on.database() as store:
        before = cpu_s(on.store.pid), cpu_s(on.kafka.pid)
        process = on.start(consumer, n, *arguments, **on.environment(store, **env))
        found = outcome(process)
        after = cpu_s(on.store.pid), cpu_s(on.kafka.pid)
        stored = count(store)
        if not n <= stored == found["events"]:
            raise RuntimeError(f"{consumer}: {stored} rows, {found['events']} said to have landed")
        each = found["events"]
        run = {
            **found,
            "wall": each / found["wall_s"],
            "core": each / found["cpu_s"],
            "store_us": (after[0] - before[0]) / each * 1e6,
            "kafka_us": (after[1] - before[1]) / each * 1e6,
        }
        say(
            f"{consumer:6} {' '.join(map(str, arguments)):>6} {run['wall']:9,.0f} events/s"
            f" {run['core']:9,.0f} per core-second, {run['rss_mb']:4.0f} MB;"
            f" store {run['store_us']:.1f}, Kafka {run['kafka_us']:.1f} us of CPU an event"
        )
        return run


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


def look_up_us(book: PriceBook, n: int = 200_000) -> float:
    """Microseconds of a price look-up of a model that was seen before, over the load's models."""
    for provider, model in MODELS:
        book.price(provider, model, tier=None, speed=None, ts_ms=T0_MS)
    began = time.perf_counter()
    for i in range(n):
        provider, model = MODELS[i % len(MODELS)]
        book.price(provider, model, tier=None, speed=None, ts_ms=T0_MS + i)
    return (time.perf_counter() - began) / n * 1e6


def say(line: str) -> None:
    """Progress."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def mid(runs: list[Run], name: str) -> float:
    """Median of a figure."""
    return median(float(run[name]) for run in runs)


def main() -> int:
    """Load, run in turn, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    n, book = options.events, PriceBook()
    with services() as on:
        say(f"loading {n:,} events ...")
        size = preload(on.kafka.bootstrap, on.topic, n, partitions=on.partitions)
        say(f"{size / n:.0f} bytes an event")
        grid = {at_once: measure(on, "bare", n, at_once) for at_once in GRID}
        best = max(grid, key=lambda at_once: float(grid[at_once]["core"]))
        ours, bare, take = [], [], []
        for number in range(1, options.rounds + 1):
            say(f"round {number} of {options.rounds}")
            ours.append(measure(on, "ours", n))
            bare.append(measure(on, "bare", n, best))
            take.append(measure(on, "take", n // TAKE_SHARE))
    return close(
        "stream",
        {
            "ratio to Stream.take(), per core-second": Figure(
                mid(ours, "core") / mid(take, "core"), "x", bar=8, aim=15
            ),
            "ratio to bare consume(), per core-second": Figure(
                mid(ours, "core") / mid(bare, "core"), "x", bar=0.6, aim=0.9
            ),
            "ratio to bare consume(), wall clock": Figure(
                mid(ours, "wall") / mid(bare, "wall"), "x", bar=0.8, aim=1.1
            ),
            "events by the wall clock": Figure(mid(ours, "wall"), "events/s", aim=80_000),
            "events per core-second": Figure(mid(ours, "core"), "events/s"),
            "memory of the worker": Figure(mid(ours, "rss_mb"), "MB", better="lower"),
            "price look-up, median of 5": Figure(
                median(look_up_us(book) for _ in range(5)), "us", bar=1, better="lower"
            ),
            "store, CPU an event": Figure(mid(ours, "store_us"), "us", better="lower"),
        },
        keep=options.rounds >= 3,
    )


if __name__ == "__main__":
    sys.exit(main())
