"""What the metrics worker reads from the store when it resumes: seen events, labels, revisions.

Revisions are read after the positions of `windows`: whoever wrote below these positions knew none
that is not read here. Blocks; runs in the flush thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamgauge.storage.block import REVISION
from streamgauge.storage.client import StoreClient, connect
from streamgauge.stream_processors.metrics.revisions import MetricsMemory, Revisions, TenantHour
from streamgauge.stream_processors.reading.recall import recall
from streamgauge.stream_processors.settings import WorkerSettings

NUMBER = f"SELECT maxMap(next)['{REVISION}'] FROM windows WHERE kind = 1"  # noqa: S608  # ours
REGISTERED = """
SELECT tenant, toUnixTimestamp(t) FROM reprocessing
WHERE kind = 0 AND revision = {revision:UInt32}
"""
ACTIVE = "SELECT tenant, toUnixTimestamp(t), revision FROM revisions FINAL WHERE revision > 0"


def recall_metrics(settings: WorkerSettings, positions: Mapping[str, int]) -> MetricsMemory:
    """Read the memory for these resume positions. Raises Retryable if the store is away."""
    memory = recall(settings, positions)
    with connect(settings.store) as client:
        return MetricsMemory(memory.seen, memory.labels, read_revisions(client))


def read_revisions(client: StoreClient) -> Revisions:
    """The revisions as they are now. Only the highest may still be under way."""
    ((number,),) = client.rows(NUMBER)[1]
    hours: dict[TenantHour, list[int]] = {}
    if number:
        for tenant, t in client.rows(REGISTERED, {"revision": int(number)})[1]:
            hours.setdefault((str(tenant), int(t)), []).append(int(number))
        for tenant, t, revision in client.rows(ACTIVE)[1]:
            hours.setdefault((str(tenant), int(t)), []).append(int(revision))
    return Revisions(int(number), hours.items())
