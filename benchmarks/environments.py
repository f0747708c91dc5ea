"""Virtual environments of the systems that ours is compared with, each pinned and of its own.

They lie in the user's cache, or in STREAMGAUGE_BENCH_PEERS, and are made when first asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

_OTLP = "opentelemetry-exporter-otlp-proto-http"
PACKAGES = {
    "phoenix": ("arize-phoenix==20.26.1", _OTLP),
    "mlflow": ("mlflow==3.17.2", _OTLP),
    "quix": ("quixstreams==3.28.1",),
}


class NotInstalled(RuntimeError):
    """A peer's packages could not be had."""


def environment(name: str) -> Path:
    """The peer's virtual environment, made if it is not there yet. Raises NotInstalled."""
    folder = Path(
        os.environ.get("STREAMGAUGE_BENCH_PEERS")
        or Path(platformdirs.user_cache_dir("streamgauge")) / "bench-peers"
    )
    home, packages = folder / name, PACKAGES[name]
    if not (home / ".ready").exists():
        sys.stderr.write(f"installing {packages[0]} into {home} (once) ...\n")
        venv.create(home, with_pip=True, clear=True)
        done = subprocess.run([str(home / "bin/pip"), "install", "-q", *packages], check=False)
        if done.returncode:
            raise NotInstalled(
                f"pip could not install {packages[0]} into {home}: is this machine offline?"
                " Try again with a network, or name a folder that has it in STREAMGAUGE_BENCH_PEERS"
            )
        (home / ".ready").touch()
    return home
