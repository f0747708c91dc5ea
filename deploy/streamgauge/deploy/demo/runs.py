"""The folders of demo runs: where they lie, how many are kept, and what their removal frees.

In: the data folder of the stack's; runs lie beside it, in `<data folder>-demo/run-*`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from streamgauge.deploy.stack.layout import is_locked

KEEP_RUNS = 3


def runs_folder(home: Path) -> Path:
    """Where the demo keeps its runs for this data folder."""
    return home.with_name(f"{home.name}-demo")


def find_runs(runs: Path) -> list[Path]:
    """Folders of runs, newest first."""
    found = [folder for folder in runs.glob("run-*") if folder.is_dir() and not folder.is_symlink()]
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def forget_runs(runs: Path, *, keep: int = 0) -> list[Path]:
    """Remove all but the newest `keep`; what was removed. A run that goes on is locked and stays.

    The folder itself is removed when nothing is left in it.
    """
    removed = []
    for folder in find_runs(runs)[keep:]:
        if not is_locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    if keep == 0 and runs.is_dir() and not any(runs.iterdir()):
        runs.rmdir()
    return removed
