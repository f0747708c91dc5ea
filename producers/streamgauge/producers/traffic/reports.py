"""What a traffic run tells while it runs and when it has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamgauge.producers.traffic.incidents import Incident


@dataclass(frozen=True, slots=True)
class Progress:
    """A running replay, told about four times a second.

    sent: events handed to Kafka; total: how many there will be, None if unknown. event_ms: event
    time reached; end_ms: where it ends (None: never). per_s: events a second since the start.
    behind_s: seconds that the run is behind its speed (0 when unpaced).
    """

    sent: int
    total: int | None
    event_ms: int
    end_ms: int | None
    per_s: float
    elapsed_s: float
    behind_s: float


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """What a replay or a simulation did, exactly. Times: event time, ms since the epoch.

    events = all events of the traffic that were sent, requests those of type llm.request;
    heartbeats come on top: events + heartbeats = delivered + failed + unconfirmed. first_ms and
    last_ms: smallest and largest `ts` sent; clock_ms: the last heartbeat. shift_ms: added to the
    file's own times. input_tokens, output_tokens: sums over the requests sent.
    """

    source: str
    producer_id: str
    seed: int
    topic: str
    partitions: int
    events: int
    requests: int
    heartbeats: int
    delivered: int
    failed: int
    unconfirmed: int
    first_error: str
    bytes: int
    input_tokens: int
    output_tokens: int
    first_ms: int | None
    last_ms: int | None
    clock_ms: int | None
    shift_ms: int
    wall_s: float
    interrupted: bool
    incidents: tuple[Incident, ...]

    @property
    def ok(self) -> bool:
        """Everything that was sent has arrived, and nothing stopped the run."""
        return not (self.failed or self.unconfirmed or self.interrupted)


@dataclass(frozen=True, slots=True)
class SendReport:
    """What `send` did. refused: (line number from 1, why) of the lines that were not sent."""

    topic: str
    lines: int
    delivered: int
    failed: int
    unconfirmed: int
    first_error: str
    refused: tuple[tuple[int, str], ...]
    interrupted: bool

    @property
    def ok(self) -> bool:
        """Every line has arrived."""
        return not (self.failed or self.unconfirmed or self.refused or self.interrupted)
