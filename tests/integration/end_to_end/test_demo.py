"""The demo as a person runs it: exit code, verdict, nothing false."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streamgauge.deploy.stack.state import read_state

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
KINDS = {"error_burst", "latency_x3", "cost_x4", "silence", "runaway", "unknown_model"}


def demo(home: Path, *arguments: str, timeout_s: float = 280) -> tuple[int, dict[str, Any], str]:
    """Exit code, answer, and what was said on stderr."""
    done = subprocess.run(
        [
            sys.executable, "-m", "streamgauge.deploy", "demo", "--json", "--no-stay",
            "--home", str(home), *arguments,
        ],
        capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    answer = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, answer, done.stderr


def test_demo_finds_all_six_incidents_by_app_and_nothing_false(tmp_path: Path) -> None:
    code, answer, said = demo(tmp_path, "--seed", "11", "--speed", "120")
    assert code == 0, said
    assert {i["kind"] for i in answer["incidents"]} == KINDS
    assert all(i["by"]["app"] == i["app"] for i in answer["incidents"])
    assert answer["false_alarms"] == []
    assert [len(q["rows"]) > 0 for q in answer["queries"]] == [True, True, True]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, 21))
def test_demo_of_twenty_seeds_misses_nothing_and_raises_nothing_false(
    tmp_path: Path, seed: int
) -> None:
    code, answer, said = demo(tmp_path, "--seed", str(seed))
    assert code == 0, said
    assert all(i["by"] is not None for i in answer["incidents"])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, 6))
def test_control_run_fires_nothing(tmp_path: Path, seed: int) -> None:
    code, answer, said = demo(tmp_path, "--seed", str(seed), "--incidents", "none")
    assert code == 0, said
    assert answer["incidents"] == []
    assert answer["false_alarms"] == []


@pytest.mark.parametrize("how", ["closed terminal", "down"])
def test_a_demo_that_is_told_to_end_stops_everything_in_order_and_says_so(
    tmp_path: Path, how: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streamgauge.deploy", "demo", "--no-stay", "--home", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (states := [read_state(run) for run in tmp_path.glob("run-*")]) or (
        states[0] is None or states[0].state != "up"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    state = states[0]
    if how == "down":
        down = [sys.executable, "-m", "streamgauge.deploy", "--home", state.home, "down"]
        done = subprocess.run(down, capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == "stopped"  # nothing had to be killed
    else:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert f"asked to end ({'SIGTERM' if how == 'down' else 'SIGHUP'})" in said
    assert "data and logs of this run:" in said
    left = read_state(Path(state.home))
    assert left is not None
    assert left.state == "down"
    identities = [p.identity for p in state.processes.values()]
    assert len(identities) == 6
    assert not any(pid is not None and pid.alive for pid in identities)
