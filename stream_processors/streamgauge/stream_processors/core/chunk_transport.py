"""Faust's Kafka transport, changed in one thing: a stream gets runs of messages, not messages.

Per message Faust costs about 80 us (two tasks, locks, acks); per run of hundreds it costs nothing
that can be measured. One `Run` = what one fetch brought for one partition, cut at RUN_MESSAGES.

What else differs from Faust's own consumer, on purpose:

- `read_committed`. Positions come from aiokafka's own position after the fetch, so control records,
  aborted transactions and compacted records are skipped without a trace (Faust's gap bookkeeping,
  which can commit too far, is never used).
- Nothing is fetched from a partition before `open_at` says where from: the store knows that, not
  Kafka's committed offset. Every `open_at` has an epoch; runs of an older one are not delivered.
- A log that retention has cut is seen (`auto.offset.reset=none`): the run says how many were lost.
- What is unpacked at once is bounded in bytes (DRAIN_BYTES), however far a fetch was compressed.
- Commits are first in, first out: only the longest acknowledged prefix of what was delivered.
- A failed commit is no reason to die: the committed offset is a hint.

Written for faust-streaming 0.15.3 and aiokafka 0.14; a contract test holds the private names.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, Message

log = logging.getLogger(__name__)

RUN_MESSAGES = 1000
DRAIN_BYTES = 8 * 1024 * 1024
"""Unpacked at once, all partitions together; one batch of a producer may go beyond it."""
RECORD_BYTES = 100
"""A record without its payload: tombstones, too, take memory."""
POLL_S = 0.25
FETCH_WAIT_MS = 500


@dataclass(slots=True)
class Run:
    """Messages of one partition in offset order, as fetched.

    base, next: reading position before and after. lost: offsets below the log's start that were
    never read. end: the partition's last stable offset as of this fetch, None if unknown.
    records: aiokafka's records (offset, value, timestamp); emptied by `release` once absorbed, so
    that a message that waits for its commit holds no payload.
    """

    tp: TP
    epoch: int
    base: int
    next: int
    lost: int
    end: int | None
    records: list[Any]

    def release(self) -> None:
        """Give the payload back."""
        self.records = []

    def pieces(self, size: int) -> Iterator[Run]:
        """The same run in parts of at most `size` messages."""
        if len(self.records) <= size:
            yield self
            return
        base, lost = self.base, self.lost
        for start in range(0, len(self.records), size):
            part = self.records[start : start + size]
            last = start + size >= len(self.records)
            after = self.next if last else part[-1].offset + 1
            yield Run(self.tp, self.epoch, base, after, lost, self.end, part)
            base, lost = after, 0


@dataclass(slots=True)
class _Cursor:
    epoch: int
    position: int


class BareRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is not typed here
    """aiokafka's unpacking of a fetched partition without its wrapper around each record.

    A record has `offset`, `value` and `timestamp`, which is all that is read; making the wrapper
    costs as much as all else that is done in the fetch thread.
    """

    def _consumer_record(self, tp: TP, record: Any) -> Any:
        return record


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka is not typed here
    """aiokafka's drain of a fetched partition; stops when the drain under way has its bytes.

    A fetch of 1 MiB may hold a hundred times as much. The rest waits, packed, for the next drain.
    """

    left = DRAIN_BYTES
    """Of the drain under way; the fetch thread of the process's one consumer sets it."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records; none once the bytes are spent. `max_records` is never given."""
        left = BoundedResult.left
        if left <= 0 or not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        found = []
        for record in self._partition_records:
            found.append(record)
            left -= RECORD_BYTES + len(record.value or b"")
            if left <= 0:
                break
        self._update_position()
        if left > 0:
            self._partition_records: Any = None
        BoundedResult.left = left
        return found


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer. `_cursors` is touched in its loop only."""

    def __post_init__(self) -> None:
        """Called by Faust instead of __init__."""
        super().__post_init__()
        self._cursors: dict[TP, _Cursor] = {}
        self._stuck: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        # Its Fetcher takes no other way.
        fetcher.PartitionRecords, fetcher.FetchResult = BareRecords, BoundedResult
        # RecoveryService asks the app's assignor only when there are tables; we have none.
        self._assignor = RoundRobinPartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def open_at(self, positions: Mapping[TP, int], epoch: int) -> bool:
        """Read on from these positions; False if one of them is not ours any more."""
        return bool(await self.call_thread(self._open_at, dict(positions), epoch))

    async def _open_at(self, positions: dict[TP, int], epoch: int) -> bool:
        consumer = self._ensure_consumer()
        self._cursors.clear()
        self._stuck.clear()
        try:
            for tp, offset in positions.items():
                consumer.seek(tp, offset)
        except IllegalStateError:
            return False
        self._cursors = {tp: _Cursor(epoch, offset) for tp, offset in positions.items()}
        return True

    async def close_all(self) -> None:
        """Fetch nothing until the next `open_at`."""
        await self.call_thread(self._close_all)

    async def _close_all(self) -> None:
        self._cursors.clear()

    async def ends(self) -> Mapping[TP, int | None]:
        """Last stable offset of each assigned partition as of its last fetch."""
        result: Mapping[TP, int | None] = await self.call_thread(self._ends)
        return result

    async def _ends(self) -> Mapping[TP, int | None]:
        return {tp: state.lso for tp, state in self._states().items()}

    def _states(self) -> Mapping[TP, Any]:
        subscriptions: SubscriptionState = self._ensure_consumer()._subscription
        assignment = subscriptions.subscription and subscriptions.subscription.assignment
        if not assignment:
            return {}
        return {tp: assignment.state_value(tp) for tp in ensure_TPset(assignment.tps)}

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        wanted = active_partitions & self._cursors.keys()
        if not wanted:
            # fetched_records takes an empty set for "all".
            await asyncio.sleep(POLL_S / 10)
            return {}
        BoundedResult.left = DRAIN_BYTES
        with fetcher._subscriptions.fetch_context():
            try:
                drained = await fetcher.fetched_records(
                    wanted, timeout=min(timeout or POLL_S, POLL_S)
                )
            except OffsetOutOfRangeError as e:
                return await self._out_of_range(consumer, e.args[0])
            except NoOffsetForPartitionError:
                return {}  # assigned a moment ago, before open_at
        # No await between the drain and here: positions and epochs belong to what was drained.
        return self._runs(wanted, drained)

    def _runs(self, wanted: set[TP], drained: Mapping[TP, list[Any]]) -> dict[TP, Run]:
        states = self._states()
        runs: dict[TP, Run] = {}
        for tp in wanted:
            state, cursor = states.get(tp), self._cursors.get(tp)
            if state is None or cursor is None or not state.has_valid_position:
                continue
            records = drained.get(tp, [])
            if records and records[0].offset < cursor.position:
                records = [r for r in records if r.offset >= cursor.position]
            if state.position <= cursor.position:
                continue
            end = state.lso
            runs[tp] = Run(tp, cursor.epoch, cursor.position, state.position, 0, end, records)
            cursor.position = state.position
        return runs

    async def _out_of_range(
        self, consumer: aiokafka.AIOKafkaConsumer, positions: Mapping[TP, int]
    ) -> dict[TP, Run]:
        """The log begins after our position (retention) or ends before it (another log)."""
        epochs = {tp: c.epoch for tp, c in self._cursors.items()}
        begins = await consumer.beginning_offsets(list(positions))
        runs: dict[TP, Run] = {}
        for tp, position in positions.items():
            cursor, begin = self._cursors.get(tp), begins[tp]
            if cursor is None or cursor.epoch != epochs.get(tp) or cursor.position != position:
                continue
            if position < begin:
                consumer.seek(tp, begin)
                lost = begin - position
                runs[tp] = Run(tp, cursor.epoch, position, begin, lost, None, [])
                cursor.position = begin
            else:
                # Deleted and made anew (the worker polls the topic id and will re-open), or
                # truncated by an unclean election: what is below our position is stored already.
                if self._stuck.get(tp) != position:
                    log.error("position_after_log_end", extra={"tp": str(tp), "position": position})
                self._stuck[tp] = position
                await asyncio.sleep(POLL_S)
        return runs

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        mine = self.assignment()
        positions = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in mine
        }
        try:
            await consumer.commit(positions)
        except KafkaError as e:
            log.warning("commit_failed", extra={"error": repr(e)})
            return False
        return True


class ChunkConsumer(driver.Consumer):
    """Consumer that yields one message per run and commits first in, first out."""

    _thread: ChunkConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queue: dict[TP, deque[tuple[ConsumerMessage, int]]] = {}
        self._epoch = 0

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def open_at(self, positions: Mapping[TP, int], epoch: int) -> bool:
        """Read on from these positions and from nowhere else; False if no longer assigned."""
        self._epoch = epoch
        self._queue = {tp: deque() for tp in positions}
        return await self._thread.open_at(positions, epoch)

    async def close_all(self) -> None:
        """Deliver nothing until the next `open_at`."""
        self._epoch = -1
        self._queue.clear()
        await self._thread.close_all()

    async def pause(self) -> None:
        """Fetch nothing more; what was delivered can still be acknowledged and committed."""
        await self._thread.close_all()

    async def ends(self) -> Mapping[TP, int | None]:
        """Last stable offset of each assigned partition, None where no fetch has told it."""
        return await self._thread.ends()

    async def perform_seek(self) -> None:
        """Faust would go to the committed offsets; positions are given by `open_at`."""

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:
        """Yield (partition, message) with a `Run` as the message's value."""
        runs, _ = await self._wait_next_records(timeout)
        if not runs or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, run in cast("Mapping[TP, Run]", runs).items():
            for piece in run.pieces(RUN_MESSAGES):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return  # a rebalance: everything is opened anew after it
                queue = self._queue.get(tp)
                if piece.epoch != self._epoch or queue is None:
                    break
                # Typed as bytes; with a raw serializer and no value_type it is passed through.
                value: Any = piece
                message = ConsumerMessage(
                    tp.topic, tp.partition, piece.next - 1, 0.0, 1, [], None, value, None, 0, 0, tp,
                    generation_id=generation,
                )  # fmt: skip
                self._read_offset[tp] = piece.next - 1
                queue.append((message, piece.next))
                yield tp, message

    def ack(self, message: Message) -> bool:
        """Mark a run as done; committed once all before it are."""
        first = not message.acked
        message.acked = True
        self._unacked_messages.discard(message)
        return first

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._queue) if topics is None or tp in topics)

    def _new_offset(self, tp: TP) -> int | None:
        queue = self._queue.get(tp)
        position = None
        while queue and queue[0][0].acked:
            position = queue.popleft()[1]
        return position


class ChunkTransport(driver.Transport):
    """Give it to a Faust app before it starts: `app.transport = ChunkTransport([url], app)`."""

    Consumer = ChunkConsumer
