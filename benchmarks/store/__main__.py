"""Bytes per event on disk, and ten ad hoc queries, over ten million events of fourteen days.

    python -m benchmarks.store [--events N] [--rounds N] [--folder DIR] [--keep]

The events are those that clients of ours send without text, written by the metrics worker's own
code into the embedded store with its usual limits. The alternative is the same events in a plain
table (String, Int64, Float64, `ORDER BY ts`, default codec); bytes also as JSON lines under zstd.
Queries are asked by the read-only account over HTTP, ours and the plain ones in turn, and their
answers are compared. A run that is interrupted goes on where it was; the folder is removed after a
run without misses. 15 minutes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import median

from benchmarks.consumers.meter import resident_mb
from benchmarks.report import Figure, close, say
from benchmarks.store import plain, sizes
from benchmarks.store.ask import Times, ask, compare, parameters
from benchmarks.store.site import DATABASE, Options, fill, running, traffic_of
from benchmarks.store.world import BLOCK
from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore

HASHED = "hashed"
HASHED_BLOCKS = 10
WHOLE = 10_000_000


def run(options: Options, rounds: int) -> dict[str, Figure]:
    """Fill, wait for the merges, measure, ask."""
    traffic, events = traffic_of(options), options.events
    with running(options.folder) as store:
        fill(store.settings(DATABASE), traffic, say)
        fill(store.settings(HASHED), replace(traffic, hashes=True), say, blocks=HASHED_BLOCKS)
        with connect(store.settings(DATABASE), timeout_s=300) as client:
            say(f"waiting for the store's own merges, {sizes.MOST_S:.0f} s at most ...")
            say(f"{sizes.settled(client):.0f} s")
            found = sizes.measure(client)
            for line in sizes.as_lines(found, events):
                say(line)
            say("copying them into the plain table ...")
            plain.copy(client, DATABASE, events)
        with connect(store.settings(plain.DATABASE)) as client:
            sizes.settled(client)
            naive = sizes.measure(client).tables["events"] / events
        hashes = _hashes(store)
        with connect(store.reader_settings(DATABASE)) as client:
            asked = parameters(client)
            times = ask(client, asked, rounds)
            for one in times:
                say(one.as_line())
            peak = resident_mb(store.pid, "VmHWM")
            compare(client, asked)
    ours, packed = found.tables["events"] / events, sizes.json_lines(traffic)
    of_traces = sum(found.columns[name] for name in ("trace_id", "span_id")) / events
    return {
        "bytes per event without text": Figure(ours, "B", bar=70, aim=50, better="lower"),
        "of these, ids of traces and spans": Figure(of_traces, "B", better="lower"),
        "plain table, ratio": Figure(naive / ours, "x"),
        "JSON lines under zstd, ratio": Figure(packed / ours, "x"),
        "plain table": Figure(naive, "B", better="lower"),
        "JSON lines under zstd": Figure(packed, "B", better="lower"),
        "more with hashes of both texts": Figure(hashes, "B", better="lower"),
        "all tables together, per event": Figure(
            sum(found.tables.values()) / events, "B", better="lower"
        ),
        "parts of events": Figure(found.parts, "", better="lower"),
        **_of_queries(times),
        "peak memory of the store since its last start": Figure(peak, "MB", better="lower"),
    }


def _of_queries(times: list[Times]) -> dict[str, Figure]:
    of_each = {
        f"query: {one.query.question}": Figure(
            median(one.ours), "s", bar=0.5, aim=0.2, better="lower"
        )
        for one in times
    }
    mean = prod(one.ratio for one in times) ** (1 / len(times))
    return of_each | {"queries over the plain table, ratio, geometric mean": Figure(mean, "x")}


def _hashes(store: EmbeddedStore) -> float:
    """Bytes per event that keyed hashes of both texts add."""
    with connect(store.settings(HASHED)) as client:
        sizes.settled(client)
        columns = sizes.measure(client).columns
    return (columns["input_hash"] + columns["output_hash"]) / (HASHED_BLOCKS * BLOCK)


def main() -> int:
    """Run, judge, tidy up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=WHOLE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("build/store"))
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    given = parser.parse_args()
    try:
        figures = run(Options(given.folder, given.events), given.rounds)
    except ValueError as error:
        sys.stderr.write(f"store: {error}\n")
        return 2
    status = close("store", figures, keep=given.events >= WHOLE and given.rounds >= 3)
    if status == 0 and not given.keep:
        shutil.rmtree(given.folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
