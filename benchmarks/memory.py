"""What the metrics worker and the embedded store hold at most, whatever the events are.

    python -m benchmarks.memory [--scale S]

Real Kafka, 8 partitions, everything at full speed on a store of its own, peak of resident memory:
usual events of 1 KB; fat ones of 64 KiB, in text that packs ten to one; 5,000 apps x 20 models;
hostile labels, where tenant, app, model, user and client are made up anew with each event, 200
characters each. Counts are checked: every event is in the windows of each resolution.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.consumers.meter import resident_mb
from benchmarks.load import WORDS, events, send
from benchmarks.report import Figure, close
from benchmarks.services import Services, outcome, services
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings

FAT_BYTES = 64 * 1024
Values = Iterator[tuple[int, bytes]]


def changed(n: int, partitions: int, change: Any) -> Values:
    """Usual events with some fields replaced: change(i, event) gives the new ones."""
    for i, (partition, value) in enumerate(events(n, partitions=partitions)):
        event = json.loads(value)
        yield partition, json.dumps(event | change(i, event), separators=(",", ":")).encode()


def fat(n: int, partitions: int) -> Values:
    """Texts as long as they may be, and a field that we do not know up to 64 KiB."""
    rnd = random.Random(1)
    pool = [" ".join(rnd.choices(WORDS, k=1_200))[:8_000] for _ in range(50)]
    tail = " ".join(rnd.choices(WORDS, k=12_000))

    def change(i: int, event: dict[str, Any]) -> dict[str, Any]:
        fields = {"input_text": pool[i % 50], "output_text": pool[i % 49], "content": "full"}
        return fields | {"own": tail[: FAT_BYTES - 17_500]}

    return changed(n, partitions, change)


def many_labels(n: int, partitions: int) -> Values:
    """5,000 apps x 20 models, each pair once in 100,000 events."""
    return changed(
        n, partitions, lambda i, _: {"app": f"app-{i % 5_000}", "model": f"m-{i // 5_000 % 20}"}
    )


def hostile(n: int, partitions: int) -> Values:
    """Nothing comes twice."""

    def change(i: int, event: dict[str, Any]) -> dict[str, Any]:
        made_up = f"{i}-\u00fc" + "x" * 190
        names = ("app", "model", "team", "feature", "release", "prompt_name", "response_model")
        return dict.fromkeys(names, made_up) | {
            "tenant": f"{i // 20}-" + "t" * 190, "user_id": made_up, "key_id": made_up,
            "producer_id": f"c{i}", "seq": 1,
        }  # fmt: skip

    return changed(n, partitions, change)


def usual(n: int, partitions: int) -> Values:
    """As a client of ours sends them."""
    return events(n, partitions=partitions)


CASES: dict[str, tuple[int, Callable[[int, int], Values], float]] = {
    "usual events of 1 KB": (200_000, usual, 400),
    "events of 64 KiB": (6_000, fat, 400),
    "5,000 apps x 20 models": (200_000, many_labels, 500),
    "hostile labels": (100_000, hostile, 1_200),
}
"""Events, their maker, and the bar for the worker's memory, MB; generous where they are absurd."""


def counts(store: StoreSettings) -> dict[str, int]:
    """Raw rows, requests in the windows of each resolution, cells of 10 s, requests in overflow."""
    with connect(store) as client:
        (row,) = client.query(
            "SELECT (SELECT count() FROM events WHERE kind = 0) AS raw,"
            " sumIf(n, resolution = 10) AS n10, sumIf(n, resolution = 60) AS n60,"
            " sumIf(n, resolution = 3600) AS n3600, countIf(resolution = 10) AS cells,"
            " sumIf(n, resolution = 10 AND app = '__other__') AS other"
            " FROM windows WHERE kind = 0"
        )
    return {name: int(value) for name, value in row.items()}


def measure(on: Services, n: int) -> dict[str, float]:
    """Peaks of worker and store over the events that are in the topic."""
    with on.database() as store:
        run = outcome(on.start("ours", n, **on.environment(store)))
        found = counts(store)
        if {found[name] for name in ("raw", "n10", "n60", "n3600")} != {n}:
            raise RuntimeError(f"{n} events were sent: {found}")
        return {
            "worker": run["rss_mb"],
            "store": resident_mb(on.store.pid, "VmHWM"),
            "s": run["wall_s"],
            **found,
        }


def main() -> int:
    """One case after another, each with services of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="times as many events")
    parser.add_argument("--only", default="", help="only cases with these words in their name")
    options = parser.parse_args()
    figures = {}
    for name, (n, make, bar) in CASES.items():
        if options.only not in name:
            continue
        n = max(1, int(n * options.scale))
        with services() as on:
            size = send(on.kafka.bootstrap, on.topic, make(n, on.partitions))
            run = measure(on, n)
        sys.stderr.write(
            f"{name}: {n:,} events, {size / 2**20:,.0f} MiB in {run['s']:.1f} s;"
            f" worker {run['worker']:.0f} MB, store {run['store']:.0f} MB;"
            f" {run['cells']:,.0f} cells of 10 s, {run['other']:,.0f} requests in overflow\n"
        )
        figures[f"worker, {name}"] = Figure(
            run["worker"], "MB", bar=bar, aim=bar / 2, better="lower"
        )
        figures[f"store, {name}"] = Figure(run["store"], "MB", better="lower")
    return close("memory", figures, keep=options.scale >= 1 and not options.only)


if __name__ == "__main__":
    sys.exit(main())
