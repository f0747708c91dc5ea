"""The whole stack as a person uses it: up, status, sql, kill, down, up again, purge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack import Stack, StackConfig
from streamgauge.deploy.stack.state import read_state
from streamgauge.deploy.topics import check_topics
from tests.support.kafka import TestKafka
from tests.support.shell import Shell

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

EVENT: dict[str, Any] = {
    "v": 1, "type": "llm.request", "id": "01900000-0000-7000-8000-000000000001",
    "producer_id": "0123456789abcdef", "seq": 1, "app": "stack-test", "env": "test", "op": "chat",
    "provider": "openai", "model": "gpt-4o-mini", "status": "ok", "duration_ms": 120.0,
    "input_tokens": 10, "output_tokens": 5, "content": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("stack") / "home")
    yield made
    made("down", code=None)


def eventually(what: Callable[[], bool], *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.2)


def send_event(shell: Shell, number: int, *, age_s: int = 0, **fields: str) -> None:
    ts = time.time_ns() // 1_000_000 - age_s * 1000
    event = {**EVENT, "id": f"{EVENT['id'][:-4]}{number:04d}", "seq": number, "ts": ts, **fields}
    shell("events", "send", stdin=json.dumps(event) + "\n")


def stored(shell: Shell) -> int:
    done = shell("sql", "--csv", "SELECT sum(requests) AS n FROM v_minute WHERE app = 'stack-test'")
    return int(done.stdout.splitlines()[1])


def test_a_stack_lives_through_a_day_in_a_minute(shell: Shell) -> None:
    state = shell.json("up")
    assert state["state"] == "up"
    assert set(shell.pids()) == {"kafka", "store", "metrics", "scores", "drift", "alerts"}
    for file in (state["hmac_key_file"], state["password_file"]):
        assert Path(file).stat().st_mode & 0o077 == 0
    for folder in (shell.home, shell.home / "store", shell.home / "kafka"):
        assert folder.stat().st_mode & 0o077 == 0, folder

    # up again: the same stack, its addresses
    again = shell("up")
    assert state["bootstrap"] in again.stdout
    assert state["password_file"] in again.stdout

    send_event(shell, 1)
    eventually(lambda: stored(shell) == 1)

    # what is killed comes back, and nothing is counted twice
    before = shell.pids()["metrics"]
    os.kill(before.pid, signal.SIGKILL)
    send_event(shell, 2)
    eventually(lambda: shell.pids().get("metrics", before) != before)
    eventually(lambda: stored(shell) == 2)

    seen = shell.json("status", code=None)
    rows = {p["name"]: p for p in seen["processes"]}
    assert rows["metrics"]["restarts"] == 1
    assert rows["kafka"]["restarts"] == 0
    assert seen["ok"]
    assert {w["writer"] for w in seen["writers"]} >= {"metrics"}
    assert any("toxicity is NULL" in note for note in seen["notes"])
    text = shell("status").stdout
    assert "bounded by" in text
    assert state["store_url"] in text

    # an alert goes all the way to a subscriber
    assert "FireTest" in shell("alerts", "fire-test", "--timeout", "60").stdout
    assert shell("alerts", "list").stdout == ""

    # events of a host whose clock is slow are counted, and doctor says that no rule judges them
    for number in (3, 4):
        send_event(shell, number, age_s=300, app="slow-clock")
    eventually(lambda: any("'slow-clock' 2 of 2" in f["seen"] for f in shell.json("doctor")))

    # the reading account cannot write, errors are one line
    refused = shell("sql", "DROP TABLE events", code=2)
    assert refused.stderr.startswith("error: ")
    assert stored(shell) == 2
    assert shell("store", "check").stdout == ""
    assert shell("topics", "check").stdout == ""
    doctor = {f["what"]: f["level"] for f in shell.json("doctor")}
    assert doctor["kafka"] == doctor["store"] == doctor["stack"] == "ok"

    # down leaves no process, up has the data again
    pids = shell.pids()
    shell("down")
    assert not any(pid.alive for pid in pids.values())
    assert shell.json("status", code=1)["state"] == "down"
    back: dict[str, Any] = shell.json("up")
    assert back["bootstrap"] == state["bootstrap"]
    assert back["store_url"] == state["store_url"]
    assert stored(shell) == 2

    # kill -9 of the supervisor takes everything with it, and the next up cleans up
    pids = shell.pids()
    os.kill(back["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: not any(pid.alive for pid in pids.values()), within_s=20)
    assert shell.json("status", code=1)["state"] == "killed"
    shell.json("up")
    assert stored(shell) == 2
    pids = shell.pids()
    shell("down", "--purge", code=2)
    shell("down", "--purge", "--yes")
    assert not any(pid.alive for pid in pids.values())
    assert not shell.home.exists()


def test_two_ups_at_once_both_print_the_addresses_and_a_third_cannot_change_them(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path / "home")
    workers = ("--without", "scores", "--without", "drift", "--without", "alerts")
    try:
        with ThreadPoolExecutor(2) as pool:
            ups = [pool.submit(shell, "up", *workers) for _ in range(2)]
        said = [up.result().stdout for up in ups]
        assert said[0] == said[1]
        state = read_state(tmp_path / "home")
        assert state is not None
        assert state.bootstrap in said[0]
        line = next(row for row in said[0].splitlines() if row.startswith("by HTTP:"))
        command = f"{line.removeprefix('by HTTP:')} -sS --fail"
        assert subprocess.run(command, shell=True, capture_output=True, check=True).stdout == b""

        port = state.bootstrap.rpartition(":")[2]
        shell("up", "--kafka-port", port, *workers)
        refused = shell("up", "--kafka-port", str(free_ports(1)[0]), code=2)
        assert "the stack runs already, without --kafka-port" in refused.stderr
        assert refused.stdout == ""
    finally:
        shell("down")


def test_an_unreachable_clickhouse_stops_what_was_started(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = shell("up", code=3, STREAMGAUGE_STORE_URL=url)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert url in lines[0]
    assert done.stdout == ""
    state = read_state(tmp_path / "home")
    assert state is not None
    assert state.state == "failed"
    folder = str(tmp_path)
    assert not [p for p in psutil.process_iter(["cmdline"]) if folder in str(p.info["cmdline"])]


def test_no_jars_and_offline_is_one_clear_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    cache = str(tmp_path / "empty-cache")
    done = shell("up", code=2, STREAMGAUGE_CACHE=cache, STREAMGAUGE_OFFLINE="1")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "STREAMGAUGE_OFFLINE forbids" in lines[0]


def test_kafka_alone_starts_answers_and_stops(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    address = shell("kafka", "start").stdout.strip()
    try:
        assert shell("kafka", "start").stdout.strip() == address
        status = shell.json("kafka", "status")
        assert status["answers"]
        assert status["bootstrap"] == address
        assert shell("topics", "check", code=1, STREAMGAUGE_BOOTSTRAP=address).stdout
        shell("topics", "create", STREAMGAUGE_BOOTSTRAP=address)
        shell("topics", "check", STREAMGAUGE_BOOTSTRAP=address)
    finally:
        shell("kafka", "stop")
    assert shell("kafka", "status", code=3)
    assert Pid.of(status["pid"]) is None


def test_services_of_the_user_are_used_and_left_alone(tmp_path: Path, kafka: TestKafka) -> None:
    from streamgauge.storage.embedded.process import EmbeddedStore

    store = EmbeddedStore(tmp_path / "their-store")
    settings = store.start()
    try:
        env = {
            **os.environ,
            **settings.to_env(),
            "STREAMGAUGE_BOOTSTRAP": kafka.bootstrap,
        }
        config = StackConfig(
            str(tmp_path / "home"), prefix="theirs.", database="theirs", workers=("metrics",)
        )
        with Stack(config, env=env) as stack:
            assert set(stack.state.processes) == {"metrics"}
            assert stack.state.kafka_external
            assert stack.state.store_external
            assert check_topics(stack.kafka) == []
            assert stack.store.database == "theirs"
            assert stack.env()["STREAMGAUGE_BOOTSTRAP"] == kafka.bootstrap
            pid = stack.kill("metrics")
            stack.wait_up("metrics")
            assert stack.pid("metrics") not in (None, pid)
            with pytest.raises(Misconfigured, match="no process 'kafka'"):
                stack.kill("kafka")
            with pytest.raises(Misconfigured, match="a stack already runs on"):
                Stack(config, env=env).start()
        assert not (tmp_path / "home" / "kafka" / "kafka.json").exists()
        assert store.running()
        assert kafka.pid is not None
    finally:
        store.stop()
