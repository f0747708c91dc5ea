"""What most tests of the metrics worker begin with."""

from __future__ import annotations

import pytest

from tests.support.kafka import TestKafka, create_topics


@pytest.fixture
def topic(kafka: TestKafka, topic_prefix: str) -> str:
    """The events topic, of four partitions, under a prefix of this test's own."""
    create_topics(kafka.bootstrap, topic_prefix, partitions=4)
    return f"{topic_prefix}events.v1"
