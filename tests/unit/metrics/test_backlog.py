"""What waits for a flush is bounded by events and by bytes, and so is what a fetch unpacks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streamgauge.stream_processors.core.backlog import Backlog
from streamgauge.stream_processors.core.chunk_transport import (
    DRAIN_BYTES,
    RECORD_BYTES,
    BareRecords,
    BoundedResult,
)
from streamgauge.stream_processors.core.chunks import Chunk

KIB = 1024


def chunk(n: int, size: int | None) -> Chunk:
    value = None if size is None else b"x" * size
    return Chunk("t@1", 0, 0, n, range(n), [value] * n, [0] * n, frozenset())


def backlog() -> Backlog:
    return Backlog(flush_events=1_000, flush_bytes=KIB * KIB, most_events=2_500)


async def due(waiting: Backlog) -> bool:
    try:
        await asyncio.wait_for(waiting.wait_due(60), 0.02)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    ("n", "size", "is_due", "full"),
    [
        (999, KIB, False, False),
        (1_000, KIB, True, False),
        (16, 64 * KIB, True, False),  # fat events: long before there are a thousand
        (15, 64 * KIB, False, False),
        (48, 64 * KIB, True, True),
        (2_500, 10, True, True),
        (2_499, None, True, False),  # tombstones
    ],
)
def test_a_flush_is_due_and_reading_waits_by_events_or_by_bytes(
    n: int, size: int | None, is_due: bool, full: bool
) -> None:
    async def body() -> None:
        waiting = backlog()
        waiting.add(chunk(n, size))
        assert (await due(waiting), waiting.full) == (is_due, full)
        waiting.clear()
        assert (waiting.events, waiting.bytes, waiting.full) == (0, 0, False)

    asyncio.run(body())


def test_control_records_alone_are_a_step() -> None:
    async def body() -> None:
        waiting = backlog()
        waiting.add(chunk(0, None))
        assert waiting.events == 1

    asyncio.run(body())


def test_a_reader_waits_until_the_flush_took_it_or_until_its_epoch_is_over() -> None:
    async def body() -> None:
        waiting, epoch = backlog(), [1]
        waiting.add(chunk(3_000, 10))
        reader = asyncio.create_task(waiting.wait_room(lambda: epoch[0] == 1))
        await asyncio.sleep(0.01)
        assert not reader.done()
        waiting.clear()
        await asyncio.wait_for(reader, 1)
        waiting.add(chunk(3_000, 10))
        epoch[0] = 2
        await asyncio.wait_for(waiting.wait_room(lambda: epoch[0] == 1), 1)

    asyncio.run(body())


# -- what a fetch unpacks --------------------------------------------------------------------------

TP = TopicPartition("t", 0)


def fetched(batches: list[list[bytes | None]]) -> tuple[BoundedResult, Any]:
    """A fetch with these batches, each compressed by gzip."""
    raw, offset = b"", 0
    for values in batches:
        builder = DefaultRecordBatchBuilder(2, 1, False, -1, -1, -1, 2**31 - 1)
        for i, value in enumerate(values):
            builder.append(i, timestamp=0, key=None, value=value, headers=[])
        batch = bytearray(builder.build())
        batch[0:8] = offset.to_bytes(8, "big")
        raw += bytes(batch)
        offset += len(values)
    state = SimpleNamespace(position=0, paused=False)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    records = BareRecords(TP, MemoryRecords(raw), [], 0, None, None, False, 1)
    result = BoundedResult(TP, assignment=assignment, partition_records=records, backoff=0)
    return result, state


def drain(result: BoundedResult) -> list[Any]:
    BoundedResult.left = DRAIN_BYTES
    found: list[Any] = result.getall()
    return found


def test_a_fetch_that_unpacks_to_a_hundred_times_its_size_comes_in_parts() -> None:
    size, n = 64 * KIB, 1_000
    result, state = fetched([[b"x" * size] * 100] * (n // 100))
    most = DRAIN_BYTES // (size + RECORD_BYTES) + 1
    offsets: list[int] = []
    while result.has_more():
        records = drain(result)
        assert len(records) <= most
        offsets += [r.offset for r in records]
        assert state.position == len(offsets)  # what is told matches what was given
    assert offsets == list(range(n))


def test_what_is_spent_on_one_partition_is_not_there_for_the_next() -> None:
    first, _ = fetched([[b"x" * DRAIN_BYTES]])
    second, state = fetched([[b"y" * KIB] * 10])
    assert len(drain(first)) == 1
    assert second.getall() == []  # in the same drain
    assert second.has_more()
    assert state.position == 0
    assert len(drain(second)) == 10
    assert not second.has_more()


def test_tombstones_count_too() -> None:
    n = DRAIN_BYTES // RECORD_BYTES + 5_000
    result, _ = fetched([[None] * n])
    assert len(drain(result)) < n
    assert len(drain(result)) >= 5_000 - 1
