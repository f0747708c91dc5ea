"""Every code block of the README marked `<!-- run: name -->` runs, against the real services."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamgauge.alerting import AlertSubscriber, fire_test
from streamgauge.contracts.kafka import ENV_PREFIX, KafkaSettings
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, engine, feed, settings, steady
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

__all__ = ["engine", "feed", "settings"]  # fixtures

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"<!-- run: (?P<name>[\w-]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL
)
README_ADDRESS = "localhost:9092"


def blocks(name: str) -> list[str]:
    """The code blocks of the README with this name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [m["code"] for m in BLOCK.finditer(text) if m["name"] == name]


def start_python(name: str, kafka: KafkaSettings, output: Path) -> subprocess.Popen[bytes]:
    """Runs the block as it is, but for the broker's address; stdout and stderr go to `output`."""
    (code,) = blocks(name)
    assert README_ADDRESS in code
    env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
    with output.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-u", "-c", code.replace(README_ADDRESS, kafka.bootstrap)],
            stdout=out, stderr=subprocess.STDOUT, env={**env, ENV_PREFIX: kafka.prefix},
        )  # fmt: skip


def test_every_python_and_sql_block_of_the_readme_is_marked_to_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fenced = len(re.findall(r"^```(?:python|sql)$", text, re.MULTILINE))
    assert fenced == len(BLOCK.findall(text)) >= 5


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_embedding_example_is_stored_and_its_feedback_is_read_as_the_readme_says(
    settings: KafkaSettings, store: StoreSettings, tmp_path: Path
) -> None:
    done = start_python("embed", settings, tmp_path / "out")
    assert done.wait(60) == 0, (tmp_path / "out").read_text()
    module = "streamgauge.stream_processors.metrics.main"
    worker = WorkerProcess(module, settings, store, tmp_path / "metrics.log")
    worker.start()
    (sql,) = blocks("feedback")
    try:
        with connect(store) as client:
            worker.wait_for("the judgement", lambda: client.query(sql) != [])
            (row,) = client.query(sql)
            (request,) = client.query("SELECT app, model, output_tokens FROM v_requests")
    finally:
        worker.end()
    assert row == {"app": "search", "model": "gpt-4o-mini", "name": "thumbs", "n": 1, "mean": 1.0}
    assert request == {"app": "search", "model": "gpt-4o-mini", "output_tokens": 11}


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_subscription_example_prints_what_is_open_and_what_comes(
    engine: Callable[..., WorkerProcess], feed: Feed, settings: KafkaSettings, tmp_path: Path
) -> None:
    # every call fails in the last five minutes: ErrorBurstFast fires and stays open
    start, minute = 1_750_000_200_000 // 3_600_000 * 3_600_000, 60_000
    feed.rows(steady("search", start, start + 40 * minute))
    feed.rows(steady("search", start + 40 * minute, start + 45 * minute, errors=9))
    engine()
    for at in range(5, 44):
        feed.tick(start + at * minute)
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}, from_start=True) as sub:
        next(sub.iter(timeout=60))
    output = tmp_path / "out"
    example = start_python("subscribe", settings, output)
    until(lambda: "open ErrorBurstFast" in output.read_text(), "the open alert")
    fire_test(settings, severity="page", timeout_s=60)
    fire_test(settings, severity="ticket", timeout_s=60)
    assert example.wait(60) == 0, output.read_text()  # after five seconds of silence
    lines = output.read_text().splitlines()
    (opened,) = [line for line in lines if line.startswith("open ErrorBurstFast")]
    assert "'app': 'search'" in opened
    live = [line for line in lines if "FireTest" in line]
    assert [line.split(" {")[0] for line in live] == ["firing FireTest", "resolved FireTest"]
    assert [line.split()[-1] for line in live] == ["1.0", "0.0"]
    assert all("'severity': 'page'" in line for line in live)
    assert not [line for line in lines if line.split()[0] not in ("open", "firing", "resolved")]


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
