"""What a worker remembers after a restart is what the stated horizon says, no less and no more.

The horizon is of this test: the last 50 offsets of a partition, and of these the newest 3 runs of
numbers and the last 10 ids; the queries and the memory of the worker are its own.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.reading import dedup
from streamgauge.stream_processors.reading import recall as recalling
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.settings import WorkerSettings
from tests.support.sinks import SRC, put

__all__ = ["put"]  # a fixture of this file
pytestmark = pytest.mark.clickhouse

OFFSETS, INTERVALS, IDS = 50, 3, 10
POSITION = 120
TS = datetime(2026, 2, 1, tzinfo=UTC)


class Event(NamedTuple):
    """What is remembered of an event."""

    offset: int
    producer_id: str
    seq: int | None
    id: str


def event(offset: int) -> Event:
    """In turn: p numbers without gaps, q with gaps, and two do not number."""
    if offset % 4 == 0:
        return Event(offset, "p", offset // 4 + 1, f"e{offset}")
    if offset % 4 == 1:
        return Event(offset, "q", offset, f"e{offset}")
    return Event(offset, "" if offset % 4 == 2 else "r", None, f"e{offset}")


ELSEWHERE = [Event(100, "p", 500, "numbered"), Event(101, "", None, "not numbered")]
LOG = [event(offset) for offset in range(POSITION + 12)]
"""`events` is ahead of the position: another table lacks the last of them."""
# In the last 50 offsets, 70 to 119, p has 72, 76, .. 116, one run; q 73, 77, .. 117, each a run.
# The newest three runs end at 117, 116 and 113; the last ten ids are of 102, 103, 106, .. 119.
REMEMBERED = {*range(72, 117, 4), 113, 117, *(o for o in range(102, 120) if o % 4 > 1)}


@pytest.fixture
def settings(store: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """Of a worker whose horizon is short."""
    for module in (dedup, recalling):
        monkeypatch.setattr(module, "SEQ_HORIZON", OFFSETS)
        monkeypatch.setattr(module, "ID_HORIZON", IDS)
        monkeypatch.setattr(module, "INTERVALS_KEPT", INTERVALS)
    return WorkerSettings(KafkaSettings("nowhere:1", "t."), store)


@pytest.fixture
def stored(put: Any) -> None:
    """The log in `events`, in two blocks; other partitions and sources hold other events."""
    for half in (LOG[: POSITION // 2], LOG[POSITION // 2 :]):
        put("events", [{"src": SRC, "partition": 0, "ts": TS} | e._asdict() for e in half])
    for src, partition in ((SRC, 1), (f"{SRC}2", 0)):
        rows = [{"src": src, "partition": partition, "ts": TS} | e._asdict() for e in ELSEWHERE]
        put("events", rows, key=f"{src}/{partition}")


def repeats(seen: Seen, events: list[Event]) -> set[int]:
    """Offsets of the events that it would drop if they came now, each on its own."""
    return {
        e.offset
        for e in events
        if not deepcopy(seen).first_time(e.producer_id, e.seq, e.id, POSITION)
    }


@pytest.mark.usefixtures("stored")
def test_memory_after_a_restart_is_the_horizon_and_goes_on_as_one_that_never_stopped(
    settings: WorkerSettings,
) -> None:
    memory = recalling.recall(settings, {f"{SRC}/0": POSITION, f"{SRC}/2": 0})
    restored, live = memory.seen[f"{SRC}/0"], Seen()
    assert repeats(restored, LOG) == REMEMBERED
    assert repeats(restored, ELSEWHERE) == set()
    assert repeats(memory.seen[f"{SRC}/2"], LOG) == set(), "nothing was read of it"

    assert live.repeats(*columns(LOG[:POSITION])) == []
    assert repeats(live, LOG) >= REMEMBERED, "a worker that goes on remembers it, too"
    ids = [e for e in LOG if e.seq is None]
    assert repeats(live, ids) == repeats(restored, ids), "ids to the last one"

    # New events come, then repeats of them and of older ones that the horizon still has.
    new = LOG[POSITION:]
    again = [event(offset) for offset in (112, 116, 118, 119, 120, 122, 124, 125, 128, 129, 131)]
    events = [e._replace(offset=POSITION + i) for i, e in enumerate([*new, *again])]
    expected = list(range(len(new), len(events)))
    assert restored.repeats(*columns(events)) == live.repeats(*columns(events)) == expected


def columns(
    events: list[Event],
) -> tuple[list[str], list[int | None], list[str], list[int]]:
    """As `Seen.repeats` takes them."""
    return (
        [e.producer_id for e in events],
        [e.seq for e in events],
        [e.id for e in events],
        [e.offset for e in events],
    )
