"""Kafka clients of the commands: read only, commit nothing, say nothing on the terminal.

librdkafka writes its own complaints to stderr; our errors say the same in one line.
"""

from __future__ import annotations

import uuid
from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings


def reader(settings: KafkaSettings, *, tell_ends: bool = False) -> Consumer:
    """A consumer of committed records, in a group of its own that never joins: assign only.

    tell_ends: the end of a partition comes as a message with the error _PARTITION_EOF.
    """
    return Consumer(
        _quiet(settings)
        | {
            "group.id": f"streamgauge-look-{uuid.uuid4().hex[:8]}",
            "enable.auto.commit": False,
            "enable.partition.eof": tell_ends,
            "isolation.level": "read_committed",
        }
    )


def admin(settings: KafkaSettings) -> AdminClient:
    """An admin client; Misconfigured if librdkafka refuses a setting."""
    try:
        return AdminClient(_quiet(settings))
    except KafkaException as error:
        raise Misconfigured(
            f"Kafka settings are not accepted: {error.args[0].str()}",
            hint="STREAMGAUGE_KAFKA_SASL_PASSWORD sets sasl.password, and so on",
        ) from error


def _quiet(settings: KafkaSettings) -> dict[str, Any]:
    return {**settings.librdkafka(), "log_level": 0, "error_cb": lambda _error: None}
