"""Writes the alerts topic into the table `alerts`, each record exactly once.

The rule of all sinks: a flush is one block with its positions; where to go on is what the table
says, not what Kafka's group has committed. In: partitions of the alerts topic. Out: blocks.
A store that does not answer is waited for; a refused block means that another writer was faster:
positions are read again. Not here: making alerts (machine_loop.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streamgauge.alerting.alert_log import from_record
from streamgauge.alerting.kafka_io import (
    SESSION_TIMEOUT_MS,
    Restart,
    consumer,
    identities,
    translated,
)
from streamgauge.alerting.settings import AlertSettings
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S
from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput, Retryable
from streamgauge.contracts.records import from_ms
from streamgauge.contracts.topics import ALERTS, source_id
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import Block, InsertOutcome, SinkWriter, build_block

log = logging.getLogger(__name__)
TABLE = "alerts"
FLUSH_ROWS = 5000
MARKER_EVERY_S = 10.0
IDENTITY_EVERY_S = 5.0


class HistoryWriter:
    """`run_once` until told to stop, then `close`. A second one is refused, not doubled."""

    def __init__(
        self, settings: AlertSettings, *, clock: Clock, alive: Callable[[], None] = lambda: None
    ) -> None:
        """alive: told between calls."""
        self._settings = settings
        self._alive = alive
        self._clock = clock
        (self._topic,) = identities(settings.kafka, ALERTS)
        self._src = source_id(self._topic.name, self._topic.id)
        self._writer = SinkWriter(
            settings.store,
            instance=f"history-{settings.instance}",
            session_timeout_s=SESSION_TIMEOUT_MS / 1000,
            patience_s=CALL_TIMEOUT_S,
        )
        self._consumer: Consumer = consumer(
            settings.kafka, group=f"{settings.kafka.prefix}alert-history"
        )
        self._stored: dict[int, int] | None = None
        self._rows: list[dict[str, Any]] = []
        self._next: dict[int, int] = {}
        self._block: Block | None = None
        self._flushed_at = self._checked_at = clock.monotonic()
        self.written = 0

    def run_once(self, timeout_s: float = 0.2) -> int:
        """Take in what has come and flush it; returns rows stored. Raises Restart, Unreachable."""
        if self._stored is None and not self._position():
            self._clock.sleep(timeout_s)
            return 0
        now = self._clock.monotonic()
        if now - self._checked_at > IDENTITY_EVERY_S:
            self._checked_at = now
            if identities(self._settings.kafka, ALERTS) != [self._topic]:
                raise Restart("the alerts topic was made anew")
            self._alive()
        if self._block is None:
            self._read(timeout_s)
        self._alive()
        return self._flush()

    def close(self) -> None:
        """Flush once more and leave."""
        try:
            if self._stored is not None:
                self._flush()
        finally:
            self._consumer.close()
            self._writer.close()

    def _position(self) -> bool:
        """Go to where the table ends; False if the store does not answer."""
        try:
            stored = self._writer.high_water(TABLE)
        except Retryable as e:
            log.warning("history_waits", extra={"why": str(e)})
            return False
        self._stored = {p: stored.get(f"{self._src}/{p}", 0) for p in range(self._topic.partitions)}
        self._rows, self._block = [], None
        self._next = dict(self._stored)
        self._consumer.assign(
            [TopicPartition(self._topic.name, p, n) for p, n in self._stored.items()]
        )
        return True

    def _read(self, timeout_s: float) -> None:
        try:
            messages = self._consumer.consume(FLUSH_ROWS, timeout_s)
        except KafkaException as e:
            raise translated(e, "alerts topic") from e
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if message.error() is not None or partition is None or offset is None:
                continue
            if offset < self._next[partition]:
                continue
            self._next[partition] = offset + 1
            row = self._row(message, partition, offset)
            if row is not None:
                self._rows.append(row)

    def _row(self, message: Message, partition: int, offset: int) -> dict[str, Any] | None:
        value = message.value()
        if value is None:
            return None
        try:
            alert = from_record(value)
        except BadInput as e:
            log.error(
                "alert_refused", extra={"partition": partition, "offset": offset, "why": e.message}
            )
            return None
        return {"src": self._src, "partition": partition, "offset": offset, **row_of(alert, value)}

    def _flush(self) -> int:
        assert self._stored is not None, "positioned"
        now = self._clock.monotonic()
        if self._block is None:
            moved = {p for p, n in self._next.items() if n != self._stored[p]}
            if not self._rows and (now - self._flushed_at < MARKER_EVERY_S or not moved):
                return 0
            expected = {f"{self._src}/{p}": self._stored[p] for p in sorted(moved)}
            after = {f"{self._src}/{p}": self._next[p] for p in sorted(moved)}
            self._block = build_block(
                TABLE, table_of(self._rows), written_on=from_ms(self._clock.now_ms()).date(),
                expected=expected, next=after,
            )  # fmt: skip
        try:
            outcome = self._writer.insert(self._block)
        except Retryable as e:
            log.warning("history_waits", extra={"why": str(e)})
            self._clock.sleep(0.5)
            return 0
        n, self._rows, self._block = self._block.rows, [], None
        self._flushed_at = now
        if outcome is InsertOutcome.REFUSED:
            self._stored = None
            return 0
        self._stored = dict(self._next)
        self.written += n
        return n


def row_of(alert: Alert, record: bytes) -> dict[str, Any]:
    """Columns of the table from an alert and its bytes."""
    return {
        "tenant": alert.labels.get("tenant", ""),
        "t": alert.updated_at,
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "rule_kind": alert.kind,
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "seq": alert.seq,
        "epoch": alert.epoch,
        "episode": alert.episode,
        "status": str(alert.status),
        "transition": str(alert.transition),
        "reason": alert.reason or "",
        "severity": str(alert.severity),
        "level": alert.level or "",
        "app": alert.labels.get("app", ""),
        "team": alert.labels.get("team", ""),
        "labels": list(alert.labels.items()),
        "annotations": list(alert.annotations.items()),
        "value": alert.value,
        "threshold": alert.threshold,
        "unit": alert.unit or "",
        "window_start": alert.window.start if alert.window else None,
        "window_end": alert.window.end if alert.window else None,
        "starts_at": alert.starts_at,
        "fired_at": alert.fired_at,
        "ends_at": alert.ends_at,
        "event_time": alert.event_time,
        "late_by_ms": alert.late_by_ms,
        "flapping": alert.flapping,
        "no_data": alert.no_data,
        "stale": alert.stale,
        "incomplete": alert.incomplete,
        "exemplars": [
            {"event_id": e.event_id, "trace_id": e.trace_id or "", "value": e.value}
            for e in alert.exemplars
        ],
        "evidence": json.dumps(alert.evidence, sort_keys=True),
        "query": alert.query or "",
        "runbook_url": alert.runbook_url or "",
        "record": record.decode("utf-8", "replace"),
    }


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with the table's column types."""
    fields = [f for f in TABLES[TABLE].schema if f.name not in ("kind", "written_on", "next")]
    return pa.table({f.name: pa.array([r[f.name] for r in rows], f.type) for f in fields})
