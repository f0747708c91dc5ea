"""Faust's own `Stream.take_events(1000)` before the same code.

python -m benchmarks.consumers.take N [by-time]

by-time: what waits is also flushed by time, as the worker does; else by size alone.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import Any

from benchmarks.consumers.meter import Meter
from benchmarks.consumers.sink import Sink
from streamgauge.stream_processors.core.faust_app import WorkerApp
from streamgauge.stream_processors.settings import WorkerSettings


async def run(total: int, *, by_time: bool) -> None:
    """Read until so many events have landed."""
    settings, meter = WorkerSettings.from_env(), Meter(total)
    sink = Sink(settings, meter)
    app = WorkerApp(
        f"take-{uuid.uuid4().hex[:8]}",
        broker="kafka://" + settings.kafka.bootstrap,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
        cython_optimizations=True,
    )
    taken = 0

    async def agent(stream: Any) -> None:
        nonlocal taken
        async for events in stream.take_events(1000, within=0.5):
            messages = [event.message for event in events]
            taken += len(messages)
            sink.take((m.partition, m.offset, m.value, int(m.timestamp * 1000)) for m in messages)
            if taken >= total:
                sink.finish()
                meter.close()

    app.agent(app.topic(sink.topic, key_type=None, value_type=None))(agent)
    app.finalize()
    await app.start()
    await (sink.flush_by_time() if by_time else asyncio.sleep(3600))


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), by_time="by-time" in sys.argv))
