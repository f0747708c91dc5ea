"""The metrics worker against other ways to consume the same events.

    python -m benchmarks.stream [--events N] [--rounds N]

Real Kafka, 8 partitions, about 1 KB an event, one event a message; decode, prices, windows at three
resolutions, raw rows and all other tables into the ClickHouse engine: by one worker, by two that
share the partitions and get twice as many events, and with the same code behind `Stream.take()` and
confluent-kafka's `consume()`. Beside them Quix Streams' windowed aggregation, which does less, and
as the limit of C++ ClickHouse's own JSON reader and GROUP BY over the same bytes in a file, which
does less still. And how long another thread waits while a flush's rows are made (gil.py).
Interleaved, median of the rounds. Per core-second: events over the CPU seconds of the consuming
processes, all threads, from their first batch to their last insert.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from statistics import median

from benchmarks.environments import NotInstalled, environment
from benchmarks.load import MODELS, T0_MS
from benchmarks.report import Figure, close, say
from benchmarks.services import services
from benchmarks.stream.gil import beside_builds
from benchmarks.stream.inputs import load
from benchmarks.stream.ways import Run, clickhouse, into_store, quix
from streamgauge.stream_processors.core import footprint
from streamgauge.stream_processors.metrics.pricing import PriceBook

EVENTS = 400_000
GRID = (500, 2_000, 8_000)
QUIX = "ratio to Quix Streams' windows, "


def look_up_us(book: PriceBook, n: int = 200_000) -> float:
    """Microseconds of a price look-up of a model that was seen before, over the load's models."""
    for provider, model in MODELS:
        book.price(provider, model, tier=None, speed=None, ts_ms=T0_MS)
    began = time.perf_counter()
    for i in range(n):
        provider, model = MODELS[i % len(MODELS)]
        book.price(provider, model, tier=None, speed=None, ts_ms=T0_MS + i)
    return (time.perf_counter() - began) / n * 1e6


def measure(n: int, rounds: int) -> dict[str, list[Run]]:
    """Load, then every way in each round: the runs of each way. Without Quix if it is not there."""
    try:
        quix_home = environment("quix")
    except NotInstalled as e:
        say(f"Quix Streams is left out: {e}")
        quix_home = None
    runs: dict[str, list[Run]] = defaultdict(list)
    with services() as on:
        n -= n % on.partitions  # so that each partition has the same
        say(f"loading twice {n:,} events ...")
        inputs = load(on, n)
        say(f"{inputs.size:.0f} bytes an event")
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            runs["ours"].append(into_store(on, "ours", n))
            for at_once in GRID:
                runs[f"bare {at_once}"].append(into_store(on, "bare", n, at_once))
            runs["clickhouse"].append(clickhouse(on, inputs))
            runs["take"].append(into_store(on, "take", inputs.few))
            runs["two"].append(into_store(on, "ours", 2 * n, on.partitions // 2, workers=2))
            if quix_home is not None:
                runs["quix"].append(quix(on, inputs, quix_home))
    return runs


def figures_of(runs: dict[str, list[Run]], look_up: float) -> dict[str, Figure]:
    """Medians and their ratios against the bars."""

    def mid(way: str, name: str) -> float:
        return median(float(run[name]) for run in runs[way])

    def ratio(way: str, name: str) -> float:
        return mid("ours", name) / mid(way, name)

    def bare(name: str) -> float:
        """Against the n of consume(n) that is best at this."""
        return min(ratio(f"bare {at_once}", name) for at_once in GRID)

    figures = {
        "ratio to Stream.take(), per core-second": Figure(
            ratio("take", "core"), "x", bar=8, aim=15
        ),
        "ratio to bare consume(), per core-second": Figure(bare("core"), "x", bar=0.6, aim=0.9),
        "ratio to bare consume(), wall clock": Figure(bare("wall"), "x", bar=0.8, aim=1.1),
        "ratio to ClickHouse's reader, per core-second": Figure(ratio("clickhouse", "core"), "x"),
        "events by the wall clock": Figure(mid("ours", "wall"), "events/s", aim=80_000),
        "events per core-second": Figure(mid("ours", "core"), "events/s"),
        "two workers, events by the wall clock": Figure(mid("two", "wall"), "events/s"),
        "two workers, events per core-second": Figure(mid("two", "core"), "events/s"),
        "two workers to one, per core-second": Figure(
            1 / ratio("two", "core"), "x", bar=0.85, aim=0.95
        ),
        "memory of the worker": Figure(mid("ours", "rss_mb"), "MB", better="lower"),
        "price look-up, median of 5": Figure(look_up, "us", bar=1, better="lower"),
        "store, CPU an event": Figure(mid("ours", "store_us"), "us", better="lower"),
    }
    if runs["quix"]:
        figures[QUIX + "per core-second"] = Figure(ratio("quix", "core"), "x")
        figures[QUIX + "wall clock"] = Figure(ratio("quix", "wall"), "x")
    return figures


def main() -> int:
    """Run in turn, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runs, book = measure(options.events, options.rounds), PriceBook()
    look_up = median(look_up_us(book) for _ in range(5))
    footprint.settle()  # as a worker does
    return close(
        "stream",
        figures_of(runs, look_up) | beside_builds(),
        keep=options.rounds >= 3 and options.events >= EVENTS,
        missing=() if runs["quix"] else (QUIX + "per core-second", QUIX + "wall clock"),
    )


if __name__ == "__main__":
    sys.exit(main())
