"""Runs that are absorbed and not yet in every table: acknowledged to Kafka once they are.

In: stream events with a Run, the lowest marker. Out: acks; Faust commits them, as a hint only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from faust.types import TP, EventT

from streamgauge.stream_processors.core.chunk_transport import ChunkConsumer, Run


class Acks:
    """In the order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[EventT[Any]] = deque()

    def add(self, event: EventT[Any]) -> None:
        """Its run is in the processor's hands."""
        self._waiting.append(event)

    def clear(self) -> None:
        """These runs will be read again."""
        self._waiting.clear()

    def settle(self, consumer: ChunkConsumer, lowest: Callable[[TP], int]) -> None:
        """Acknowledge what lies below the lowest marker of its partition."""
        waiting: deque[EventT[Any]] = deque()
        for event in self._waiting:
            run = cast(Run, event.value)
            if run.next <= lowest(run.tp):
                event.message.ack(consumer)
            else:
                waiting.append(event)
        self._waiting = waiting
