"""Topics, connection settings, errors and clocks."""

from __future__ import annotations

import pytest

from streamgauge.contracts import topics
from streamgauge.contracts.clock import ManualClock
from streamgauge.contracts.errors import (
    BadInput,
    Misconfigured,
    Retryable,
    StreamgaugeError,
    UnknownOutcome,
    Unreachable,
)
from streamgauge.contracts.kafka import KafkaSettings


def test_every_topic_name_carries_its_major_version() -> None:
    assert all(spec.name.endswith(".v1") for spec in topics.REGISTRY)
    assert len({spec.name for spec in topics.REGISTRY}) == len(topics.REGISTRY)


def test_every_topic_is_stamped_by_the_broker() -> None:
    """With event time there, Kafka 4 refuses events over an hour ahead and drops replayed ones."""
    for spec in topics.REGISTRY:
        assert spec.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("spec", [topics.ALERTS, topics.DIRECTIVES, topics.ALERT_COMMANDS])
def test_a_topic_that_holds_state_is_compacted_and_never_deleted(spec: topics.TopicSpec) -> None:
    assert spec.config["cleanup.policy"] == "compact"
    assert "retention.ms" not in spec.config


def test_a_topic_made_anew_is_another_source() -> None:
    assert topics.source_id("llm.events.v1", "Zm9vYmFyLWJheg") == "llm.events.v1@Zm9vYmFy"
    assert topics.source_id("llm.events.v1", "AAAAAAAA-1") != topics.source_id(
        "llm.events.v1", "BBBBBBBB-1"
    )


def test_kafka_settings_pass_librdkafka_names_through() -> None:
    env = {
        "STREAMGAUGE_BOOTSTRAP": "broker:9093",
        "STREAMGAUGE_TOPIC_PREFIX": "acme.",
        "STREAMGAUGE_KAFKA_SASL_PASSWORD": "hunter2",
        "PATH": "/bin",
    }
    settings = KafkaSettings.from_env(env)
    assert settings.librdkafka(group_id="g") == {
        "bootstrap.servers": "broker:9093",
        "sasl.password": "hunter2",
        "group.id": "g",
    }
    assert settings.topic(topics.EVENTS) == "acme.events.v1"
    assert "hunter2" not in repr(settings)


def test_no_kafka_address_is_a_misconfiguration() -> None:
    with pytest.raises(Misconfigured, match="STREAMGAUGE_BOOTSTRAP"):
        KafkaSettings.from_env({})


@pytest.mark.parametrize(
    ("error", "code"),
    [(Misconfigured("x"), 2), (Unreachable("x"), 3), (UnknownOutcome("x"), 3)],
)
def test_errors_have_the_exit_codes_of_the_command_line(error: StreamgaugeError, code: int) -> None:
    assert error.exit_code == code


def test_what_can_be_tried_again_is_retryable_and_bad_input_is_not() -> None:
    assert isinstance(Unreachable("x"), Retryable)
    assert isinstance(UnknownOutcome("x"), Retryable)
    assert not isinstance(BadInput("x", reason="r"), Retryable)


def test_an_error_shows_its_hint() -> None:
    assert str(Misconfigured("no address", hint="set it")) == "no address (set it)"
    assert str(Misconfigured("no address")) == "no address"


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(1_000)
    clock.sleep(2.5)
    assert (clock.now_ms(), clock.monotonic()) == (3_500, 2.5)
