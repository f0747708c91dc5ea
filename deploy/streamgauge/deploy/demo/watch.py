"""Follows a running demo on Kafka: which alerts fire, and how far the rules have been evaluated.

In: the alert topic through `AlertSubscriber`, as any user would read it, and the evaluation log.
Out: episodes for the verdict, and the event time up to which every rule has been evaluated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from streamgauge.alerting import AlertSubscriber
from streamgauge.alerting.evaluation.self_alerts import RESERVED_RULES
from streamgauge.contracts import topics
from streamgauge.contracts.alerts import Alert, AlertStatus, Severity, Transition
from streamgauge.contracts.evaluations import EvaluationRecord
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import to_ms
from streamgauge.deploy.demo.verdict import Episode

NO_APP = ""
"""App of an alert about no app: nothing planted explains it."""


def episodes_of(alerts: Iterable[Alert]) -> list[Episode]:
    """What the verdict needs of the records of a topic: one entry per episode that fired."""
    fired: dict[str, Alert] = {}
    paged_ms: dict[str, int] = {}
    for alert in alerts:
        if alert.transition == Transition.FIRED:
            fired.setdefault(alert.episode, alert)
        if alert.status == AlertStatus.FIRING and alert.severity == Severity.PAGE:
            at = to_ms(alert.updated_at)
            paged_ms[alert.episode] = min(at, paged_ms.get(alert.episode, at))
    return [
        Episode(
            rule=alert.rule,
            app=alert.labels.get("app", NO_APP),
            severity=str(alert.severity),
            fired_ms=to_ms(alert.fired_at or alert.updated_at),
            episode=episode,
            paged_ms=paged_ms.get(episode),
        )
        for episode, alert in fired.items()
    ]


class AlertWatch:
    """Collects every alert of the run in a thread, from the beginning of the topic."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.alerts: list[Alert] = []
        self._subscriber = AlertSubscriber(kafka)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            for alert in self._subscriber.iter(timeout=0.5):
                self.alerts.append(alert)
                if self._closing.is_set():
                    break

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join(timeout=5)
        self._subscriber.close()


class EvaluationWatch:
    """How far each rule has been evaluated with the watermark behind it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._topic = kafka.topic(topics.ALERT_EVALS)
        self._consumer = Consumer(
            kafka.librdkafka(
                group_id="streamgauge-demo",
                isolation_level="read_committed",
                enable_partition_eof=True,
            )
        )
        partitions = self._consumer.list_topics(self._topic, timeout=10).topics[self._topic]
        self._partitions = sorted(partitions.partitions)
        self._consumer.assign([TopicPartition(self._topic, p, 0) for p in self._partitions])
        self._machine = Consumer(kafka.librdkafka(group_id=f"{kafka.prefix}alert-machine"))
        self._final_ms: dict[str, int] = {}
        self._next: dict[int, int] = {}
        self._at_end: set[int] = set()

    def evaluated_until_ms(self) -> int | None:
        """Event time up to which every rule has been evaluated; None while the log is unread.

        The engine's alerts about itself go by the wall clock and say nothing here.
        """
        while messages := self._consumer.consume(1000, timeout=0.2):
            for message in messages:
                self._take(message)
        if self._at_end != set(self._partitions):
            return None
        return min(self._final_ms.values(), default=None)

    def _take(self, message: Message) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value()
        error = message.error()
        if partition is None or offset is None:
            return
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(partition)
            return
        self._at_end.discard(partition)
        self._next[partition] = offset + 1
        record = EvaluationRecord.model_validate_json(value or b"")
        if record.final and record.rule not in RESERVED_RULES:
            self._final_ms[record.rule] = max(self._final_ms.get(record.rule, 0), record.step_ms)

    def machine_is_behind(self) -> bool:
        """Whether the state machine has still to take in evaluations that were read here."""
        asked = [TopicPartition(self._topic, p) for p in self._next]
        taken = {t.partition: t.offset for t in self._machine.committed(asked, timeout=10)}
        return any(taken[p] < position for p, position in self._next.items())

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()
        self._machine.close()
