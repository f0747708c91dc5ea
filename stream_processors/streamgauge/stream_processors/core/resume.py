"""How far event time had come in what the store has: where the watermark goes on after a restart.

The last tick alone does not do: it may be older than the last flush (a kill between the two), and a
partition that gets nothing more would keep its old watermark, which in clock mode `replay` stops
the clock of the whole source.
In: where reading resumes, by `src/partition`. Out: latest event and append time of the events below
it. What lies above is read again and tells its times itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.watermark import Latest

HORIZON = 1_000_000
"""Offsets below the resume position that are looked at."""

LATEST = """
SELECT partition, toUnixTimestamp64Milli(max(ts)), toUnixTimestamp64Milli(max(append_ts))
FROM (
    SELECT partition, offset, ts, append_ts,
        transform(
            partition, {partitions:Array(UInt32)}, {positions:Array(UInt64)}, toUInt64(0)
        ) AS pos
    FROM events
    WHERE kind = 0 AND src = {src:String}
)
WHERE offset < pos AND offset + {horizon:UInt64} >= pos
GROUP BY partition
"""


def latest_below(store: StoreSettings, positions: Mapping[str, int]) -> dict[str, Latest]:
    """By key; nothing where no event is stored. Blocks. Raises Retryable if the store is away."""
    by_src: dict[str, dict[int, int]] = {}
    for key, position in positions.items():
        src, _, partition = key.rpartition("/")
        if position:
            by_src.setdefault(src, {})[int(partition)] = position
    found: dict[str, Latest] = {}
    if not by_src:
        return found
    with connect(store) as client:
        for src, wanted in by_src.items():
            _, rows = client.rows(
                LATEST,
                {
                    "src": src,
                    "partitions": list(wanted),
                    "positions": list(wanted.values()),
                    "horizon": HORIZON,
                },
            )
            for partition, max_ts, last_append in rows:
                found[f"{src}/{partition}"] = Latest(int(max_ts), int(last_append))
    return found
