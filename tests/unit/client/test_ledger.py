"""Nothing is lost uncounted: accepted = sent + dropped + waiting, whatever the sink does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from streamgauge.producers import Client, Drop, Stats
from streamgauge.producers._buffer import Buffer
from streamgauge.producers._counts import AFTER_SEQ, BEFORE_SEQ, MEANING
from streamgauge.producers.testing import MemorySink, recording

CALL: dict[str, Any] = {"model": "gpt-4o-mini", "provider": "openai", "duration_ms": 12.5}


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def balanced(stats: Stats) -> bool:
    return stats.accepted == stats.sent + sum(stats.dropped.values()) + stats.queue_events


def seqs(sink: MemorySink) -> list[int]:
    return [json.loads(value)["seq"] for _, value in sink.records]


def test_every_event_is_numbered_without_gaps_and_keyed_by_blocks_of_1024() -> None:
    with recording(heartbeat_s=3600) as sent:
        for _ in range(3000):
            sent.client.log(**CALL)
        assert sent.client.flush(10) == 0
        producer_id = sent.stats.producer_id
    assert seqs(sent.sink) == list(range(1, 3002))  # and the goodbye heartbeat
    for (key, _), seq in zip(sent.sink.records, seqs(sent.sink), strict=True):
        assert key == f"{producer_id}:{seq // 1024}".encode()


def test_a_full_queue_drops_exactly_what_does_not_fit() -> None:
    sink = MemorySink(capacity=10)
    sink.hold = True
    client = Client(app="shop", sink=sink, queue_events=100, heartbeat_s=3600)
    client.log(**CALL)
    until(lambda: len(sink._pending) == 1)
    for _ in range(10):  # nine fill the sink; the tenth is held by the worker
        client.log(**CALL)
    until(lambda: client.stats().last_seq == 11)
    for _ in range(250):
        client.log(**CALL)
    stats = client.stats()
    assert (stats.accepted, stats.sent, stats.queue_events) == (261, 0, 111)
    assert stats.dropped == {"queue_events": 150}
    assert balanced(stats)
    sink.hold = False
    assert client.flush(10) == 0
    stats = client.stats()
    assert (stats.sent, stats.queue_events, stats.last_seq) == (111, 0, 111)
    assert balanced(stats)
    client.close()
    assert seqs(sink) == list(range(1, 113))


def test_a_queue_is_bounded_by_bytes_too() -> None:
    sink = MemorySink(capacity=0)
    client = Client(app="shop", sink=sink, queue_bytes=1_000_000, heartbeat_s=3600)
    for i in range(1000):
        client.log(**CALL, input_text=f"{i} " + "x" * 10_000)
    stats = client.stats()
    assert 900 < stats.dropped["queue_bytes"] < 950  # some 90 of 11 kB fit
    assert stats.queue_bytes <= 1_000_000 + 12_000  # and the one that the worker holds
    assert balanced(stats)
    client.close(0)


def test_counts_are_exact_under_many_threads() -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink, queue_events=500, heartbeat_s=3600)

    def log_many() -> None:
        for _ in range(2000):
            client.log(**CALL)

    threads = [threading.Thread(target=log_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(20) == 0
    client.close()
    stats = client.stats()
    assert stats.accepted == 16_001  # and the goodbye
    assert stats.sent == len(sink.records)
    assert balanced(stats)
    assert seqs(sink) == list(range(1, len(sink.records) + 1))


def test_the_worker_outlives_a_sink_that_raises() -> None:
    class Broken(MemorySink):
        def send(self, key: bytes, value: bytes, done: Any) -> None:
            if b'"seq":2' in value:
                raise RuntimeError("broken")
            super().send(key, value, done)

    sink = Broken()
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    for _ in range(3):
        client.log(**CALL)
    client.close()
    assert seqs(sink) == [1, 3, 4]
    assert client.stats().dropped == {"delivery_failed": 1}
    assert client.stats().problems["sink"] == 1


@pytest.mark.parametrize("reason", sorted(AFTER_SEQ))
def test_events_lost_at_delivery_are_counted_by_reason(reason: Drop) -> None:
    with recording(heartbeat_s=3600) as sent:
        sent.sink.refuse = reason
        for _ in range(5):
            sent.client.log(**CALL)
        assert sent.client.flush(10) == 0
        stats = sent.stats
        assert stats.dropped == {str(reason): 5}
        assert stats.last_seq == 5
        assert balanced(stats)


def test_flush_is_bounded_and_says_how_many_are_left() -> None:
    sink = MemorySink()
    sink.hold = True
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    for _ in range(7):
        client.log(**CALL)
    start = time.monotonic()
    assert client.flush(0.3) == 7
    assert 0.3 <= time.monotonic() - start < 0.6
    sink.hold = False
    assert client.flush(5) == 0
    client.close()


def test_flush_does_not_wait_for_what_is_logged_after_it_began() -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    stop = threading.Event()

    def keep_logging() -> None:
        while not stop.is_set():
            client.log(**CALL)
            time.sleep(0.0005)

    thread = threading.Thread(target=keep_logging)
    thread.start()
    try:
        for _ in range(20):
            assert client.flush(5) == 0
    finally:
        stop.set()
        thread.join()
        client.close()


def test_flush_waits_for_an_event_that_was_held_back_when_it_began() -> None:
    sink = MemorySink(capacity=0)
    sink.hold = True
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    client.log(**CALL)
    until(lambda: client.stats().last_seq == 1)  # held by the worker
    left: list[int] = []
    thread = threading.Thread(target=lambda: left.append(client.flush(0.5)))
    thread.start()
    time.sleep(0.1)  # the flush has begun
    sink.capacity = 1  # the event goes to the sink, which does not deliver it
    thread.join()
    assert left == [1]
    sink.hold = False
    assert client.flush(5) == 0
    client.close()


@pytest.mark.parametrize("timeout", [None, "soon", float("nan"), -1, [], 10**400, True])
def test_a_strange_timeout_neither_raises_nor_waits_for_ever(timeout: Any) -> None:
    with recording() as sent:
        sent.client.log(**CALL)
        assert sent.client.flush(timeout) == 0


def test_a_mask_that_hangs_blocks_neither_log_nor_flush_nor_close() -> None:
    release = threading.Event()

    def hang(text: str) -> str:
        release.wait(30)
        return text

    sink = MemorySink()
    client = Client(app="shop", sink=sink, mask=hang, queue_events=10, heartbeat_s=3600)
    start = time.monotonic()
    for _ in range(50):
        client.log(**CALL, input_text="text")
    assert client.flush(0.2) > 0
    client.close(0.2)
    assert time.monotonic() - start < 2
    release.set()
    until(lambda: sink.closed)
    stats = client.stats()
    assert balanced(stats)
    assert stats.queue_events == 0


def test_flush_from_inside_the_mask_does_not_wait_for_itself() -> None:
    client: Client

    def mask(text: str) -> str:
        client.flush(5)
        return text

    client = Client(app="shop", sink=MemorySink(), mask=mask, heartbeat_s=3600)
    client.log(**CALL, input_text="text")
    start = time.monotonic()
    assert client.flush(5) == 0
    assert time.monotonic() - start < 2
    client.close()


def test_close_out_of_time_counts_what_it_gives_up() -> None:
    sink = MemorySink(capacity=5)
    sink.hold = True
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    for _ in range(20):
        client.log(**CALL)
    start = time.monotonic()
    assert client.close(0.2) == 20
    assert time.monotonic() - start < 1.5
    stats = client.stats()
    assert stats.dropped == {"purged": 6, "closed": 14}  # 5 in the sink, 1 held; 14 not numbered
    assert stats.last_seq == 6
    assert balanced(stats)
    assert sink.closed


def test_what_a_sink_never_answers_for_is_unconfirmed() -> None:
    class Silent(MemorySink):
        def purge(self) -> None:
            pass

    sink = Silent()
    sink.hold = True
    client = Client(app="shop", sink=sink, heartbeat_s=3600)
    for _ in range(3):
        client.log(**CALL)
    assert client.flush(0.1) == 3
    assert client.close(0.1) == 4  # with the goodbye
    assert client.stats().dropped == {"unconfirmed": 4}


def test_a_fault_of_the_client_itself_loses_the_event_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(fields: dict[str, Any]) -> int:
        raise RuntimeError("a bug")

    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    with monkeypatch.context() as patch:
        patch.setattr("streamgauge.producers._pipe.freeze_fields", broken)
        assert client.log(**CALL) != ""
    assert client.stats().dropped == {"internal": 1}
    assert client.stats().problems == {"internal": 1}
    client.log(**CALL)
    client.close()
    assert client.stats().sent == 2


def test_logging_after_close_is_counted_and_a_second_close_does_nothing() -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    client.log(**CALL)
    assert client.close() == 0
    assert client.close() == 0
    client.log(**CALL)
    client.feedback("x", name="thumbs", value=1)
    assert client.stats().dropped == {"after_close": 2}
    assert len(sink.records) == 2
    assert balanced(client.stats())


def test_the_heartbeat_tells_the_truth_about_loss_and_open_calls() -> None:
    with recording(heartbeat_s=0.2) as sent:
        sent.client.log(model="m")  # type: ignore[call-arg]  # no duration: invalid
        sent.client.log(**CALL)
        with sent.client.track(model="slow") as call:
            call.first_token()
            until(lambda: bool(sent.of_type("client.stats")))
            beat = sent.of_type("client.stats")[0]
    assert beat["dropped"] == {"invalid": 1}
    assert beat["accepted"] == beat["sent"] + 1 + beat["queue_events"] == 3
    assert beat["last_seq"] == beat["seq"] == 2
    assert beat["open_calls"] == 1
    (open_call,) = beat["open"]
    assert (open_call["call_id"], open_call["model"], open_call["first_token"]) == (
        call.id,
        "slow",
        True,
    )
    assert 0 < open_call["age_ms"] == beat["open_oldest_ms"] < 5000
    goodbye = json.loads(sent.sink.records[-1][1])
    assert goodbye["type"] == "client.stats"
    assert goodbye["open_calls"] == 0
    assert goodbye["last_seq"] == len(sent.sink.records)


def test_a_client_that_was_never_used_sends_nothing_and_starts_no_thread() -> None:
    before = threading.active_count()
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    assert threading.active_count() == before
    client.close()
    assert sink.records == []


def test_a_finalizer_or_signal_handler_that_logs_while_logging_does_not_deadlock() -> None:
    """The same thread enters the queue again while it holds the lock."""
    buffer: Buffer[str] = Buffer(max_events=10, max_bytes=1000)
    with buffer._lock:
        assert buffer.offer("inner", 1)
    assert buffer.waiting == 1


def test_every_reason_has_a_meaning_and_one_group() -> None:
    assert set(MEANING) == set(Drop)
    assert not BEFORE_SEQ & AFTER_SEQ
