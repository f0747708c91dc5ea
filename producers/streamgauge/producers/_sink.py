"""Where encoded events go: the port that the worker writes to.

Three sinks ship: Kafka (_kafka.py), the dry run (_console.py) and memory (testing.py). All are
called from the worker's thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamgauge.producers._counts import Drop

Done = Callable[[Drop | None, int], None]
"""Called once per event sent: the reason if it was lost, and the size of its value in bytes."""


class SinkFullError(Exception):
    """The sink cannot take more now; the same event is offered again later."""


class Sink(Protocol):
    """Takes encoded events and says later what became of each."""

    def send(self, key: bytes, value: bytes, done: Done) -> None:
        """Take one event, at once. Raises SinkFullError."""

    def poll(self, timeout_s: float) -> None:
        """Call `done` for what is decided; wait at most so long for something to be."""

    def purge(self) -> None:
        """Give up what is not yet delivered, calling `done` for each."""

    def close(self) -> None:
        """Free resources; nothing is sent afterwards."""
