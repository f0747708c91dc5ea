"""The offsets that a consumer group has committed, beside the markers in the store."""

from __future__ import annotations

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.metrics.processor import TABLE_ORDER


def committed(bootstrap: str, group: str) -> dict[int, int]:
    """By partition of the group's one topic; no entry where it has committed nothing."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    found = asked[group].result(30).topic_partitions
    return {p.partition: p.offset for p in found if p.offset >= 0}


def lowest_markers(store: StoreSettings, partitions: int) -> dict[int, int]:
    """By partition of the one source: below it, every table of the metrics worker has all."""
    with connect(store) as client:
        stored = [
            client.query(f"SELECT maxMap(next) AS next FROM {table} WHERE kind = 1")[0]["next"]
            for table in TABLE_ORDER
        ]
    found = [
        {int(key.rpartition("/")[2]): int(n) for key, n in markers.items() if "/" in key}
        for markers in stored
    ]
    return {p: min(markers.get(p, 0) for markers in found) for p in range(partitions)}


def assert_no_commit_is_ahead(
    bootstrap: str, group: str, store: StoreSettings, partitions: int
) -> dict[int, int]:
    """Nothing is committed that some table lacks; what is committed. Workers may be at work."""
    first = committed(bootstrap, group)  # before the markers, which only go up
    lowest = lowest_markers(store, partitions)
    ahead = {p: (offset, lowest[p]) for p, offset in first.items() if offset > lowest[p]}
    assert not ahead, f"partition: (committed, lowest marker): {ahead}"
    return first
