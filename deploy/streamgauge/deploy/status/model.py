"""The snapshot that `streamgauge status` shows: data only."""

from __future__ import annotations

from dataclasses import dataclass, field

DEAD = "dead"
NO_ANSWER = "no answer"
NOT_READY = "not ready"
OTHER_PID = "answers, but not as the process in stack.json"


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process. state: as in stack.json, or what was seen instead: dead, no answer, not ready.

    cpu: cores in use just now; None where it does not run.
    """

    name: str
    state: str
    pid: int | None
    cpu: float | None
    rss_bytes: int | None
    up_s: float | None
    restarts: int
    note: str


@dataclass(frozen=True, slots=True)
class WriterRow:
    """What a writer's last tick says.

    lag: events behind the end of the topic. watermark_ms: event time up to which it has stored;
    None if it has seen nothing yet. tick_age_s: since its last tick, by the wall clock.
    """

    writer: str
    lag: int
    watermark_ms: int | None
    tick_age_s: float
    completeness: float | None


@dataclass(frozen=True, slots=True)
class DiskRow:
    """Bytes of one part of the data folder, and what bounds them."""

    what: str
    bytes: int
    cap: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything `status` shows."""

    home: str
    state: str
    addresses: dict[str, str] = field(default_factory=dict)
    """By name, one value each: kafka, topic_prefix, clickhouse, database ..., <process>_metrics."""
    clock_mode: str = ""
    lateness_s: float = 0.0
    uptime_s: float | None = None
    processes: tuple[ProcessRow, ...] = ()
    writers: tuple[WriterRow, ...] = ()
    disk: tuple[DiskRow, ...] = ()
    free_bytes: int = 0
    toxicity_weights: bool = False
    drift_warming: dict[str, tuple[int, int]] | None = None
    """Apps that drift does not judge yet: windows seen, windows needed. None: it cannot be told."""
    error: str = ""
    rules_problem: str = ""
    """Why the rule files are refused, with the command that tells all; empty if they are good."""
    rules_until_ms: int | None = None
    """Event time up to which every rule has been evaluated; None: none was, or it is unknown."""
    silent: tuple[str, ...] = ()
    """Services that did not answer, Kafka and store, with their address."""

    @property
    def rules_behind_s(self) -> float | None:
        """Event time stored and not judged yet; None if either is unknown."""
        stored = next((w.watermark_ms for w in self.writers if w.writer == "metrics"), None)
        if stored is None or self.rules_until_ms is None:
            return None
        return max(0, stored - self.rules_until_ms) / 1000

    @property
    def ok(self) -> bool:
        """Up, with every process that this installation has, and both services answer."""
        good = all(p.state in ("up", "missing") for p in self.processes)
        return self.state == "up" and good and not self.silent
