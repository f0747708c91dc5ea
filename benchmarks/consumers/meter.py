"""What a consumer measures of itself, from its first batch to its last insert.

CPU is that of the whole process, all threads. One JSON line on stdout when `total` events landed.
"""

from __future__ import annotations

import json
import os
import resource
import time


class Meter:
    """Counts events that are in the store."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.landed_n = 0
        self._began: tuple[float, float] | None = None
        self._last: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        """The first batch is in hand."""
        if self._began is None:
            self._began = (time.perf_counter(), time.process_time())

    def landed(self, n: int) -> bool:
        """So many more are stored; True when all are."""
        self.landed_n += n
        self._last = (time.perf_counter(), time.process_time())
        return self.landed_n >= self.total

    def close(self) -> None:
        """Print the line and end the process, whatever threads it still has."""
        assert self._began is not None
        wall, cpu = (last - first for last, first in zip(self._last, self._began, strict=True))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        line = {"events": self.landed_n, "wall_s": wall, "cpu_s": cpu}
        print(json.dumps(line | {"rss_mb": usage.ru_maxrss / 1024}), flush=True)
        os._exit(0)
