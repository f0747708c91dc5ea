"""chunk_transport.py stands on private names of faust-streaming and aiokafka: here they are.

When one of these fails after an upgrade, read the new source before touching the transport.
"""

from __future__ import annotations

import inspect

import aiokafka
import faust
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import (
    Assignment,
    Subscription,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.record.default_records import DefaultRecord
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streamgauge.stream_processors.core.chunk_transport import (
    BareRecords,
    BoundedResult,
    ChunkConsumer,
    ChunkConsumerThread,
)


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_every_method_that_the_transport_overrides_exists_with_its_parameters() -> None:
    for ours, theirs in (
        (ChunkConsumer, driver.Consumer),
        (ChunkConsumerThread, driver.AIOKafkaConsumerThread),
    ):
        own = {n for n in vars(ours) if callable(vars(ours)[n]) and not n.startswith("__")}
        overridden = {n for n in own if hasattr(theirs, n)}
        for name in overridden:
            assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name
    assert {"getmany", "ack", "_new_offset", "_filter_tps_with_pending_acks", "perform_seek"} <= {
        n for n in vars(ChunkConsumer) if hasattr(driver.Consumer, n)
    }
    assert {"_create_worker_consumer", "_fetch_records", "_commit", "__post_init__"} <= {
        n for n in vars(ChunkConsumerThread) if hasattr(driver.AIOKafkaConsumerThread, n)
    }


def test_the_base_consumer_still_works_the_way_the_overrides_expect() -> None:
    drain = inspect.getsource(BaseConsumer._drain_messages)
    assert "getmany(timeout=" in drain
    assert "get_read_offset(tp)" in drain
    commit = inspect.getsource(BaseConsumer.force_commit) + inspect.getsource(
        BaseConsumer._filter_committable_offsets
    )
    assert "_filter_tps_with_pending_acks" in commit
    assert "_new_offset(tp)" in commit
    for name in ("_wait_next_records", "_unacked_messages", "_read_offset"):
        assert name in inspect.getsource(BaseConsumer), name
    assert "self.consumer" in inspect.getsource(driver.AIOKafkaConsumerThread)
    assert "call_thread" in inspect.getsource(driver.AIOKafkaConsumerThread)


def test_a_drain_awaits_nothing_between_the_first_record_and_its_return() -> None:
    """Positions and epochs are read right after it and must belong to what it returned."""
    source = inspect.getsource(Fetcher.fetched_records)
    loop = source[source.index("for tp in list(self._records.keys())") :]
    before_return = loop[: loop.index("if drained or not timeout:")]
    assert "await" not in before_return


def test_aiokafka_keeps_positions_where_the_transport_reads_them() -> None:
    for name in ("position", "has_valid_position", "seek"):
        assert hasattr(TopicPartitionState, name)
    assert "self.lso" in inspect.getsource(TopicPartitionState)
    assert hasattr(Assignment, "state_value")
    assert hasattr(Assignment, "tps")
    assert hasattr(SubscriptionState, "fetch_context")
    assert hasattr(Subscription, "assignment")
    assert "OffsetOutOfRangeError({tp: fetch_offset})" in inspect.getsource(Fetcher)
    for name in ("seek", "commit", "beginning_offsets"):
        assert hasattr(aiokafka.AIOKafkaConsumer, name)


def test_faust_and_aiokafka_partitions_are_equal_keys() -> None:
    assert TP("t", 1) == TopicPartition("t", 1)
    assert hash(TP("t", 1)) == hash(TopicPartition("t", 1))


def test_a_message_is_acknowledged_once_its_last_reader_is_done() -> None:
    source = inspect.getsource(ConsumerMessage.on_final_ack)
    assert "consumer.ack(self)" in source
    assert "_create_directories" in inspect.getsource(faust.App)


def test_fetched_records_are_unpacked_by_a_class_that_can_be_replaced() -> None:
    assert "PartitionRecords(" in inspect.getsource(fetcher.Fetcher)
    assert "self._consumer_record(tp, record)" in inspect.getsource(
        fetcher.PartitionRecords._unpack_records
    )
    assert parameters(fetcher.PartitionRecords._consumer_record) == parameters(
        BareRecords._consumer_record
    )
    for name in ("offset", "value", "timestamp"):
        assert hasattr(DefaultRecord, name)


def test_a_drain_of_a_partition_can_stop_early_and_go_on_later() -> None:
    """BoundedResult stops when the bytes of a drain are spent."""
    assert parameters(fetcher.FetchResult.getall) == parameters(BoundedResult.getall)
    theirs = inspect.getsource(fetcher.FetchResult)
    for name in ("_topic_partition", "_partition_records", "_update_position", "check_assignment"):
        assert name in theirs, f"aiokafka's FetchResult has no {name} any more"
    assert "return self._partition_records is not None" in theirs, "has_more means something else"
    source = inspect.getsource(fetcher.Fetcher)
    assert "= FetchResult(" in source, "the Fetcher makes its results another way"
    drain = inspect.getsource(fetcher.Fetcher.fetched_records)
    assert "type(res_or_error) is FetchResult" in drain, "a subclass would be taken for an error"
    kept = drain[drain.index("getall(max_records)") :]
    assert kept.index("has_more()") < kept.index("del self._records[tp]"), "a rest would be lost"


def test_a_partition_whose_rest_waits_is_not_fetched_again() -> None:
    actions = inspect.getsource(fetcher.Fetcher._get_actions_per_node)
    assert "if tp in self._records:" in actions, "what is fetched and not taken has no bound"


def test_the_app_has_what_the_worker_asks_of_it() -> None:
    for name in ("consumer_generation_id", "crash_reason", "should_stop", "on_partitions_assigned"):
        assert name in inspect.getsource(faust.App) or hasattr(faust.App, name), name
    stream = inspect.getsource(faust.streams.Stream)
    for name in ("enable_acks", "current_event"):
        assert name in stream, f"a Faust stream has no {name} any more"
