"""The load's events, prepared so that a sender can render one in a microsecond. Pure.

As benchmarks/load.py has them, but for `id`, `ts` and `seq`, which are filled in when an event is
sent, and for `app`, which says the partition. After ROUND events of a partition the same texts come
again, and the numbers of its clients go on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from benchmarks.load import PRODUCERS, TURN, events

ROUND = TURN * PRODUCERS
"""Events of a partition until its first client sends again."""


def app_of(partition: int) -> str:
    """The app of all events of this partition."""
    return f"app-{partition}"


def template(value: bytes, app: str) -> tuple[bytes, int]:
    """An event as a format of id, ts and seq, and the seq that it has."""
    event = json.loads(value)
    slots = {"app": app, "id": "<id>", "ts": "<ts>", "seq": "<seq>"}
    text = json.dumps(event | slots, separators=(",", ":")).replace("%", "%%")
    for slot, form in (("<id>", "%032x"), ('"<ts>"', "%d"), ('"<seq>"', "%d")):
        text = text.replace(slot, form)
    return text.encode(), event["seq"]


class Events:
    """Event i is for partition i % partitions."""

    def __init__(self, partitions: int, *, seed: int = 1) -> None:
        self._rnd = random.Random(seed)
        self._templates = [
            template(value, app_of(partition))
            for partition, value in events(ROUND * partitions, partitions=partitions, seed=seed)
        ]

    def render(self, begin: int, end: int, ts_ms: int) -> Iterator[bytes]:
        """Events begin to end - 1, that happened at ts_ms."""
        templates, bits = self._templates, self._rnd.getrandbits
        for i in range(begin, end):
            again, which = divmod(i, len(templates))
            text, seq = templates[which]
            yield text % (bits(128), ts_ms, seq + again * TURN)
