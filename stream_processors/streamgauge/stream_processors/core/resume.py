"""How far event time had come in what the store has: where the watermark goes on after a restart.

The last tick alone does not do: it may be older than the last flush (a kill between the two), and a
partition that gets nothing more would keep its old watermark, which in clock mode `replay` stops
the clock of the whole source.
In: where reading resumes, by `src/partition`. Out: latest event and append time of the events below
it. What lies above is read again and tells its times itself.
Also, for all that reads `events` when a worker resumes: the rows near a position, by the index
`by_offset`, so that a takeover takes no longer however much is stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.watermark import Latest

HORIZON = 1_000_000
"""Offsets below the resume position that are looked at."""
RECALL_S = 300.0
"""One query: parts of before the index came are read whole until they are merged."""

LATEST = """
SELECT partition, toUnixTimestamp64Milli(max(ts)), toUnixTimestamp64Milli(max(append_ts))
FROM events
WHERE kind = 0 AND src = {{src:String}} AND {near}
GROUP BY partition
"""


def latest_below(store: StoreSettings, positions: Mapping[str, int]) -> dict[str, Latest]:
    """By key; nothing where no event is stored. Blocks. Raises Retryable if the store is away."""
    found: dict[str, Latest] = {}
    sources = by_source(positions)
    if not sources:
        return found
    with connect(store, timeout_s=RECALL_S) as client:
        for src, partitions in sources.items():
            sql = LATEST.format(near=near(partitions, HORIZON))
            for partition, max_ts, last_append in client.rows(sql, {"src": src})[1]:
                found[f"{src}/{partition}"] = Latest(int(max_ts), int(last_append))
    return found


def by_source(positions: Mapping[str, int]) -> dict[str, dict[int, int]]:
    """Positions by source and partition, of those partitions that have something below theirs."""
    found: dict[str, dict[int, int]] = {}
    for key, position in positions.items():
        src, _, partition = key.rpartition("/")
        if position:
            found.setdefault(src, {})[int(partition)] = position
    return found


def near(positions: Mapping[int, int], horizon: int) -> str:
    """SQL that is true for rows of the last `horizon` offsets below the position of a partition.

    The bounds stand in the text, partition by partition: so the index picks what has to be read,
    also where one partition is far ahead of another.
    """
    ranges = (
        f"partition = {number} AND offset >= {max(0, position - horizon)} AND offset < {position}"
        for number, position in positions.items()
    )
    return "(" + " OR ".join(ranges) + ")"
