"""The soak of the benchmarks, in small: ten kills and all else that befalls a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.report import Figure
from benchmarks.soak.plan import BESIDE, KILLS, POINTS, Blow, make_plan
from benchmarks.soak.run import Options, Soak

from tests.support.waiting import until

ZERO = ("lost", "doubled", "audit_differences", "differences")


def run(options: Options) -> dict[str, Figure]:
    """Figures of a run that has neither lost nor doubled anything."""
    figures = Soak(options, print).run()
    assert [figures[name].value for name in ZERO] == [0] * len(ZERO)
    assert figures["kills"].value == options.kills
    assert figures["events"].value == options.events
    return figures


def test_a_plan_has_the_kills_asked_for_in_the_same_order_for_the_same_seed() -> None:
    plan = make_plan(100, seed=1)
    assert plan == make_plan(100, seed=1) != make_plan(100, seed=2)
    counts = Counter(step.blow for step in plan)
    assert sum(counts[blow] for blow in KILLS) == 100
    assert set(counts) == set(Blow) == KILLS.keys() | BESIDE.keys()
    assert {step.point.partition(":")[0] for step in plan} == {*POINTS, ""}
    with pytest.raises(ValueError, match="3 kills: expected at least 4"):
        make_plan(3, seed=1)


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_zombies_cut_connections_and_a_full_disk_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    # of this seed most dead workers have a static membership: one without is waited for, 6 s each
    figures = run(Options(tmp_path, events=60_000, kills=10, seed=552))
    assert all(figures[blow].value for blow in Blow), sorted(figures)
    with pytest.raises(ValueError, match="is of a run with"):
        Soak(Options(tmp_path, events=60_000, kills=10, seed=553), print)


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.full
def test_a_store_that_is_away_while_workers_come_and_go_costs_no_event(tmp_path: Path) -> None:
    figures = run(Options(tmp_path, events=20_000, kills=2, seed=4, away_s=20))
    assert figures[Blow.KILL_STORE].value == figures[Blow.KILL_WORKER].value == 1


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_run_that_is_killed_in_the_middle_of_its_plan_goes_on_and_loses_nothing(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--folder", str(tmp_path / "soak")]
    command += ["--kills", "4", "--events", "30000"]

    def steps() -> int:
        path = tmp_path / "soak/state.json"
        return int(json.loads(path.read_text())["next_step"]) if path.exists() else 0

    with subprocess.Popen([*command, "--seed", "4"], stderr=subprocess.DEVNULL) as first:
        try:
            until(lambda: steps() >= 3, "three of nine steps are behind it", timeout_s=300)
        finally:
            first.kill()
    assert subprocess.run([*command, "--seed", "5"], check=False).returncode == 2
    done = subprocess.run(
        [*command, "--seed", "4"], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    assert [figures[name]["value"] for name in ZERO] == [0] * len(ZERO)
    assert figures["lives of the run"]["value"] == 2
    assert figures["events"]["value"] == 30_000
    assert not (tmp_path / "soak").exists()
