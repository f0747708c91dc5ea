"""A metrics worker on two topics, `events.v1` and `archive.v1`. Run as a module, as any worker."""

from __future__ import annotations

from dataclasses import replace

from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.core.worker import run_worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.process import end_process
from streamgauge.stream_processors.settings import WorkerSettings

ARCHIVE = replace(EVENTS, name="archive.v1")


def main() -> None:
    set_up_logging("metrics")
    spec = replace(build_spec(), topics=(EVENTS, ARCHIVE))
    end_process(run_worker(spec, WorkerSettings.from_env()))


if __name__ == "__main__":
    main()
