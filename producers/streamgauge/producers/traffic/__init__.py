"""Traffic to test, show and benchmark with: real traces replayed, made-up traffic, incidents.

    from streamgauge.contracts.kafka import KafkaSettings
    from streamgauge.producers.traffic import parse_kinds, replay

    kafka = KafkaSettings("localhost:9092")
    report = replay("azure", kafka, speed=60, incidents=parse_kinds("all"))
    assert report.ok

`replay(source, kafka, ...)` sends a trace or a file of our events, `simulate(kafka, ...)` made-up
traffic, `send(lines, kafka)` NDJSON lines as they are. Each returns a report with exact counts.
`plan_incidents`, `apply_incidents`, `read_truth` and `events_for` are the pure parts. All of it
needs the base install only.
"""

from streamgauge.producers.traffic.incidents import (
    ALL_KINDS,
    Incident,
    Kind,
    apply_incidents,
    parse_kinds,
    plan_incidents,
    read_truth,
    write_truth,
)
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.reports import Progress, SendReport, TrafficReport
from streamgauge.producers.traffic.run import known_sources, replay, send, simulate
from streamgauge.producers.traffic.traces import Format, TraceRow, read_trace, shipped_trace

__all__ = [
    "ALL_KINDS",
    "Format",
    "Incident",
    "Kind",
    "Progress",
    "SendReport",
    "TraceRow",
    "TrafficReport",
    "apply_incidents",
    "events_for",
    "known_sources",
    "parse_kinds",
    "plan_incidents",
    "read_trace",
    "read_truth",
    "replay",
    "send",
    "shipped_trace",
    "simulate",
    "write_truth",
]
