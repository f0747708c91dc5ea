"""What a demo run made on services of the user's is removed, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.demo.leftovers import Leftovers
from streamgauge.deploy.stack import Stack, StackConfig
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def present(kafka: KafkaSettings, store: StoreSettings, database: str) -> tuple[bool, bool]:
    """Is there any topic of the prefix; is there the database."""
    topics = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=20).topics
    with connect(store) as client:
        databases = {row["name"] for row in client.query("SELECT name FROM system.databases")}
    return any(name.startswith(kafka.prefix) for name in topics), database in databases


def test_topics_and_database_of_a_run_are_removed_and_the_users_stay(
    kafka: TestKafka, store: StoreSettings, tmp_path: Path, topic_prefix: str
) -> None:
    theirs = create_topics(kafka.bootstrap, f"users-{topic_prefix}", partitions=1)
    env = {**os.environ, **store.to_env(), "STREAMGAUGE_BOOTSTRAP": kafka.bootstrap}
    database = f"{store.database}_demo"
    config = StackConfig(
        str(tmp_path / "run"), prefix=topic_prefix, database=database, workers=(), partitions=1
    )
    with Stack(config, env=env) as stack:
        assert present(stack.kafka, store, database) == (True, True)
    made = Leftovers.of(stack)
    assert made.names == [
        f"topics {topic_prefix}* at {kafka.bootstrap}",
        f"database {database} at {store.url}",
    ]
    topics, statement = made.removal
    assert topics.endswith(f"--delete --topic '{topic_prefix[:-1]}\\..*'")
    assert statement == f"DROP DATABASE IF EXISTS `{database}` SYNC"
    made.remove()
    assert present(stack.kafka, store, database) == (False, False)
    assert present(theirs, store, store.database) == (True, True)
    made.remove()  # nothing is there any more: no error


def test_services_of_the_runs_own_leave_nothing_elsewhere(tmp_path: Path) -> None:
    stack = Stack(StackConfig(str(tmp_path)), env={})
    assert Leftovers.of(stack) == Leftovers(None, None)
    assert Leftovers.of(stack).names == []
