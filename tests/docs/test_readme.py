"""Every code block of the README marked `<!-- run: name -->` runs, against the real services."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting import AlertSubscriber, fire_test
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.kafka import ENV_PREFIX, KafkaSettings
from streamgauge.contracts.topics import EVENTS
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, engine, feed, settings, steady
from tests.support.metrics_worker import produce
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


def test_every_code_block_of_the_readme_is_marked_to_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fenced = len(re.findall(r"^```(?:python|sql|sh)$", text, re.MULTILINE))
    assert fenced == len(BLOCK.findall(text)) >= 8


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


def stored_events(now_ms: int) -> list[dict[str, Any]]:
    """Of two apps, all in this minute; every figure asked for follows by hand.

    search: 20 calls of 100, 200 ... 2,000 ms, 1,000 tokens in and 500 out each.
    agent: 4 such calls of a dearer model in 50 ms, 3 server errors and a rate limit.
    """

    def call(n: int, **fields: Any) -> dict[str, Any]:
        return {
            "v": 1, "id": f"r{n}", "type": "llm.request", "ts": now_ms, "op": "chat",
            "provider": "openai", "status": "ok", "content": "none",
            **fields,
        }  # fmt: skip

    tokens = {"input_tokens": 1000, "output_tokens": 500}
    search = [
        call(n, app="search", model="gpt-4o-mini", duration_ms=100 * n, **tokens)
        for n in range(1, 21)
    ]
    agent = {"app": "agent", "model": "gpt-4o", "duration_ms": 50}
    failed = ["server_error", "rate_limit", "server_error", "server_error"]
    return [
        *search,
        *(call(n, **agent, **tokens) for n in range(21, 25)),
        *(
            call(n, **(agent | {"status": "error"}), error_type=what)
            for n, what in enumerate(failed, start=25)
        ),
    ]


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_sql_examples_of_the_readme_answer_what_the_stored_events_say(
    settings: KafkaSettings, store: StoreSettings, tmp_path: Path
) -> None:
    now_ms = SystemClock().now_ms()
    values = [json.dumps(event).encode() for event in stored_events(now_ms)]
    produce(settings.bootstrap, settings.topic(EVENTS), values, partition=0)
    module = "streamgauge.stream_processors.metrics.main"
    worker = WorkerProcess(module, settings, store, tmp_path / "metrics.log")
    worker.start()
    latency, cost, errors = blocks("sql")
    try:
        with connect(store) as client:
            count = "SELECT sum(requests) AS n FROM v_hour"  # stored after the raw rows
            worker.wait_for("the events", lambda: client.query(count)[0]["n"] == 28)
            by_minute, by_cost, by_error = (client.query(q) for q in (latency, cost, errors))
    finally:
        worker.end()
    minute = datetime.fromtimestamp(now_ms // 60_000 * 60, UTC)
    # nearest rank: the 8th of 8 calls of 50 ms, the 19th of 20; within the 1 % of a histogram
    assert by_minute == [
        {"app": "agent", "t": minute, "n": 8, "p95_ms": pytest.approx(50, rel=0.01)},
        {"app": "search", "t": minute, "n": 20, "p95_ms": pytest.approx(1900, rel=0.01)},
    ]
    # a million tokens in and out: gpt-4o 2.50 and 10 USD, gpt-4o-mini 0.15 and 0.60 USD
    assert [(r["app"], r["model"], float(r["usd"])) for r in by_cost] == [
        ("agent", "gpt-4o", 4 * (0.0025 + 0.005)),
        ("search", "gpt-4o-mini", pytest.approx(20 * (0.00015 + 0.0003))),
    ]
    assert by_error == [
        {"app": "agent", "model": "gpt-4o", "error_type": "server_error", "n": 3},
        {"app": "agent", "model": "gpt-4o", "error_type": "rate_limit", "n": 1},
    ]


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a line as a person types it in this folder, with an environment that is ready."""
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "bin").symlink_to(Path(sys.executable).parent)
    (venv / ".server").touch()  # newer than what it is made from: make installs nothing
    env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
    env |= {k: v for k, v in os.environ.items() if k == "STREAMGAUGE_CACHE"}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        env.pop(name, None)  # the suite itself may run under make
    env |= {"STREAMGAUGE_HOME": str(tmp_path / "home"), "VENV": str(venv)}
    env["PATH"] = f"{venv / 'bin'}:{env['PATH']}"

    def run(line: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, timeout=180
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    yield run
    run("streamgauge down")


def lines_of(name: str) -> list[str]:
    """The lines of a block of shell, without comments."""
    (code,) = blocks(name)
    return [line.partition("#")[0].strip() for line in code.splitlines()]


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_shell_commands_of_the_readme_run_one_after_the_other(
    typed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    demo, up = lines_of("make")
    planned = typed(f"{demo} -n SEED=7 INCIDENTS=none")  # test_demo.py runs what it would run
    assert planned.stdout.split()[1:] == ["demo", "--seed", "7", "--incidents", "none"]
    done = typed(up)
    assert done.returncode == 0, done.stderr
    assert "Kafka" in done.stdout + done.stderr

    activate, *commands = lines_of("commands")
    assert activate == "source .venv/bin/activate"  # done by the fixture's PATH
    answers = {}
    for line in commands:
        endless = line == "streamgauge alerts tail"
        done = typed(f"timeout 5 {line}" if endless else line)
        ended_well = 124 if endless else 0
        assert done.returncode == ended_well, f"{line}: {done.stdout}\n{done.stderr}"
        answers[line.split()[1]] = done.stdout
    assert "Commands:" in answers["--help"]
    assert "metrics" in answers["status"]
    assert answers["doctor"]
    assert typed("make status").returncode == 0
    assert typed("make down").returncode == 0


def test_ten_line_embedding_example_has_at_most_ten_statements() -> None:
    (code,) = blocks("embed")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10


def test_readme_names_the_default_prefix_of_the_topics() -> None:
    assert f"{KafkaSettings('x').prefix}events.v1" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )
