"""A real Apache Kafka for the tests: one broker per test session, fresh topic prefixes per test.

`kafka` is the shared broker; a test that kills it restarts it (`kafka.kill(); kafka.restart()`):
address and data stay. STREAMGAUGE_TEST_BOOTSTRAP runs the tests against a broker of yours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import DEFAULT_PARTITIONS
from streamgauge.deploy import topics
from streamgauge.deploy.kafka import LocalKafka
from tests.support.waiting import until


class TestKafka:
    """The session's broker."""

    __test__ = False

    def __init__(self, bootstrap: str, local: LocalKafka | None) -> None:
        self._bootstrap = bootstrap
        self.local = local

    @property
    def bootstrap(self) -> str:
        """Address for clients; the same after a restart."""
        return self._bootstrap if self.local is None else self.local.bootstrap

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None while it is down (or is not ours)."""
        return None if self.local is None else self.local.pid

    def settings(self, prefix: str) -> KafkaSettings:
        """Client settings with a topic prefix."""
        return KafkaSettings(self.bootstrap, prefix)

    def kill(self) -> None:
        """kill -9."""
        self._own().kill()

    def restart(self) -> None:
        """Start it again on its data; ready when this returns. Stops it first if it runs."""
        before = self.bootstrap
        assert self._own().restart() == before, "the broker came back on another port"

    def _own(self) -> LocalKafka:
        if self.local is None:
            pytest.fail("this test kills the broker: unset STREAMGAUGE_TEST_BOOTSTRAP")
        return self.local


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestKafka]:
    """A running Apache Kafka; a machine that cannot run it fails the test and says why."""
    external = os.environ.get("STREAMGAUGE_TEST_BOOTSTRAP")
    if external:
        yield TestKafka(external, None)
        return
    folder: Path = tmp_path_factory.mktemp("kafka")
    local = LocalKafka(folder)
    local.start()
    try:
        yield TestKafka(local.bootstrap, local)
    finally:
        local.kill()  # its data is thrown away: no need for an orderly end


def create_topics(
    bootstrap: str, prefix: str, partitions: int = DEFAULT_PARTITIONS
) -> KafkaSettings:
    """Create all topics of the registry under a prefix; the settings to reach them."""
    settings = KafkaSettings(bootstrap, prefix)
    topics.create_topics(settings, partitions=partitions)
    return settings


def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete it; returns once Kafka does not tell of it any more."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in admin.list_topics(timeout=5).topics, f"{topic} is deleted")
