"""What a worker must remember after a restart, read from the store.

Which events were seen, per source partition and only BELOW the offset to resume from: what one
table has and another lacks must not count as seen. Which label values were admitted.
The metrics worker writes both down; what it has not yet written, others read back (read_back.py).
In: settings, where reading begins by `src/partition`. Out: `Memory`. Blocks; runs in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.storage.client import StoreClient, connect
from streamgauge.stream_processors.reading.dedup import (
    ID_HORIZON,
    INTERVALS_KEPT,
    SEQ_HORIZON,
    Seen,
)
from streamgauge.stream_processors.reading.memory import Memory
from streamgauge.stream_processors.settings import WorkerSettings

# Runs of consecutive seq per producer ("islands"), each with its last offset; the newest ones.
INTERVALS = """
SELECT * FROM (
SELECT producer_id, min(number) AS low, max(number) AS high, max(at) AS last
FROM (
    SELECT producer_id, number, at,
        number - row_number() OVER (PARTITION BY producer_id ORDER BY number) AS island
    FROM (
        SELECT producer_id, assumeNotNull(seq) AS number, max(offset) AS at
        FROM events
        WHERE kind = 0 AND src = {src:String} AND partition = {partition:UInt32}
            AND offset >= {from:UInt64} AND offset < {to:UInt64}
            AND producer_id != '' AND seq IS NOT NULL
        GROUP BY producer_id, number
    )
)
GROUP BY producer_id, island
ORDER BY last DESC
LIMIT {intervals:UInt32}
)
ORDER BY producer_id, low
"""

# The last ids of events without (producer_id, seq), oldest first.
IDS = """
SELECT id FROM (
    SELECT id, offset
    FROM events
    WHERE kind = 0 AND src = {src:String} AND partition = {partition:UInt32}
        AND offset >= {from:UInt64} AND offset < {to:UInt64}
        AND (producer_id = '' OR seq IS NULL)
    ORDER BY offset DESC
    LIMIT {limit:UInt32}
)
ORDER BY offset
"""

LABELS = """
SELECT DISTINCT tenant, label, value FROM label_values WHERE kind = 0
"""


def recall(settings: WorkerSettings, positions: Mapping[str, int]) -> Memory:
    """Read the memory for these resume positions. Raises Retryable if the store is away."""
    with connect(settings.store) as client:
        memory = Memory()
        for key, position in positions.items():
            memory.seen[key] = _seen(client, key, position)
        _, found = client.rows(LABELS)
        memory.labels = [(str(t), str(label), str(value)) for t, label, value in found]
        return memory


def _seen(client: StoreClient, key: str, position: int) -> Seen:
    seen = Seen()
    if position == 0:
        return seen
    src, _, partition = key.rpartition("/")
    where = {
        "src": src,
        "partition": int(partition),
        "from": max(0, position - SEQ_HORIZON),
        "to": position,
        "limit": ID_HORIZON,
        "intervals": INTERVALS_KEPT,
    }
    _, intervals = client.rows(INTERVALS, where)
    _, ids = client.rows(IDS, where)
    seen.restore(
        ((str(p), int(low), int(high), int(last)) for p, low, high, last in intervals),
        (str(row[0]) for row in ids),
        position,
    )
    return seen
