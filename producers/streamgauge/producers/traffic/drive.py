"""The loop that sends traffic: waits for each item's time, counts, tells progress, stops cleanly.

In: events and beats in order of time, a speed. Out: messages on Kafka and the report of the run.
Not here: what the items are (run.py wires that), how a message is made (sender.py).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.producers.traffic.incidents import Incident
from streamgauge.producers.traffic.model import Event
from streamgauge.producers.traffic.reports import OnProgress, Progress, TrafficReport
from streamgauge.producers.traffic.sender import Sender
from streamgauge.producers.traffic.timeline import Beat, Pacer

PROGRESS_S = 0.25
NAP_S = 0.1
CLOSE_S = 15.0


@contextmanager
def stop_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C sets `stop` instead of breaking in anywhere, so that counts stay exact.

    A second Ctrl-C raises KeyboardInterrupt. Outside the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


@dataclass(slots=True)
class Traffic:
    """A run: what is known before, and what is counted on the way."""

    source: str
    run: str
    seed: int
    shift_ms: int
    incidents: tuple[Incident, ...]
    total: int | None
    end_ms: int | None
    events: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    clock_ms: int | None = None

    def count(self, event: Event) -> None:
        """One more event was sent."""
        self.events += 1
        if self.first_ms is None:
            self.first_ms = event["ts"]
        self.last_ms = event["ts"]
        if event["type"] == "llm.request":
            self.requests += 1
            self.input_tokens += _tokens(event, "input_tokens")
            self.output_tokens += _tokens(event, "output_tokens")


def _tokens(event: Event, name: str) -> int:
    """What is no number in somebody's file is for the stream to refuse, and no sum here."""
    value = event.get(name)
    return value if isinstance(value, int) else 0


def drive(
    items: Iterator[Event | Beat],
    traffic: Traffic,
    kafka: KafkaSettings,
    speed: float,
    progress: OnProgress | None,
    clock: Clock,
    stop: threading.Event | None = None,
) -> TrafficReport:
    """Send the items, each in its time, until they end or `stop` is set (Ctrl-C sets it too)."""
    if speed < 0:
        raise Misconfigured(f"speed is {speed}, expected 0 (unpaced) or above")
    stop = stop or threading.Event()
    sender = Sender(kafka, traffic.run, stop)
    pacer = Pacer(clock, speed)
    told = began = clock.monotonic()
    with stop_on_interrupt(stop):
        for item in items:
            ts = item.ts if isinstance(item, Beat) else item["ts"]
            wait = pacer.wait_s(ts)
            while wait > 0 and not stop.is_set():
                sender.poll()
                clock.sleep(min(wait, NAP_S))
                told = _tell(progress, traffic, pacer, ts, wait, told, clock)
                wait = pacer.wait_s(ts)
            if stop.is_set():
                break
            if isinstance(item, Beat):
                if sender.beat(ts):
                    traffic.clock_ms = ts
            else:
                sender.send(item)
                traffic.count(item)
            told = _tell(progress, traffic, pacer, ts, wait, told, clock)
        sender.flush()
        unconfirmed = sender.close(CLOSE_S)
    _tell(progress, traffic, pacer, traffic.clock_ms or 0, 0.0, told - PROGRESS_S, clock)
    counts = sender.counts
    return TrafficReport(
        source=traffic.source,
        producer_id=traffic.run,
        seed=traffic.seed,
        topic=sender.topic,
        partitions=sender.partitions,
        events=traffic.events,
        requests=traffic.requests,
        heartbeats=counts.heartbeats,
        delivered=counts.delivered,
        failed=counts.failed,
        unconfirmed=unconfirmed,
        first_error=counts.first_error,
        bytes=counts.bytes,
        input_tokens=traffic.input_tokens,
        output_tokens=traffic.output_tokens,
        first_ms=traffic.first_ms,
        last_ms=traffic.last_ms,
        clock_ms=traffic.clock_ms,
        shift_ms=traffic.shift_ms,
        wall_s=clock.monotonic() - began,
        interrupted=stop.is_set(),
        incidents=traffic.incidents,
    )


def _tell(
    progress: OnProgress | None,
    traffic: Traffic,
    pacer: Pacer,
    ts: int,
    wait: float,
    told: float,
    clock: Clock,
) -> float:
    """Report progress if it is time; when it was last done."""
    now = clock.monotonic()
    if progress is None or now - told < PROGRESS_S:
        return told
    elapsed = pacer.elapsed_s()
    progress(
        Progress(
            sent=traffic.events,
            total=traffic.total,
            event_ms=ts,
            end_ms=traffic.end_ms,
            per_s=traffic.events / elapsed if elapsed > 0 else 0.0,
            elapsed_s=elapsed,
            behind_s=max(0.0, -wait),
        )
    )
    return now
