"""Topics on a real broker: made from the registry, compared with it; settings passed through."""

from __future__ import annotations

import time

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import ALERTS, EVENTS, REGISTRY, TICKS
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.topics import check_topics, create_topics, remove_topics
from tests.support.kafka import TestKafka

pytestmark = pytest.mark.kafka


def test_created_topics_are_as_the_registry_says(kafka: TestKafka, topic_prefix: str) -> None:
    settings = kafka.settings(topic_prefix)
    created = create_topics(settings)
    assert created == sorted(settings.topic(spec) for spec in REGISTRY)
    assert check_topics(settings) == []
    assert create_topics(settings) == []

    topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics
    assert len(topics[settings.topic(EVENTS)].partitions) == 8
    assert len(topics[settings.topic(TICKS)].partitions) == 1


def test_missing_topics_are_named(kafka: TestKafka, topic_prefix: str) -> None:
    problems = check_topics(kafka.settings(topic_prefix))
    assert [p.topic for p in problems] == [topic_prefix + spec.name for spec in REGISTRY]
    assert {p.what for p in problems} == {"is missing"}


def test_a_wrong_partition_count_and_setting_are_found(kafka: TestKafka, topic_prefix: str) -> None:
    settings = kafka.settings(topic_prefix)
    create_topics(settings, partitions=3)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    wrong = ConfigResource(
        ResourceType.TOPIC,
        settings.topic(ALERTS),
        incremental_configs=[
            ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    for future in admin.incremental_alter_configs([wrong]).values():
        future.result(10)

    alert = (settings.topic(ALERTS), "has cleanup.policy=delete, the registry says compact")
    deadline = time.monotonic() + 10  # the broker answers from its replayed metadata
    problems: set[tuple[str, str]] = set()
    while alert not in problems and time.monotonic() < deadline:
        problems = {(p.topic, p.what) for p in check_topics(settings)}
    assert alert in problems
    assert (settings.topic(EVENTS), "has 3 partitions, the registry says 8") in problems
    assert not any(topic == settings.topic(TICKS) for topic, _ in problems)
    assert {p.topic for p in check_topics(settings, partitions=None)} == {settings.topic(ALERTS)}


def test_no_broker_is_one_clear_line() -> None:
    settings = KafkaSettings(f"127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(Unreachable, match=r"no Kafka answers at 127\.0\.0\.1") as caught:
        check_topics(settings, timeout_s=2)
    assert "STREAMGAUGE_BOOTSTRAP" in caught.value.hint


def test_security_settings_reach_the_client(kafka: TestKafka, topic_prefix: str) -> None:
    """The broker speaks plain text only: asked to log in by SASL, the client must fail."""
    env = {
        "STREAMGAUGE_BOOTSTRAP": kafka.bootstrap,
        "STREAMGAUGE_TOPIC_PREFIX": topic_prefix,
        "STREAMGAUGE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "STREAMGAUGE_KAFKA_SASL_MECHANISM": "PLAIN",
        "STREAMGAUGE_KAFKA_SASL_USERNAME": "somebody",
        "STREAMGAUGE_KAFKA_SASL_PASSWORD": "secret",
    }
    settings = KafkaSettings.from_env(env)
    assert settings.librdkafka()["sasl.username"] == "somebody"
    with pytest.raises(Unreachable) as caught:
        check_topics(settings, timeout_s=3)
    assert "secret" not in str(caught.value)
    plain = KafkaSettings.from_env({k: v for k, v in env.items() if "_KAFKA_" not in k})
    assert len(check_topics(plain)) == len(REGISTRY)


def test_a_setting_that_the_client_does_not_know_is_refused(kafka: TestKafka) -> None:
    settings = KafkaSettings(kafka.bootstrap, extra={"no.such.setting": "1"})
    with pytest.raises(Misconfigured, match=r"no\.such\.setting"):
        check_topics(settings)


def test_removing_takes_the_topics_of_one_prefix_only(kafka: TestKafka, topic_prefix: str) -> None:
    ours, theirs = kafka.settings(topic_prefix), kafka.settings(f"other-{topic_prefix}")
    for settings in (ours, theirs):
        create_topics(settings, partitions=1)
    assert len(remove_topics(ours)) == len(REGISTRY)
    assert remove_topics(ours) == []
    assert check_topics(theirs, partitions=None) == []
