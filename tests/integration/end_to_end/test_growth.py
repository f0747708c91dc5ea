"""The growth benchmark in small: killed in the middle of a slice, it goes on and counts exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until

COMMAND = [sys.executable, "-m", "benchmarks.growth"]


def begun(folder: Path) -> dict[str, Any]:
    """What the run has kept of its second round so far."""
    path = folder / "round-2.json"
    return json.loads(path.read_text()) if path.exists() else {"slices": [], "number": 0}


def figures(command: list[str]) -> dict[str, float]:
    """What a run says at its end; bars of cost may be missed on a busy machine."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout.splitlines()[-1])["figures"]
    return {name: figure["value"] for name, figure in said.items()}


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_within_a_slice_goes_on_and_counts_exactly(tmp_path: Path) -> None:
    command = [*COMMAND, "--folder", str(tmp_path), "--rounds", "2"]
    command += ["--first", "5000", "--slices", "6"]
    with subprocess.Popen([*command, "--events", "65000"], stderr=subprocess.PIPE) as run:
        try:
            until(
                lambda: len(begun(tmp_path)["slices"]) == 2 and begun(tmp_path)["number"] == 25_000,
                "the third slice has begun",
                timeout_s=300,
            )
        finally:
            run.kill()
    assert subprocess.run([*command, "--events", "70000"], check=False).returncode == 2
    found = figures([*command, "--events", "65000"])
    assert found["lives of the rounds"] == 3
    assert found["slices of a round"] == 6
    # in the first round; the second has also some of what was cut off
    assert found["events in the log"] == 65_000
    assert found["rows and windows against it, differences"] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_short_hour_counts_exactly_and_tells_how_fresh_the_store_is(tmp_path: Path) -> None:
    found = figures(
        [*COMMAND, "--hour", "--seconds", "25", "--rate", "400", "--folder", str(tmp_path)]
    )
    assert found["events acknowledged"] == 25 * 400 + 1_000
    assert found["rows and windows against them, differences"] == 0
    assert 0 < found["age of the newest stored event, p50"] < 10
    assert 50 < found["memory of the worker, after warm-up"] <= found["memory of the worker, peak"]
