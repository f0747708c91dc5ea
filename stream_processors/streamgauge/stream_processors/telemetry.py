"""Prometheus metrics of the stream workers: every name, kind, unit and meaning. No other module
defines one.

Labels come from closed sets: writer (metrics, scores, drift), table, outcome, reason, key
(`src/partition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app

from streamgauge.contracts.ticks import PartitionProgress

EVENTS = Counter("streamgauge_worker_events_total", "Messages absorbed", ["writer"])
RUNS = Counter("streamgauge_worker_runs_total", "Fetched runs absorbed", ["writer"])
OUTCOMES = Counter(
    "streamgauge_worker_outcomes_total",
    "Offsets by outcome: stored, unknown_type, duplicate, dead, control, lost",
    ["outcome"],
)
REJECTS = Counter("streamgauge_worker_rejects_total", "Dead letters by reason", ["reason"])
ROWS = Counter(
    "streamgauge_worker_rows_total", "Rows that landed in the store", ["writer", "table"]
)
FLUSHES = Counter("streamgauge_worker_flushes_total", "Flushes by result", ["writer", "result"])
FLUSH_SECONDS = Histogram(
    "streamgauge_worker_flush_seconds",
    "From the cut to the last block's answer, seconds",
    ["writer"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSED = Counter(
    "streamgauge_worker_blocks_refused_total",
    "Blocks that the store refused: another writer was first",
    ["writer", "table"],
)
RETRIES = Counter(
    "streamgauge_worker_retries_total", "Attempts that are repeated, by error", ["writer", "error"]
)
RESTARTS = Counter(
    "streamgauge_worker_restarts_total",
    "Times the worker dropped its buffers and started from the markers, by cause",
    ["writer", "cause"],
)
LAG_EVENTS = Gauge("streamgauge_worker_lag_events", "Offsets not stored yet", ["writer", "key"])
LAG_SECONDS = Gauge(
    "streamgauge_worker_lag_seconds",
    "Age of the oldest message not stored yet, by its append time, seconds; 0 if there is none",
    ["writer", "key"],
)
WATERMARK_AGE = Gauge(
    "streamgauge_worker_watermark_age_seconds",
    "Wall time minus the lowest watermark, seconds",
    ["writer"],
)
PENDING = Gauge(
    "streamgauge_worker_pending_events", "Messages absorbed and not flushed", ["writer"]
)
PENDING_BYTES = Gauge(
    "streamgauge_worker_pending_bytes",
    "Bytes of the messages absorbed and not flushed",
    ["writer"],
)
READY = Gauge("streamgauge_worker_ready", "1 if /readyz answers 200, else 0", ["writer"])
ASSIGNED = Gauge("streamgauge_worker_partitions", "Source partitions owned", ["writer"])


def show_progress(
    writer: str,
    progress: Mapping[str, PartitionProgress],
    ages_s: Mapping[str, float],
    oldest_ms: int | None,
    now_ms: int,
) -> None:
    """Lag and age of the watermark, as a tick tells them. ages_s: lag by partition, seconds."""
    for key, p in progress.items():
        LAG_EVENTS.labels(writer, key).set(p.lag)
        LAG_SECONDS.labels(writer, key).set(ages_s[key])
    if oldest_ms is not None:
        WATERMARK_AGE.labels(writer).set((now_ms - oldest_ms) / 1000)


def forget_progress() -> None:
    """Partitions that are no longer ours have no lag; the next tick shows those that are."""
    LAG_EVENTS.clear()
    LAG_SECONDS.clear()


def show_run(writer: str, events: int, pending: int, pending_bytes: int) -> None:
    """A run of so many messages was absorbed; what waits for the next flush now."""
    EVENTS.labels(writer).inc(events)
    RUNS.labels(writer).inc()
    PENDING.labels(writer).set(pending)
    PENDING_BYTES.labels(writer).set(pending_bytes)


def show_flush(writer: str, result: str, rows: Mapping[str, int], seconds: float) -> None:
    """How a flush ended, and the rows that landed by table."""
    FLUSHES.labels(writer, result).inc()
    FLUSH_SECONDS.labels(writer).observe(seconds)
    for table, n in rows.items():
        ROWS.labels(writer, table).inc(n)


def wsgi_app() -> Any:
    """A WSGI application that tells them all in Prometheus' format."""
    return make_wsgi_app()
