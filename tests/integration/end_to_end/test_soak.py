"""The soak of the benchmarks, in small: ten kills and all else that befalls a worker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from benchmarks.soak.plan import BESIDE, KILLS, POINTS, Blow, make_plan
from benchmarks.soak.run import Options, Soak


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
    said: list[str] = []
    figures = Soak(Options(tmp_path, events=60_000, kills=10, seed=4), said.append).run()
    for name in ("lost", "doubled", "audit_differences", "differences"):
        assert figures[name].value == 0, "\n".join(said)
    assert figures["kills"].value == 10
    assert figures["events"].value == 60_000
    assert all(figures[blow].value for blow in Blow), sorted(figures)
    with pytest.raises(ValueError, match="is of a run with"):
        Soak(Options(tmp_path, events=60_000, kills=10, seed=5), said.append)
