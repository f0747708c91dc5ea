"""The metrics worker by a clock that a test can set while it works.

python -m tests.support.worker_by_clock      CLOCK_SHIFT_FILE: ms to add to the machine's clock
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.paths import write_atomic
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.worker import ChunkWorker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.settings import WorkerSettings
from tests.support.metrics_worker import MetricsWorker

ENV = "CLOCK_SHIFT_FILE"
ROOT = Path(__file__).parents[2]


class SettableClock(SystemClock):
    """The machine's clock, shifted by what stands in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by this clock."""
        return super().now_ms() + int(self._path.read_text())

    def set(self, now_ms: int) -> None:
        """It is so late now, for everybody who reads this file."""
        write_atomic(self._path, str(now_ms - super().now_ms()))


class WorkerByClock(MetricsWorker):
    """A metrics worker that reads this clock."""

    module = "tests.support.worker_by_clock"

    def __init__(
        self, bootstrap: str, prefix: str, store: StoreSettings, folder: Path, **env: str
    ) -> None:
        self.clock = SettableClock(folder / "clock")
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        super().__init__(
            bootstrap, prefix, store, folder,
            **{ENV: str(folder / "clock"), "PYTHONPATH": path, **env},
        )  # fmt: skip


def main() -> int:
    """As `metrics.main` does, by the other clock."""
    set_up_logging("metrics")
    clock = SettableClock(Path(os.environ[ENV]))
    return asyncio.run(ChunkWorker(build_spec(), WorkerSettings.from_env(), clock).run())


if __name__ == "__main__":
    sys.exit(main())
