"""What a worker must remember after a restart, read from the store.

Which events were seen, per source partition and only BELOW the offset to resume from: what one
table has and another lacks must not count as seen. Which label values were admitted.
The metrics worker writes both down; what it has not yet written, others read back (read_back.py).
In: settings, where reading begins by `src/partition`. Out: `Memory`. Blocks; runs in a thread.
"""

from __future__ import annotations

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

# Runs of consecutive seq per producer, each with its last offset; the newest ones. One partition at
# a time, since where each event has a producer of its own, all of them are held at once.
INTERVALS = """
SELECT * FROM (
SELECT producer_id, run[1] AS low, run[-1] AS high, arrayMax(offsets) AS last
FROM (
    SELECT producer_id, arraySort(seqs) AS numbers,
        arrayPushFront(arrayPopBack(numbers), numbers[1]) AS before,
        arraySplit((number, one_before) -> number > one_before + 1, numbers, before) AS runs,
        arraySplit(
            (at, number, one_before) -> number > one_before + 1,
            arraySort((at, number) -> number, ats, seqs), numbers, before
        ) AS runs_at
    FROM (
        SELECT producer_id, groupArray(assumeNotNull(seq)) AS seqs, groupArray(offset) AS ats
        FROM events
        WHERE kind = 0 AND src = {{src:String}} AND {near}
            AND producer_id != '' AND seq IS NOT NULL
        GROUP BY producer_id
    )
)
ARRAY JOIN runs AS run, runs_at AS offsets
ORDER BY last DESC
LIMIT {{intervals:UInt32}}
)
ORDER BY producer_id, low
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
    """Read the memory of what lies below these positions. Raises Retryable if the store is away."""
    with connect(settings.store, timeout_s=RECALL_S) as client:
        memory = Memory({key: Seen() for key in positions})
        for src, partitions in by_source(positions).items():
            for partition, seen in _seen(client, src, partitions).items():
                memory.seen[f"{src}/{partition}"] = seen
        _, found = client.rows(LABELS)
        memory.labels = [(str(t), str(label), str(value)) for t, label, value in found]
        return memory


def _seen(client: StoreClient, src: str, positions: Mapping[int, int]) -> dict[int, Seen]:
    """By partition of this source."""
    ids: dict[int, list[str]] = {partition: [] for partition in positions}
    sql = IDS.format(near=near(positions, SEQ_HORIZON))
    for partition, id_ in client.rows(sql, {"src": src, "limit": ID_HORIZON})[1]:
        ids[int(partition)].append(str(id_))
    found: dict[int, Seen] = {}
    for partition, position in positions.items():
        sql = INTERVALS.format(near=near({partition: position}, SEQ_HORIZON))
        _, intervals = client.rows(sql, {"src": src, "intervals": INTERVALS_KEPT})
        found[partition] = Seen()
        found[partition].restore(
            ((str(p), int(low), int(high), int(last)) for p, low, high, last in intervals),
            ids[partition],
            position,
        )
    return found
