"""The cycle collector runs when the worker asks for it, and finds young and old garbage then."""

from __future__ import annotations

import subprocess
import sys

LIFE = """
import gc, weakref
from streamgauge.stream_processors.core.footprint import FULL_EVERY, Collector, settle

class Node:
    pass

def cycle():
    node = Node()
    node.self = node
    return weakref.ref(node), node

settle()
collector = Collector()
young, _ = cycle()
old, held = cycle()
del _
for _ in range(100_000):
    [[]]
assert young() is not None, "a collection by count"
collector.tick()
assert young() is None, "the first tick"
for _ in range(3):
    collector.tick()  # by now what is held is old
del held
collector.tick()
assert old() is not None, "an old cycle, found by a look at the young"
for _ in range(FULL_EVERY):
    collector.tick()
assert old() is None, "the look at everything"
print("as told")
"""


def test_garbage_goes_when_the_worker_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIFE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "as told\n", done.stderr
