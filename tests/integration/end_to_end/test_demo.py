"""The demo as a person runs it: exit code, verdict, nothing false."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
