"""confluent-kafka's `consume(n)` before the same code.

python -m benchmarks.consumers.bare N n
"""

from __future__ import annotations

import sys
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.consumers.meter import Meter
from benchmarks.consumers.sink import Sink
from streamgauge.stream_processors.settings import WorkerSettings


def main() -> None:
    """Read from the beginning of each partition until so many events have landed."""
    total, at_once = int(sys.argv[1]), int(sys.argv[2])
    settings, meter = WorkerSettings.from_env(), Meter(total)
    sink = Sink(settings, meter)
    consumer = Consumer(
        settings.kafka.librdkafka(
            group_id="bare", enable_auto_commit=False, auto_offset_reset="earliest",
            isolation_level="read_committed", fetch_min_bytes=65_536,
        )
    )  # fmt: skip
    consumer.assign([TopicPartition(sink.topic, p, 0) for p in range(sink.partitions)])
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
