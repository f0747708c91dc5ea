"""No broker at the address: the app is neither slowed nor grown, and every loss is counted."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from streamgauge.producers import Client, Stats
from tests.support.client_app import run_app
from tests.support.waiting import until


@pytest.fixture
def dead_address() -> Iterator[str]:
    """A port that is taken and never listened on: every connection is refused."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture
def silent_address() -> Iterator[str]:
    """A listener that accepts and never answers: a broker that hangs from the start."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def balanced(stats: Stats) -> bool:
    return stats.accepted == stats.sent + sum(stats.dropped.values()) + stats.queue_events


@pytest.mark.parametrize("kind", ["dead_address", "silent_address"])
def test_logging_flush_and_close_stay_bounded_without_a_broker(
    kind: str, request: pytest.FixtureRequest
) -> None:
    client = Client(app="shop", bootstrap=request.getfixturevalue(kind), heartbeat_s=3600)
    start = time.monotonic()
    for _ in range(2000):
        client.log(model="m", duration_ms=1, input_text="text")
    assert time.monotonic() - start < 2
    start = time.monotonic()
    assert client.flush(0.5) == 2000
    assert 0.5 <= time.monotonic() - start < 0.9
    start = time.monotonic()
    assert client.close(0.5) == 2001  # with the goodbye
    assert time.monotonic() - start < 1.5
    stats = client.stats()
    assert sum(stats.dropped.values()) == stats.accepted == 2001
    assert stats.queue_events == 0


def test_events_that_are_never_confirmed_are_dropped_in_time_and_counted(
    dead_address: str,
) -> None:
    client = Client(
        app="shop", bootstrap=dead_address, heartbeat_s=3600, kafka={"message.timeout.ms": 500}
    )
    for _ in range(50):
        client.log(model="m", duration_ms=1)
    assert client.flush(10) == 0
    assert client.stats().dropped == {"delivery_timeout": 50}
    client.close(0)


def test_a_full_librdkafka_queue_holds_events_back_and_then_the_caller_drops_exactly(
    dead_address: str,
) -> None:
    client = Client(
        app="shop",
        bootstrap=dead_address,
        queue_events=100,
        heartbeat_s=3600,
        kafka={"queue.buffering.max.messages": 10},
    )
    client.log(model="m", duration_ms=1)
    until(lambda: client.stats().last_seq == 1, "the first event numbered")
    for _ in range(10):
        client.log(model="m", duration_ms=1)
    until(lambda: client.stats().last_seq == 11, "all numbered")  # ten in librdkafka, one held
    for _ in range(400):
        client.log(model="m", duration_ms=1)
    stats = client.stats()
    assert stats.dropped == {"queue_events": 300}
    assert (stats.accepted, stats.queue_events) == (411, 111)
    client.close(0.1)
    stats = client.stats()
    assert stats.dropped == {"queue_events": 300, "closed": 100, "purged": 11}
    assert balanced(stats)


@pytest.mark.slow
def test_memory_stays_bounded_however_long_the_broker_is_away(dead_address: str) -> None:
    """At most 64 MB over the start: 16 MB of queue, 32 MB of librdkafka, and slack."""
    app = """
import resource
init()
log_many(10, "warm")
flush(0.2)
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text = "word " * 400
for i in range(100_000):
    log(model="m", duration_ms=1.0, input_text=text + str(i))
    if i % 5000 == 0:
        flush(0.05)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
s = stats()
print(s.accepted - s.sent - sum(s.dropped.values()) - s.queue_events)
close(0.5)
"""
    run = run_app(app, bootstrap=dead_address, prefix="x.", timeout_s=120)
    grown_mb, unaccounted = run.stdout.split()
    assert int(grown_mb) < 64, run.stderr
    assert int(unaccounted) == 0
    assert "Traceback" not in run.stderr


def test_a_broker_that_is_away_makes_few_log_lines(dead_address: str) -> None:
    """librdkafka would write a line per failed connection to stderr."""
    app = """
import time
init(kafka={"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 10})
log_many(10, "a")
flush(2)
"""
    run = run_app(app, bootstrap=dead_address, prefix="x.", STREAMGAUGE_CLOSE_TIMEOUT_S="0.2")
    assert run.returncode == 0
    assert 1 <= len(run.stderr.splitlines()) <= 8, run.stderr


def test_the_exit_handler_is_bounded_without_a_broker(dead_address: str) -> None:
    start = time.monotonic()
    run = run_app(
        'init()\nlog_many(100, "a")\nprint("done")',
        bootstrap=dead_address,
        prefix="x.",
        STREAMGAUGE_CLOSE_TIMEOUT_S="0.5",
    )
    assert (run.returncode, run.stdout) == (0, "done\n")
    assert time.monotonic() - start < 10
