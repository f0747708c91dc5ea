"""What the metrics worker must remember after a restart, read from the store.

Which events were seen, per source partition and only BELOW the offset to resume from: what one
table has and another lacks must not count as seen. Which label values were admitted.
In: settings, resume positions by `src/partition`. Out: `Memory`. Blocks; runs in a thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from streamgauge.storage.client import StoreClient, connect
from streamgauge.stream_processors.core.resume import RECALL_S, by_source, near
from streamgauge.stream_processors.reading.dedup import (
    ID_HORIZON,
    INTERVALS_KEPT,
    SEQ_HORIZON,
    Seen,
)
from streamgauge.stream_processors.reading.memory import Memory
from streamgauge.stream_processors.settings import WorkerSettings

AT_ONCE = 4
"""Partitions that a query reads: each costs memory, and each query reads the rows of all."""

# Runs of consecutive seq per producer ("islands"), each with its last offset; the newest ones.
INTERVALS = """
SELECT * FROM (
SELECT partition, producer_id, min(number) AS low, max(number) AS high, max(at) AS last
FROM (
    SELECT partition, producer_id, number, at,
        number - row_number() OVER (PARTITION BY partition, producer_id ORDER BY number) AS island
    FROM (
        SELECT partition, producer_id, assumeNotNull(seq) AS number, max(offset) AS at
        FROM events
        WHERE kind = 0 AND src = {{src:String}} AND {near}
            AND producer_id != '' AND seq IS NOT NULL
        GROUP BY partition, producer_id, number
    )
)
GROUP BY partition, producer_id, island
ORDER BY last DESC
LIMIT {{intervals:UInt32}} BY partition
)
ORDER BY partition, producer_id, low
"""

# The last ids of events without (producer_id, seq), oldest first.
IDS = """
SELECT partition, id FROM (
    SELECT partition, id, offset
    FROM events
    WHERE kind = 0 AND src = {{src:String}} AND {near}
        AND (producer_id = '' OR seq IS NULL)
    ORDER BY offset DESC
    LIMIT {{limit:UInt32}} BY partition
)
ORDER BY partition, offset
"""

LABELS = """
SELECT DISTINCT tenant, label, value FROM label_values WHERE kind = 0
"""


def recall(settings: WorkerSettings, positions: Mapping[str, int]) -> Memory:
    """Read the memory for these resume positions. Raises Retryable if the store is away."""
    with connect(settings.store, timeout_s=RECALL_S) as client:
        memory = Memory({key: Seen() for key in positions})
        for src, partitions in by_source(positions).items():
            ascending = sorted(partitions.items())
            for first in range(0, len(ascending), AT_ONCE):
                some = dict(ascending[first : first + AT_ONCE])
                for partition, seen in _seen(client, src, some).items():
                    memory.seen[f"{src}/{partition}"] = seen
        _, found = client.rows(LABELS)
        memory.labels = [(str(t), str(label), str(value)) for t, label, value in found]
        return memory


def _seen(client: StoreClient, src: str, positions: Mapping[int, int]) -> dict[int, Seen]:
    """By partition of this source."""
    rows = near(positions, SEQ_HORIZON)
    asked = {"src": src, "limit": ID_HORIZON, "intervals": INTERVALS_KEPT}
    intervals: defaultdict[int, list[tuple[str, int, int, int]]] = defaultdict(list)
    for partition, producer, low, high, last in client.rows(INTERVALS.format(near=rows), asked)[1]:
        intervals[int(partition)].append((str(producer), int(low), int(high), int(last)))
    ids: defaultdict[int, list[str]] = defaultdict(list)
    for partition, id_ in client.rows(IDS.format(near=rows), asked)[1]:
        ids[int(partition)].append(str(id_))
    found = {partition: Seen() for partition in positions}
    for partition, seen in found.items():
        seen.restore(intervals[partition], ids[partition], positions[partition])
    return found
