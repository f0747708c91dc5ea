"""The dry run: prints each event that would leave, one JSON line on stderr, and sends nothing."""

from __future__ import annotations

import sys

from streamgauge.producers._sink import Done


class ConsoleSink:
    """Writes values as lines to stderr (stdout belongs to the app)."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._introduced = False

    def send(self, key: bytes, value: bytes, done: Done) -> None:
        """Print one event."""
        if not self._introduced:
            self._introduced = True
            print(
                f"streamgauge dry run: nothing is sent; to {self._topic} would go:", file=sys.stderr
            )
        print(value.decode(), file=sys.stderr, flush=True)
        done(None, len(value))

    def poll(self, timeout_s: float) -> None:
        """Nothing is ever pending."""

    def purge(self) -> None:
        """Nothing is ever pending."""

    def close(self) -> None:
        """Nothing to free."""
