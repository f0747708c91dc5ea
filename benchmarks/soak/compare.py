"""What was acknowledged against what is stored, to the event.

In: a store whose workers have drained, and what the sender counted of its own events. Out: events
lost and doubled by client and number, sums that differ, and what `streamgauge audit` finds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from benchmarks.load import SPACING_MS, T0_MS
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.settings import StoreSettings

CLIENTS = """
SELECT producer_id, count() AS n, uniqExact(seq) AS seqs, uniqExact(id) AS ids,
    min(seq) AS low, max(seq) AS high
FROM events WHERE kind = 0 GROUP BY producer_id
"""
SUMS = """
SELECT app, sum(n) AS n, sum(errors) AS errors, sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens, sum(duration_us_sum) AS duration_us_sum,
    arraySum(mapValues(sumMap(duration_ms_hist))) AS histogram
FROM windows WHERE kind = 0 AND resolution = {resolution:UInt16} GROUP BY app
"""


@dataclass(slots=True)
class Comparison:
    """differences: in words. audit: those that the command found; -1 if it did not settle."""

    lost: int = 0
    doubled: int = 0
    differences: list[str] = field(default_factory=list)
    audit: int = 0


def compare(store: StoreSettings, expected: Mapping[str, Mapping[str, int]]) -> Comparison:
    """expected: `seqs` by client, `apps`, `sums`, as the sender counts them."""
    found = Comparison()
    with connect(store) as client:
        _clients(client, expected["seqs"], found)
        for resolution in (10, 60, 3600):
            found.differences += _windows(client, resolution, expected)
        for table in ("producers", "spend"):
            (row,) = client.query(f"SELECT sum(n) AS n FROM {table} WHERE kind = 0")
            if int(row["n"]) != expected["sums"]["n"]:
                found.differences.append(f"{table}: {row['n']}, not {expected['sums']['n']}")
    found.audit = _audit(store, expected["sums"]["n"], found.differences)
    return found


def _clients(client: StoreClient, seqs: Mapping[str, int], found: Comparison) -> None:
    rows = {row["producer_id"]: row for row in client.query(CLIENTS)}
    for name in sorted(rows.keys() | seqs.keys()):
        sent, row = seqs.get(name, 0), rows.get(name, {"n": 0, "seqs": 0, "ids": 0, "high": 0})
        lost, doubled = sent - int(row["seqs"]), int(row["n"]) - int(row["seqs"])
        found.lost += max(0, lost)
        found.doubled += doubled
        if lost or doubled or int(row["ids"]) != sent or int(row["high"]) != sent:
            found.differences.append(f"client {name}: sent 1 to {sent}, stored {row}")


def _windows(
    client: StoreClient, resolution: int, expected: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    rows = client.query(SUMS, {"resolution": resolution})
    by_app = {row["app"]: int(row["n"]) for row in rows}
    if by_app != dict(expected["apps"]):
        yield f"windows of {resolution} s: {by_app} by app, not {dict(expected['apps'])}"
    for name, value in {**expected["sums"], "histogram": expected["sums"]["n"]}.items():
        total = sum(int(row[name]) for row in rows)
        if total != value:
            yield f"windows of {resolution} s: {name} {total}, not {value}"


def _audit(store: StoreSettings, n: int, differences: list[str]) -> int:
    """`streamgauge audit` over all that was sent."""
    begin = datetime.fromtimestamp(T0_MS / 1000, UTC)
    end = begin + timedelta(milliseconds=(n + 1) * SPACING_MS)
    done = subprocess.run(
        [
            sys.executable, "-m", "streamgauge.deploy", "audit", "--json",
            "--from", f"{begin:%Y-%m-%dT%H:%M:%S}", "--to", f"{end:%Y-%m-%dT%H:%M:%S}",
        ],
        env={**os.environ, **store.to_env()}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode > 1:
        raise RuntimeError(f"streamgauge audit ended with {done.returncode}: {done.stderr}")
    found = json.loads(done.stdout)
    differences += [f"audit: {d}" for d in found["differences"]]
    if found["unsettled"] or found["not_compared"] or found["requests"] != n:
        differences.append(f"audit: looked at {found['requests']} requests of {n}; {done.stderr}")
        return -1
    return len(found["differences"])
