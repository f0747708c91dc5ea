"""Every code block of the README marked `<!-- run: name -->` runs, against the real services."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"<!-- run: (?P<name>[\w-]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL
)
README_ADDRESS = "localhost:9092"


def blocks(name: str) -> list[str]:
    """The code blocks of the README with this name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [m["code"] for m in BLOCK.finditer(text) if m["name"] == name]


def run_python(code: str, bootstrap: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code.replace(README_ADDRESS, bootstrap)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_python_and_sql_block_of_the_readme_is_marked_to_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fenced = len(re.findall(r"^```(?:python|sql)$", text, re.MULTILINE))
    assert fenced == len(BLOCK.findall(text)) >= 5


@pytest.mark.kafka
def test_embedding_example_puts_its_two_events_on_the_topic(kafka: TestKafka) -> None:
    from confluent_kafka import Consumer, TopicPartition

    create_topics(kafka.bootstrap, "llm.")
    (code,) = blocks("embed")
    done = run_python(code, kafka.bootstrap)
    assert done.returncode == 0, done.stderr
    topic = "llm.events.v1"
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "readme"})
    try:
        partitions = reader.list_topics(topic).topics[topic].partitions
        reader.assign([TopicPartition(topic, p, 0) for p in partitions])
        ends = sum(reader.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions)
        values = [m.value() or b"" for m in reader.consume(ends, timeout=20)]
    finally:
        reader.close()
    assert sum(b'"llm.request"' in v and b'"search"' in v for v in values) >= 1
    assert sum(b'"llm.feedback"' in v for v in values) >= 1


@pytest.mark.kafka
def test_subscription_example_runs_on_a_topic_without_alerts(kafka: TestKafka) -> None:
    create_topics(kafka.bootstrap, "llm.")
    (code,) = blocks("subscribe")
    done = run_python(code, kafka.bootstrap)
    assert done.returncode == 0, done.stderr


@pytest.mark.clickhouse
@pytest.mark.parametrize("index", range(3))
def test_sql_examples_of_the_readme_are_accepted_by_the_views(
    store: StoreSettings, index: int
) -> None:
    sql = blocks("sql")[index]
    client = connect(store)
    try:
        client.query(sql, {})
    finally:
        client.close()


def test_ten_line_embedding_example_has_at_most_ten_statements() -> None:
    (code,) = blocks("embed")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10


def test_readme_names_the_default_prefix_of_the_topics() -> None:
    assert f"{KafkaSettings('x').prefix}events.v1" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )
