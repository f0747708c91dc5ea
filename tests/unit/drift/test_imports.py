"""What the stream may load: the laws of scipy.special, never scipy.stats, and no model library."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("worker", ["drift", "scores"])
def test_no_heavy_package_is_loaded_by_a_worker(worker: str) -> None:
    code = (
        f"import sys, streamgauge.stream_processors.{worker}.main\n"
        "print(*sorted({'scipy.stats', 'torch', 'pandas', 'detoxify'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
