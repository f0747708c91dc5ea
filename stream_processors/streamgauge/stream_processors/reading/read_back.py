"""Where a writer other than metrics begins to read, so that it knows every event before its own.

Which events were seen is told by `events` (recall.py), and only the metrics worker fills that.
It may be behind, stopped, or no part of the deployment; to wait for it would stop scores and drift,
too. So what lies between its position and ours is read from Kafka a second time: no table lacks
these messages, so they make no rows and are only remembered.
At most SEQ_HORIZON offsets of a partition: what lies further back may be forgotten in any case.

In: settings, resume positions by `src/partition`. Out: where to begin. Blocks; runs in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.storage.client import connect
from streamgauge.stream_processors.reading.dedup import SEQ_HORIZON
from streamgauge.stream_processors.settings import WorkerSettings

TOLD = "SELECT maxMap(next) FROM events WHERE kind = 1"


def read_back_from(settings: WorkerSettings, positions: Mapping[str, int]) -> dict[str, int]:
    """By key, the resume position or an offset below it. Raises Retryable if the store is away."""
    with connect(settings.store) as client:
        ((told,),) = client.rows(TOLD)[1]
    return first_untold(positions, dict(told))


def first_untold(positions: Mapping[str, int], told: Mapping[str, int]) -> dict[str, int]:
    """By key, the first offset within the horizon that is not told of, at most the position.

    >>> first_untold({"ahead": 7, "behind": 7, "never": 7}, {"ahead": 9, "behind": 5})
    {'ahead': 7, 'behind': 5, 'never': 0}
    >>> first_untold({"far behind": 1_000_007}, {"far behind": 5})
    {'far behind': 7}
    """
    return {
        key: max(min(position, told.get(key, 0)), position - SEQ_HORIZON)
        for key, position in positions.items()
    }
