"""A metrics worker that never looks whether its topic was made anew: only a flush can notice.

Run as a module, as any worker.
"""

from __future__ import annotations

from streamgauge.stream_processors.core import worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.process import end_process
from streamgauge.stream_processors.settings import WorkerSettings


def main() -> None:
    worker.LOOK_S = 3_600.0
    set_up_logging("metrics")
    end_process(worker.run_worker(build_spec(), WorkerSettings.from_env()))


if __name__ == "__main__":
    main()
