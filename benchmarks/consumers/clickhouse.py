"""ClickHouse's own JSON reader and GROUP BY over the same bytes: what C++ takes for the core of it.

python -m benchmarks.consumers.clickhouse N FILE

A limit, no peer. It reads lines from a file that the system holds in memory, in one thread, in the
engine inside this process. There is no Kafka, no message of its own for each event, no price, no
row stored, no position kept; one resolution instead of three. It parses the 18 fields that the
query needs of an event's 38, and passes over the others, the texts among them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import chdb

from benchmarks.consumers.meter import Meter

LABELS = (
    "tenant", "app", "env", "team", "feature", "op", "provider", "model", "prompt_name",
    "prompt_version", "release",
)  # fmt: skip
SCHEMA = ", ".join(
    [
        "ts Int64", "status String", *(f"{label} String" for label in LABELS),
        *(f"{kind}_tokens UInt32" for kind in ("input", "output", "cache_read")),
        "duration_ms Float64", "ttft_ms Float64",
    ]
)  # fmt: skip
QUERY = f"""
SELECT
    count(), sum(output_tokens),
    {", ".join(LABELS)},
    toStartOfInterval(fromUnixTimestamp64Milli(ts, 'UTC'), INTERVAL 10 SECOND) AS t,
    countIf(status = 'error'), sum(input_tokens), sum(cache_read_tokens),
    sum(duration_ms), max(duration_ms),
    quantilesDD(0.01, 0.5, 0.95, 0.99)(duration_ms),
    quantilesDD(0.01, 0.5, 0.95, 0.99)(ttft_ms)
FROM file({{file:String}}, JSONEachRow, '{SCHEMA}')
GROUP BY {", ".join(LABELS)}, t
SETTINGS max_threads = 1, input_format_parallel_parsing = 0, input_format_skip_unknown_fields = 1
"""


def main() -> None:
    """One query; its counts are printed."""
    total, file = int(sys.argv[1]), sys.argv[2]
    meter, query = Meter(total), cast(Callable[..., Any], chdb.query)
    query("SELECT 1")  # the engine is up
    meter.begin()
    answer = query(QUERY, "TSV", params={"file": file})
    meter.landed(total)
    cells = [list(map(int, line.split("\t")[:2])) for line in answer.data().splitlines()]
    events, tokens = (sum(column) for column in zip(*cells, strict=True))
    meter.close(events=events, tokens=tokens, cells=len(cells))


if __name__ == "__main__":
    main()
