"""What the engine makes of an error of Kafka."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from streamgauge.alerting.kafka_io import Fenced, translated
from streamgauge.contracts.errors import Misconfigured, Unreachable


def of(code: int) -> Exception:
    return translated(KafkaException(KafkaError(code)), "evaluation log")


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    ],
)
def test_refusal_by_an_acl_is_not_told_as_a_successor(code: int) -> None:
    error = of(code)
    assert isinstance(error, Misconfigured)
    assert "does not allow" in str(error)
    assert "needs" in error.hint


def test_a_successor_fences_and_a_silent_broker_is_unreachable() -> None:
    assert isinstance(of(KafkaError.INVALID_PRODUCER_EPOCH), Fenced)
    assert isinstance(of(KafkaError._TIMED_OUT), Unreachable)
