"""What a consumer measures of itself, from its first batch to its last insert.

CPU is that of the whole process, all threads. One JSON line on stdout when `total` events landed.
Only the standard library: a peer's environment has nothing else of ours.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Literal


class Meter:
    """Counts events that are in the store."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.landed_n = 0
        self._began: tuple[float, float] | None = None
        self._last: tuple[float, float] = (0.0, 0.0)

    @property
    def began(self) -> bool:
        """Whether the first batch is in hand."""
        return self._began is not None

    def begin(self) -> None:
        """The first batch is in hand."""
        if self._began is None:
            self._began = (time.monotonic(), time.process_time())

    def landed(self, n: int) -> bool:
        """So many more are stored; True when all are."""
        self.landed_n += n
        self._last = (time.monotonic(), time.process_time())
        return self.landed_n >= self.total

    def close(self, **more: int) -> None:
        """Print the line, with `more`, and end the process, whatever threads it still has.

        `began_s` is of a clock that all processes of this machine share.
        """
        assert self._began is not None
        wall, cpu = (last - first for last, first in zip(self._last, self._began, strict=True))
        line = {"events": self.landed_n, "began_s": self._began[0], "wall_s": wall, "cpu_s": cpu}
        print(json.dumps(line | {"rss_mb": resident_mb("self", "VmHWM")} | more), flush=True)
        os._exit(0)


def resident_mb(pid: int | str, what: Literal["VmRSS", "VmHWM"]) -> float:
    """Resident memory of a process: now, or its peak since its start.

    rusage would count its parent's, too.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kb,) = (line.split()[1] for line in lines if line.startswith(f"{what}:"))
    return int(kb) / 1024
