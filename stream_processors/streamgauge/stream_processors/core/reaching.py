"""A worker's first look at Kafka and the store: waits for whatever is away, for a while.

In: connections, the thread for calls that block. Out: reached, or told to stop. Later on a worker
waits for ever (flusher.py, worker.py): then it has something to lose.
"""

from __future__ import annotations

import asyncio
import logging
import time

from streamgauge.contracts.errors import Retryable
from streamgauge.stream_processors.core.connections import Connections
from streamgauge.stream_processors.core.daemon import DaemonThread
from streamgauge.stream_processors.core.health import Vitals

log = logging.getLogger(__name__)

START_S = 30.0
LOOK_S = 0.5


async def reach(
    outside: Connections, thread: DaemonThread, vitals: Vitals, stop: asyncio.Event
) -> bool:
    """True once Kafka, its topics and the store answer; False if told to stop before they did.

    Raises Misconfigured (no such topic), or Retryable after START_S.
    """
    deadline, said = time.monotonic() + START_S, ""
    while True:
        attempt = asyncio.ensure_future(thread.run(outside.reach))
        while not attempt.done():
            vitals.beat()
            if stop.is_set():
                return False
            await asyncio.wait({attempt}, timeout=LOOK_S)
        try:
            attempt.result()
            return True
        except Retryable as e:  # a proxy before a store that is away cuts connections
            if time.monotonic() > deadline:
                raise
            if str(e) != said:
                said = str(e)
                log.warning("waiting", extra={"error": said})
            await asyncio.sleep(1)
