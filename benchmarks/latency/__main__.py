"""From an event to the aggregate that can be queried, at half of the maximum rate.

    python -m benchmarks.latency [--rounds N] [--seconds S] [--events N]

First the maximum, as `benchmarks.stream` measures it: a backlog at full speed, median of the
rounds. Then half of it by the clock, to the metrics worker as the supervisor starts it, and in turn
to Faust's `Stream.take_events(1000)` before the same code; if that cannot keep up with the same
rate, half of its own maximum. Settings are the default ones. Latency: from when an event was due to
be sent until an answer of the store, asked four times a second for `sum(requests)` over `v_10s`,
counts it.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from benchmarks.latency.run import measure
from benchmarks.load import preload
from benchmarks.report import Figure, close, say
from benchmarks.services import services
from benchmarks.stream.inputs import SHARE
from benchmarks.stream.ways import Run, into_store

BAR_S, AIM_S = 2.0, 1.0


def mid(runs: list[Run], name: str) -> float:
    """Median of a figure."""
    return median(float(run[name]) for run in runs)


def maxima(events: int, rounds: int) -> tuple[float, float]:
    """Events/s of ours and of take() from a backlog."""
    ours, take = [], []
    with services() as on:
        say(f"loading {events:,} events ...")
        preload(on.kafka.bootstrap, on.topic, events, partitions=on.partitions)
        for _ in range(rounds):
            ours.append(into_store(on, "ours", events))
            take.append(into_store(on, "take", events // SHARE, "by-time"))
    return mid(ours, "wall"), mid(take, "wall")


def tell(number: int, consumer: str, rate: float, run: Run) -> None:
    """A run in a line."""
    cores = ", ".join(
        f"{name} {run[name]:.2f}" for name in ("worker", "store", "Kafka", "sender", "asking")
    )
    say(
        f"round {number} {consumer:5} {rate:7,.0f} events/s: p50 {run['p50']:.2f} s,"
        f" p99 {run['p99']:.2f} s, max {run['max']:.2f} s; an answer each {run['polled']:.3f} s,"
        f" sender {run['late']:.3f} s late at most; cores: {cores}, idle {run['idle']:.2f}"
    )


def main() -> int:
    """Find the maxima, run in turn, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="judged, of each run")
    parser.add_argument("--events", type=int, default=200_000, help="backlog for the maximum")
    options = parser.parse_args()
    most, most_of_take = maxima(options.events, options.rounds)
    rate = most / 2
    same = most_of_take >= rate
    rates = {"ours": rate, "take": rate if same else most_of_take / 2}
    how = "the same rate" if same else "half of its own maximum"
    say(f"maximum {most:,.0f} events/s; take() {most_of_take:,.0f}: it gets {how}")
    runs: dict[str, list[Run]] = {name: [] for name in rates}
    for number in range(1, options.rounds + 1):
        for name, offered in rates.items():
            runs[name].append(measure(name, offered, options.seconds))
            tell(number, name, offered, runs[name][-1])
    ours, take = runs["ours"], runs["take"]

    def seconds(of: list[Run], name: str, bar: float | None = None) -> Figure:
        return Figure(mid(of, name), "s", bar, AIM_S if bar else None, better="lower")

    return close(
        "latency",
        {
            "p50": seconds(ours, "p50", BAR_S),
            "p99": seconds(ours, "p99", BAR_S),
            "max": seconds(ours, "max"),
            "offered": Figure(rates["ours"], "events/s"),
            "CPU idle meanwhile": Figure(mid(ours, "idle"), "cores"),
            "sender behind the clock, most": seconds(ours, "late"),
            "from answer to answer": seconds(ours, "polled"),
            "Stream.take(), p50": seconds(take, "p50"),
            "Stream.take(), p99": seconds(take, "p99"),
            "Stream.take(), max": seconds(take, "max"),
            f"Stream.take(), offered, {how}": Figure(rates["take"], "events/s"),
            "p50 of Stream.take() to ours": Figure(mid(take, "p50") / mid(ours, "p50"), "x"),
            "p99 of Stream.take() to ours": Figure(mid(take, "p99") / mid(ours, "p99"), "x"),
            "rate offered, ours to Stream.take()": Figure(rates["ours"] / rates["take"], "x"),
        },
        keep=options.rounds >= 3 and options.seconds >= 60 and options.events >= 200_000,
    )


if __name__ == "__main__":
    sys.exit(main())
