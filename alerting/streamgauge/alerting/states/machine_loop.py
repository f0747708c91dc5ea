"""Runs the state machine on Kafka: evaluation log in, alerts out, exactly once.

Consume-transform-produce: alerts and the log's offsets are committed in one transaction, so a
`read_committed` subscriber sees each transition once, whatever is killed. Partition p of the log
gives partition p of the alerts, so the owner of a partition restores exactly its own state: the
alerts of partition p (highest seq per fingerprint), and the last steps from the log before the
committed offset. Zombies are fenced by the transactional id and the group's generation.
A topic made anew has another id: state and offsets of its former life are dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from streamgauge.alerting.alert_log import from_record, latest, to_record
from streamgauge.alerting.evaluation_log import LoggedEvaluation, logged
from streamgauge.alerting.kafka_io import (
    Restart,
    commit,
    consumer,
    identities,
    read_back,
    take,
    transactional_producer,
    translated,
)
from streamgauge.alerting.states.machine import RuleState, open_alert, step
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S
from streamgauge.contracts.alerts import Alert, AlertSource
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput, Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import ALERT_EVALS, ALERTS

log = logging.getLogger(__name__)
BATCH = 500
TAIL = 2000
"""Log records before the committed offset that are read for the last step of each rule."""
COMMIT_EVERY_S = 5.0
IDENTITY_EVERY_S = 5.0


@dataclass(slots=True)
class _Owned:
    """State of one partition. position: next offset of the log."""

    rules: dict[str, RuleState]
    position: int


@dataclass(slots=True)
class Counters:
    """What happened since the start, for the health line."""

    records: int = 0
    alerts: int = 0
    skipped: int = 0
    open: dict[int, int] = field(default_factory=dict)


class MachineLoop:
    """One member of the group. `run_once` until told to stop, then `close`."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        instance: str,
        clock: Clock,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """alive: told between calls and while a restore gets on, since that may take long."""
        self._settings = settings
        self._clock = clock
        self._alive = alive
        self._evals, self._alerts = identities(settings, ALERT_EVALS, ALERTS)
        if self._evals.partitions != self._alerts.partitions:
            raise Misconfigured(
                f"{self._evals.name} has {self._evals.partitions} partitions, "
                f"{self._alerts.name} has {self._alerts.partitions}; they must be equal",
                hint="`streamgauge topics check`",
            )
        self.counters = Counters()
        self._owned: dict[int, _Owned] = {}
        group = f"{settings.prefix}alert-machine"
        self._producer: Producer = transactional_producer(settings, f"{group}.{instance}")
        self._consumer: Consumer = consumer(settings, group=group, instance=instance)
        self._broken: Exception | None = None
        self._dirty = False
        self._committed_at = clock.monotonic()
        self._checked_at = clock.monotonic()
        self._consumer.subscribe(
            [self._evals.name],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )

    def run_once(self, timeout_s: float = 0.1) -> int:
        """Take in what has come; the number of records. Raises Fenced, Restart or Unreachable."""
        try:
            messages = take(self._consumer, BATCH, timeout_s)
        except KafkaException as e:
            raise translated(e, "evaluation log") from e
        if self._broken is not None:
            raise self._broken
        made, seen = self._absorb(messages)
        now = self._clock.monotonic()
        if made or (self._dirty and now - self._committed_at > COMMIT_EVERY_S):
            self._publish(made)
        if now - self._checked_at > IDENTITY_EVERY_S:
            self._checked_at = now
            self._alive()
            if identities(self._settings, ALERT_EVALS, ALERTS) != [self._evals, self._alerts]:
                raise Restart("topics were made anew")
        return seen

    @property
    def owned(self) -> dict[int, int]:
        """Partitions owned, each with the next offset of the log."""
        return {p: o.position for p, o in self._owned.items()}

    def close(self) -> None:
        """Commit what was taken in and leave."""
        try:
            if self._dirty and self._broken is None:
                self._publish([])
        finally:
            self._consumer.close()

    def abandon(self) -> None:
        """Leave without committing: after Fenced or Restart."""
        self._owned.clear()
        self._dirty = False
        self._consumer.close()

    def _absorb(self, messages: Iterable[Message]) -> tuple[list[tuple[int, Alert]], int]:
        made: list[tuple[int, Alert]] = []
        seen = 0
        for message in messages:
            error = message.error()
            if error is not None:
                if error.fatal():
                    raise translated(KafkaException(error), "evaluation log")
                log.warning("log_read_failed", extra={"error": error.str()})
                continue
            partition, offset = message.partition(), message.offset()
            owned = self._owned.get(partition) if partition is not None else None
            if owned is None or partition is None or offset is None or offset < owned.position:
                continue
            seen += 1
            owned.position = offset + 1
            self._dirty = True
            self.counters.records += 1
            record = self._parse(message)
            if record is None:
                continue
            src = AlertSource(topic=self._evals.name, partition=partition, offset=offset)
            try:
                state, alerts = step(
                    owned.rules.get(record.rule, RuleState()), record, src=src,
                    append_ms=message.timestamp()[1],
                )  # fmt: skip
            except Exception as e:  # noqa: BLE001 - one record does not take the others down
                self._refused(message, repr(e))
                continue
            owned.rules[record.rule] = state
            made += [(partition, alert) for alert in alerts]
        return made, seen

    def _parse(self, message: Message) -> LoggedEvaluation | None:
        try:
            return logged(message.value() or b"", message.timestamp()[1])
        except BadInput as e:
            self._refused(message, e.message)
            return None

    def _refused(self, message: Message, why: str) -> None:
        self.counters.skipped += 1
        where = {"partition": message.partition(), "offset": message.offset()}
        log.error("evaluation_refused", extra={**where, "why": why})

    def _publish(self, made: list[tuple[int, Alert]]) -> None:
        producer = self._producer
        offsets = [
            TopicPartition(self._evals.name, p, o.position, metadata=self._evals.id)
            for p, o in sorted(self._owned.items())
        ]
        if not offsets:
            return
        try:
            producer.begin_transaction()
            for partition, alert in made:
                value, headers = to_record(alert)
                producer.produce(
                    self._alerts.name, value, key=alert.fingerprint, partition=partition,
                    headers=list(headers),
                )  # fmt: skip
            self._alive()
            producer.send_offsets_to_transaction(
                offsets, self._consumer.consumer_group_metadata(), CALL_TIMEOUT_S
            )
            commit(producer, alive=self._alive)
        except KafkaException as e:
            raise translated(e, "publishing alerts") from e
        except BufferError as e:
            raise Restart("the producer's queue is full") from e
        self._dirty = False
        self._committed_at = self._clock.monotonic()
        self.counters.alerts += len(made)
        self.counters.open = {
            p: sum(open_alert(a) for s in o.rules.values() for a in s.alerts.values())
            for p, o in self._owned.items()
        }

    def _assigned(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            start = [self._restore(member, p.partition) for p in partitions]
        except Exception as e:  # noqa: BLE001 - librdkafka swallows what a callback raises
            self._broken = e
            member.assign([])
            return
        member.assign(start)
        log.info(
            "partitions_assigned", extra={"partitions": sorted(p.partition for p in partitions)}
        )

    def _revoked(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            if self._dirty and self._broken is None:
                self._publish([])
        except Exception as e:  # noqa: BLE001 - as above; run_once raises it
            self._broken = e
        self._lost(member, partitions)

    def _lost(self, member: Consumer, partitions: list[TopicPartition]) -> None:
        for p in partitions:
            self._owned.pop(p.partition, None)

    def _restore(self, member: Consumer, partition: int) -> TopicPartition:
        """Read the partition's state back; returns where to go on in the log."""
        found = member.committed([TopicPartition(self._evals.name, partition)], CALL_TIMEOUT_S)[0]
        if found.error is not None:
            raise Unreachable(f"committed offset of partition {partition}: {found.error.str()}")
        valid = found.offset >= 0 and found.metadata in (None, "", self._evals.id)
        alerts = latest(self._alerts_of(partition))
        rules: dict[str, RuleState] = {}
        for alert in alerts.values():
            state = rules.get(alert.rule, RuleState())
            rules[alert.rule] = RuleState(
                state.last_step_ms, {**state.alerts, alert.fingerprint: alert}
            )
        position = found.offset if valid else 0
        if position > 0:
            for message in read_back(
                self._settings, self._evals.name, partition, clock=self._clock,
                start=max(0, position - TAIL), end=position, alive=self._alive,
            ):  # fmt: skip
                record = self._parse(message)
                if record is not None and record.final:
                    state = rules.get(record.rule, RuleState())
                    last = max(state.last_step_ms, record.step_ms)
                    rules[record.rule] = replace(state, last_step_ms=last)
        self._owned[partition] = _Owned(rules, position)
        return TopicPartition(self._evals.name, partition, position if valid else OFFSET_BEGINNING)

    def _alerts_of(self, partition: int) -> Iterable[Alert]:
        for message in read_back(
            self._settings, self._alerts.name, partition, clock=self._clock, alive=self._alive
        ):
            value = message.value()
            if value is None:
                continue
            try:
                yield from_record(value)
            except BadInput as e:
                log.error("alert_refused", extra={"offset": message.offset(), "why": e.message})
