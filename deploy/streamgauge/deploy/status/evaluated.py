"""How far the rules have been evaluated: the end of the evaluation log.

In: the topic `alert-evals.v1`. Out: one event time. Not here: what of it is worth saying (explain).
"""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streamgauge.alerting.evaluation.self_alerts import RESERVED_RULES
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.evaluations import EvaluationRecord
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.topics import ALERT_EVALS
from streamgauge.deploy.clients import reader

DEPTH = 500
"""Records looked back in each partition: more than others write between two of a slow rule."""
WITHIN_S = 3.0


def evaluated_until_ms(settings: KafkaSettings, rules: Collection[str] | None) -> int | None:
    """Event time up to which each of these rules has been evaluated for good; None if none was.

    rules: those in force; None = all that are found. A rule without a record does not count: its
    writer may have said nothing yet. The engine's own go by the wall clock and never count.
    """
    final_ms: dict[str, int] = {}
    for record in _last(settings):
        wanted = record.rule not in RESERVED_RULES and (rules is None or record.rule in rules)
        if record.final and wanted:
            final_ms[record.rule] = max(final_ms.get(record.rule, 0), record.step_ms)
    return min(final_ms.values(), default=None)


def _last(settings: KafkaSettings) -> list[EvaluationRecord]:
    """The last DEPTH records of each partition; as many as could be read in time."""
    topic = settings.topic(ALERT_EVALS)
    consumer = reader(settings, tell_ends=True)
    found: list[EvaluationRecord] = []
    try:
        starts = []
        for partition in consumer.list_topics(topic, timeout=WITHIN_S).topics[topic].partitions:
            at = TopicPartition(topic, partition)
            low, high = consumer.get_watermark_offsets(at, timeout=WITHIN_S) or (0, 0)
            starts.append(TopicPartition(topic, partition, max(low, high - DEPTH)))
        consumer.assign(starts)
        left = {start.partition for start in starts}
        deadline = time.monotonic() + WITHIN_S
        while left and time.monotonic() < deadline:
            for message in consumer.consume(DEPTH, timeout=0.2):
                error = message.error()
                if error is None:
                    found += _record(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found


def _record(message: Message) -> list[EvaluationRecord]:
    try:
        return [parse_record(EvaluationRecord, message.value() or b"")]
    except BadInput:
        return []  # of a newer major: not ours to read
