"""Wires traffic together: source, model, incidents, time, Kafka. The package's public functions.

In: what to send, where, how fast. Out: messages on the events topic, progress, an exact report.
Everything that decides something is pure and elsewhere in this package; here are the loops.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamgauge.contracts.bounds import HEARTBEAT_MS, KEY_SPAN
from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.producers.traffic import incidents as planting
from streamgauge.producers.traffic.catalog import APPS
from streamgauge.producers.traffic.drive import CLOSE_S, Traffic, drive, stop_on_interrupt
from streamgauge.producers.traffic.incidents import Kind
from streamgauge.producers.traffic.model import Event, events_for
from streamgauge.producers.traffic.ndjson import read_events
from streamgauge.producers.traffic.reports import OnProgress, SendReport, TrafficReport
from streamgauge.producers.traffic.sender import Sender
from streamgauge.producers.traffic.simulator import Curve, simulate_rows
from streamgauge.producers.traffic.texts import Content, load_texts
from streamgauge.producers.traffic.timeline import (
    END_AGO_MS,
    heartbeat_every,
    shift_to_now,
    with_heartbeats,
)
from streamgauge.producers.traffic.traces import (
    SHIPPED,
    Format,
    detect,
    read_trace,
    shipped_trace,
)

DEFAULT_TAIL_S = 120.0
MAX_DURATION_S = 10 * 365 * 86_400.0


def replay(
    source: str | Path,
    kafka: KafkaSettings,
    *,
    speed: float = 60.0,
    seed: int = 1,
    own_times: bool = False,
    incidents: Iterable[Kind | str] = (),
    truth: Path | None = None,
    texts: Path | None = None,
    content: Content = "full",
    tail_s: float = DEFAULT_TAIL_S,
    progress: OnProgress | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> TrafficReport:
    """Send a recorded trace, or a file of our own events, as if it happened now.

    source: `azure` or `mooncake` (shipped with the package), or the path of an Azure, Mooncake or
        Alibaba GenAI trace or of an NDJSON file of our events; plain or gzip, the format is found
        out. Files are held in memory, about 2 KB an event.
    speed: event time runs so many times as fast as the clock; 0 = as fast as it goes.
    seed: of everything that a trace lacks, and of the incidents (model.py, incidents.py).
    own_times: keep the file's times; else they are shifted by whole minutes so that the last event
        ends 2 to 3 minutes ago.
    incidents: kinds to plant (incidents.parse_kinds reads `all`, `none` or a list of names); only
        into traces. truth: where to write what was planted, before the first event is sent.
    texts: file of prompts and answers to join (texts.py); content: `full`, or `redacted` by the
        client's redaction.
    tail_s: event seconds by which the last heartbeats carry the clock on after the last event, so
        that the last windows close: lateness, a pane and the longest `for`. Over 4 minutes an alert
        on silence is right to fire for every app.
    progress: called about four times a second.

    Ctrl-C (in the main thread) or setting `stop` ends the run after what was sent has been
    confirmed; the report says `interrupted`. A second Ctrl-C does not wait.
    Raises BadInput (a line of the file), Misconfigured (file, topic, no room for incidents),
    Unreachable (Kafka). Messages that Kafka refused are counted in the report.
    """
    clock = clock or SystemClock()
    run = uuid.uuid4().hex[:16]
    kinds = tuple(Kind(kind) for kind in incidents)
    name, events = _load(source, seed, run, texts, content, bool(kinds))
    first, last = events[0]["ts"], events[-1]["ts"]
    end_ago_ms = max(END_AGO_MS, int(tail_s * 1000))
    shift = 0 if own_times else shift_to_now(last, clock.now_ms(), end_ago_ms=end_ago_ms)
    for event in events:
        event["ts"] += shift
    plan = planting.plan_incidents(seed, first + shift, last + shift, APPS, kinds)
    if truth is not None:
        planting.write_truth(truth, plan, seed)
    events = list(planting.apply_incidents(events, plan, seed, run=run))
    traffic = Traffic(name, run, seed, shift, tuple(plan), total=len(events), end_ms=last + shift)
    items = with_heartbeats(
        events,
        tail_ms=int(tail_s * 1000),
        every_ms=heartbeat_every(last - first),
    )
    return drive(items, traffic, kafka, speed, progress, clock, stop)


def simulate(
    kafka: KafkaSettings,
    *,
    rate: float = 5.0,
    duration_s: float | None = 3600.0,
    live: bool = False,
    speed: float = 60.0,
    seed: int = 1,
    curve: Curve = "day",
    start_ms: int | None = None,
    incidents: Iterable[Kind | str] = (),
    truth: Path | None = None,
    texts: Path | None = None,
    content: Content = "full",
    tail_s: float = DEFAULT_TAIL_S,
    progress: OnProgress | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> TrafficReport:
    """Send made-up traffic of 8 apps and 3 tenants (simulator.py says how it is made up).

    rate: mean requests a second. curve: `day` (busiest at 15 o'clock UTC) or `flat`.
    duration_s: event seconds; None = without end (live only).
    live: times are now and the speed is 1; else the traffic ends 2 to 3 minutes ago, or begins at
        start_ms (ms since the epoch), and is sent at `speed` (0 = as fast as it goes).
    incidents: kinds to plant; they need a duration of 44 minutes or more.
    The rest, the errors and Ctrl-C are as with `replay`; live traffic has no tail.
    """
    clock = clock or SystemClock()
    if duration_s is None and not live:
        raise Misconfigured(
            "traffic without end can only be sent live", hint="add --live, or give a --duration"
        )
    if duration_s is not None and not 0 < duration_s <= MAX_DURATION_S:
        raise Misconfigured(
            f"duration is {duration_s} s, expected above 0 and at most {MAX_DURATION_S:.0f}"
        )
    kinds = tuple(Kind(kind) for kind in incidents)
    if kinds and duration_s is None:
        raise Misconfigured("incidents need an end of the traffic", hint="give a duration")
    run = uuid.uuid4().hex[:16]
    now = clock.now_ms()
    span = None if duration_s is None else int(duration_s * 1000)
    if live:
        begin, speed, tail_s = now, 1.0, 0.0
    elif start_ms is not None:
        begin = start_ms
    else:
        end_ago_ms = max(END_AGO_MS, int(tail_s * 1000))
        begin = shift_to_now(span or 0, now, end_ago_ms=end_ago_ms)
    end = None if span is None else begin + span
    pool = load_texts(texts, seed, content=content) if texts else None
    events = events_for(
        simulate_rows(seed, begin, duration_ms=span, rate=rate, curve=curve),
        seed,
        source="simulator",
        run=run,
        texts=pool,
    )
    plan = [] if end is None else planting.plan_incidents(seed, begin, end, APPS, kinds)
    if truth is not None:
        planting.write_truth(truth, plan, seed)
    traffic = Traffic("simulator", run, seed, 0, tuple(plan), total=None, end_ms=end)
    items = with_heartbeats(
        planting.apply_incidents(events, plan, seed, run=run),
        start_ms=begin,
        tail_ms=int(tail_s * 1000),
        every_ms=HEARTBEAT_MS if span is None or live else heartbeat_every(span),
    )
    return drive(items, traffic, kafka, speed, progress, clock, stop)


def send(
    lines: Iterable[str | bytes],
    kafka: KafkaSettings,
    *,
    raw: bool = False,
) -> SendReport:
    """Send NDJSON lines as they are, one message each; empty lines are skipped.

    A line that is no JSON object is not sent but named in the report, unless `raw` sends anything.
    Whether an event is a good one is for the stream to say. A line with `producer_id` and `seq`
    gets the contract's key, so a repeated one lands in the same partition. Errors and Ctrl-C as
    with `replay`.
    """
    stop = threading.Event()
    sender = Sender(kafka, uuid.uuid4().hex[:16], stop)
    refused: list[tuple[int, str]] = []
    count = 0
    with stop_on_interrupt(stop):
        for number, line in enumerate(lines, start=1):
            if stop.is_set():
                break
            value = (line.encode("utf-8", "replace") if isinstance(line, str) else line).strip()
            if not value:
                continue
            count += 1
            key, fault = _key_of(value)
            if fault and not raw:
                refused.append((number, fault))
            else:
                sender.send_raw(value, key)
        sender.flush()
        unconfirmed = sender.close(CLOSE_S)
    counts = sender.counts
    return SendReport(
        sender.topic, count, counts.delivered, counts.failed, unconfirmed, counts.first_error,
        tuple(refused), stop.is_set(),
    )  # fmt: skip


def _load(
    source: str | Path, seed: int, run: str, texts: Path | None, content: Content, planted: bool
) -> tuple[str, list[Event]]:
    """Name and events, in order of `ts`, of a source."""
    name = str(source)
    shipped = next((form for form in SHIPPED if form == name), None)
    if shipped is None and not Path(source).is_file():
        raise Misconfigured(
            f"no traffic named {name!r}",
            hint=f"expected {', '.join(SHIPPED)} or the path of a file that can be read",
        )
    path = shipped_trace(shipped) if shipped else Path(source)
    form = shipped or detect(path)
    if form is Format.NDJSON:
        if planted or texts:
            raise Misconfigured(
                f"{name} holds events, which are sent as they are: no incidents, no texts",
                hint="those go into traces and simulations",
            )
        return path.name, read_events(path).events
    if planted and form is Format.ALIBABA:
        raise Misconfigured(f"{name} has one app only: incidents need an app each")
    pool = load_texts(texts, seed, content=content) if texts else None
    rows = sorted(read_trace(path, form), key=lambda row: row.arrival_ms)
    events = list(events_for(rows, seed, source=form.value, run=run, texts=pool))
    if not events:
        raise Misconfigured(f"{name} has no requests")
    return form.value, events


def _key_of(value: bytes) -> tuple[bytes | None, str]:
    """(message key or None, what is wrong with the line or "").

    The key is the contract's, else the event's id: one sent again meets its twin in one partition.
    """
    try:
        event = json.loads(value)
    except (ValueError, RecursionError) as e:
        return None, f"found {value[:80]!r}, expected one JSON object ({e})"
    if not isinstance(event, dict):
        return None, f"found {value[:80]!r}, expected a JSON object"
    producer, seq = event.get("producer_id"), event.get("seq")
    if isinstance(producer, str) and isinstance(seq, int):
        return _as_key(f"{producer}:{seq // KEY_SPAN}"), ""
    own_id = event.get("id")
    return (_as_key(own_id) if isinstance(own_id, str) else None), ""


def _as_key(text: str) -> bytes:
    """The stream takes a lone surrogate in a name, so it must not end the sending."""
    return text.encode("utf-8", "replace")


def known_sources() -> Sequence[str]:
    """Names that `replay` takes beside paths."""
    return tuple(form.value for form in SHIPPED)
