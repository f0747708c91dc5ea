"""Every block of docs/how-to that is marked `<!-- run: name -->` does what its page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streamgauge.alerting import check
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import REGISTRY
from streamgauge.deploy.cli.rules import rules
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.scores.registry import GROUP, load_scorers
from streamgauge.stream_processors.scores.scorer import Scored, TextScorer
from streamgauge.stream_processors.scores.settings import ScoreSettings
from tests.support.kafka import TestKafka, create_topics
from tests.support.waiting import until

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted((DOCS / "how-to").glob("*.md"))
BLOCK = re.compile(r"<!-- run: (?P<name>[\w-]+) -->\n```\w+\n(?P<code>.*?)```", re.DOTALL)
SQL = re.compile(r'^streamgauge sql "([^"]+)"$', re.MULTILINE)
needs_kcat = pytest.mark.skipif(
    shutil.which("kcat") is None and not os.environ.get("CI"),
    reason="kcat is not installed: apt-get install kcat",
)


def all_blocks() -> dict[str, str]:
    found: dict[str, str] = {}
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            assert match["name"] not in found, match["name"]
            found[match["name"]] = match["code"]
    return found


BLOCKS = all_blocks()


def shell(name: str, kafka: KafkaSettings, **env: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKS[name].replace("localhost:9092", kafka.bootstrap)
    code = code.replace("llm.", kafka.prefix).replace(f'"{kafka.prefix}request"', '"llm.request"')
    return subprocess.run(
        ["sh", "-ec", code], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | env,
    )  # fmt: skip


ELECTING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""Codes while a topic that was just made gets its leaders."""


def read_all(kafka: KafkaSettings, topic: str) -> list[tuple[str, bytes]]:
    """Key and value of every message of a topic."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "how-to"})

    def ends() -> dict[int, int]:
        partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
        try:
            return {
                p: reader.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions
            }
        except KafkaException as e:
            if e.args[0].code() in ELECTING:
                return {}
            raise

    try:
        upper = until(ends, f"leaders of {topic}")
        reader.assign([TopicPartition(topic, p, 0) for p in upper])
        found = reader.consume(sum(upper.values()), timeout=20)
    finally:
        reader.close()
    return [((m.key() or b"").decode(), m.value() or b"") for m in found]


def test_marked_blocks_are_those_that_are_tested_here() -> None:
    assert set(BLOCKS) == {
        "produce", "subscribe-all", "rule", "check-rule", "wrong-rule", "scorer", "scorer-metadata",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_page_is_short_and_every_yaml_and_python_block_is_marked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    fenced = re.findall(r"^```(?:python|yaml|toml)$", text, re.MULTILINE)
    assert len(fenced) == len(re.findall(r"-->\n```(?:python|yaml|toml)$", text, re.MULTILINE))


# -- rules ---------------------------------------------------------------------------------------


def test_rule_of_the_page_is_good(tmp_path: Path) -> None:
    file = tmp_path / "my-rules.yml"
    file.write_text(BLOCKS["rule"], encoding="utf-8")
    assert check(file) == []
    assert BLOCKS["check-rule"].split() == ["streamgauge", "rules", "check", file.name]
    done = CliRunner().invoke(rules, ["check", str(file)], standalone_mode=False)
    assert done.return_value == 0


def test_wrong_rule_of_the_page_is_told_by_line_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "my-rules.yml"
    file.write_text(BLOCKS["wrong-rule"], encoding="utf-8")
    done = CliRunner().invoke(rules, ["check", str(file)], standalone_mode=False)
    assert done.return_value == 1
    assert 'unknown metric "latency_p95"' in done.output
    assert '"5" has no unit' in done.output or "5 has no unit" in done.output
    assert re.search(r"my-rules\.yml:4", done.output)
    assert re.search(r"my-rules\.yml:5", done.output)


# -- scorers -------------------------------------------------------------------------------------


def test_scorer_of_the_page_is_loaded_by_its_entry_point_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "politeness.py").write_text(BLOCKS["scorer"], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    metadata = tomllib.loads(BLOCKS["scorer-metadata"])["project"]
    ((name, value),) = metadata["entry-points"][GROUP].items()
    entry = EntryPoint(name, value, GROUP)
    settings = ScoreSettings.from_env({"STREAMGAUGE_SCORERS": "lexical,politeness"})
    _, scorer = load_scorers(settings, {}, plugins=[entry])
    assert isinstance(scorer, TextScorer)
    assert scorer.score_batch(["Yes, please.", "No."]) == [Scored((1.0,)), Scored((0.0,))]
    sys.modules.pop("politeness")


# -- kcat ----------------------------------------------------------------------------------------


@needs_kcat
@pytest.mark.kafka
def test_line_that_kcat_sends_is_a_good_event_with_its_id_as_key(
    kafka: TestKafka, topic_prefix: str
) -> None:
    settings = create_topics(kafka.bootstrap, topic_prefix)
    done = shell("produce", settings)
    assert done.returncode == 0, done.stderr
    ((key, value),) = read_all(settings, f"{topic_prefix}events.v1")
    event = parse_event(value)
    assert isinstance(event, LlmRequest)
    assert (event.id, event.app, event.output_tokens) == (key, "shell", 96)


@pytest.mark.parametrize(
    "field",
    ["v", "id", "type", "ts", "app", "op", "provider", "model", "status", "duration_ms", "content"],
)
def test_produced_line_has_no_field_that_could_be_left_out_but_the_tokens(field: str) -> None:
    (line,) = re.findall(r"\{\"v\".*?\}", BLOCKS["produce"])
    event = json.loads(line.replace("'$now'", "1767225600000").replace("$now", "1767225600000"))
    parse_event(json.dumps(event).encode())
    del event[field]
    with pytest.raises(BadInput):
        parse_event(json.dumps(event).encode())


@needs_kcat
@pytest.mark.kafka
def test_kcat_reads_what_lies_on_the_topic_of_alerts_and_ends(
    kafka: TestKafka, topic_prefix: str
) -> None:
    settings = create_topics(kafka.bootstrap, topic_prefix)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for i in range(3):
        producer.produce(f"{topic_prefix}alerts.v1", b'{"status":"firing"}', key=f"f{i}")
    assert producer.flush(20) == 0
    done = shell("subscribe-all", settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['{"status":"firing"}'] * 3


# -- questions and settings ----------------------------------------------------------------------


def questions() -> list[str]:
    pages: Mapping[str, str] = {
        p.name: p.read_text(encoding="utf-8") for p in [*PAGES, DOCS / "bad-input.md"]
    }
    return [sql for text in pages.values() for sql in SQL.findall(text)]


@pytest.mark.clickhouse
def test_every_question_of_the_pages_is_accepted_by_the_views(store: StoreSettings) -> None:
    asked = questions()
    assert len(asked) >= 5
    with connect(store) as client:
        for sql in asked:
            client.query(sql, {})


def test_exported_settings_of_the_page_are_read_as_it_says(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "use-your-own-kafka-and-clickhouse.md").read_text(encoding="utf-8")
    secret = tmp_path / "clickhouse"
    secret.write_text("sesame\n", encoding="utf-8")
    env = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
    env["STREAMGAUGE_STORE_PASSWORD_FILE"] = str(secret)
    assert KafkaSettings.from_env(env).extra == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "streamgauge",
        "sasl.password": "...",
    }
    assert StoreSettings.from_env(env).password == "sesame"


def test_append_time_of_every_topic_is_the_brokers() -> None:
    assert all(t.config["message.timestamp.type"] == "LogAppendTime" for t in REGISTRY)
