"""Folders of demo runs: the newest are kept, what is not a run is left alone."""

from __future__ import annotations

import os
from pathlib import Path

from streamgauge.deploy.demo.runs import find_runs, forget_runs, runs_folder
from streamgauge.deploy.stack.layout import prepare_home


def make(runs: Path, count: int) -> None:
    for n in range(count):
        prepare_home(runs / f"run-{n}")
        os.utime(runs / f"run-{n}", (n, n))


def test_the_newest_are_kept_and_a_stranger_is_left_alone(tmp_path: Path) -> None:
    runs = runs_folder(tmp_path / "data")
    assert forget_runs(runs, keep=2) == []  # none yet
    make(runs, 5)
    (runs / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (runs / "run-link").symlink_to(tmp_path / "elsewhere")
    assert [r.name for r in forget_runs(runs, keep=2)] == ["run-2", "run-1", "run-0"]
    assert [r.name for r in find_runs(runs)] == ["run-4", "run-3"]
    forget_runs(runs)
    assert sorted(p.name for p in runs.iterdir()) == ["mine", "run-link"]


def test_an_empty_folder_goes_too(tmp_path: Path) -> None:
    runs = runs_folder(tmp_path / "data")
    make(runs, 1)
    forget_runs(runs)
    assert not runs.exists()
