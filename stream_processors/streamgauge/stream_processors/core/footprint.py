"""How a worker process treats memory: allocators and Python's cycle collector.

- Arrow's own allocator keeps what a flush used; the system's gives it back and is no slower.
- glibc gives each thread an arena of its own, and what one has freed another cannot use. ARENAS
  are shared instead, which takes no longer.
- By count of new objects the cycle collector runs hundreds of times a second while a fetch is
  unpacked, and each time it looks at whatever waits for a flush, for next to no cycles. So it is
  off, and the worker asks for it: each tick what is new since the last one, each minute everything.

In: `settle` once per process, `Collector.tick` once a second. Not here: when to tick (worker.py),
how much may wait (backlog.py).
"""

from __future__ import annotations

import ctypes
import gc

import pyarrow as pa

ARENAS = 2
FULL_EVERY = 60
"""Ticks from one look at everything to the next."""
_M_ARENA_MAX = -8  # of glibc's malloc.h


def settle() -> None:
    """Choose allocators; no more collections but those of a `Collector`.

    What is loaded now is never looked at by the cycle collector.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # only glibc has it
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
    gc.collect()
    gc.freeze()
    gc.disable()


class Collector:
    """Counts ticks and collects."""

    def __init__(self) -> None:
        self._ticks = 0

    def tick(self) -> None:
        """Collect the young, now and then everything."""
        self._ticks += 1
        gc.collect(2 if self._ticks % FULL_EVERY == 0 else 1)
