"""Reads files of our own events, one JSON object per line (plain or gzip), to send them again.

In: a file. Out: events in order of `ts`, with their ids; heartbeats (`client.stats`) are left out,
for they speak of a client that is gone. Checked is only what a replay itself needs; whether an
event is a good one is for the stream to say. A line that cannot be replayed is a BadInput that
names file, line, value and what was expected.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamgauge.contracts.bounds import MAX_INT64, MIN_INT64
from streamgauge.contracts.errors import BadInput
from streamgauge.producers.traffic.json_values import parse_json
from streamgauge.producers.traffic.model import Event
from streamgauge.producers.traffic.traces import lines_of

_REQUIRED: tuple[tuple[str, type], ...] = (("v", int), ("id", str), ("type", str), ("ts", int))


@dataclass(frozen=True, slots=True)
class EventFile:
    """The events of a file, sorted by `ts`, in memory. heartbeats: how many were left out."""

    events: list[Event]
    heartbeats: int


def read_events(path: Path) -> EventFile:
    """All events of a file; BadInput for a line that is no event, or if there is none."""
    events: list[Event] = []
    heartbeats = 0
    for number, line in lines_of(path):
        if not line.strip():
            continue
        event = _event(f"{path}:{number}", line)
        if event["type"] == "client.stats":
            heartbeats += 1
        else:
            events.append(event)
    if not events:
        raise BadInput(f"{path}: no events in it", reason="empty")
    events.sort(key=lambda e: e["ts"])  # stable: ties keep the order of the file
    return EventFile(events, heartbeats)


def _event(where: str, line: str) -> Event:
    try:
        value: Any = parse_json(line)
    except ValueError as e:
        raise BadInput(
            f"{where}: found {line[:80]!r}, expected one JSON object ({e})", reason="bad_json"
        ) from None
    if not isinstance(value, dict):
        raise BadInput(f"{where}: found {line[:80]!r}, expected a JSON object", reason="wrong_type")
    for name, kind in _REQUIRED:
        seen = value.get(name)
        if not isinstance(seen, kind) or isinstance(seen, bool):
            raise BadInput(
                f"{where}: {name} is {seen!r}, expected a JSON "
                + ("whole number" if kind is int else "string"),
                reason="wrong_type",
            )
    if not MIN_INT64 <= value["ts"] <= MAX_INT64:
        raise BadInput(
            f"{where}: ts is {str(value['ts'])[:40]}, expected ms since the epoch",
            reason="out_of_bounds",
        )
    return value
