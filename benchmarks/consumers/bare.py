"""confluent-kafka's `consume(n)` before the same code.

python -m benchmarks.consumers.bare N n [last]        last: the end of the topic, not its beginning
"""

from __future__ import annotations

import sys
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.consumers.meter import Meter
from benchmarks.consumers.sink import Sink
from streamgauge.stream_processors.settings import WorkerSettings


def main() -> None:
    """Read from the beginning of each partition, or its end less so many, until so many landed."""
    total, at_once = int(sys.argv[1]), int(sys.argv[2])
    settings, meter = WorkerSettings.from_env(), Meter(total)
    sink = Sink(settings, meter)
    consumer = Consumer(
        settings.kafka.librdkafka(
            group_id="bare", enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", fetch_min_bytes=65_536,
        )
    )  # fmt: skip
    starts = [TopicPartition(sink.topic, p, 0) for p in range(sink.partitions)]
    if sys.argv[3:] == ["last"]:
        for start in starts:
            _, high = consumer.get_watermark_offsets(start, timeout=30)
            start.offset = max(0, high - -(-total // sink.partitions))
    consumer.assign(starts)
    taken = 0
    while taken < total:
        messages = consumer.consume(at_once, 0.5)
        if not messages:
            continue
        taken += len(messages)
        batch: list[Any] = messages
        sink.take((m.partition(), m.offset(), m.value(), m.timestamp()[1]) for m in batch)
    sink.finish()
    meter.close()


if __name__ == "__main__":
    main()
