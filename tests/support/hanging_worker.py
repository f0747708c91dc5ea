"""A metrics worker with a bug: `HANG=loop` or `HANG=build` makes it hang for good at an event.

Run as a module, with the environment of any worker. The limits of its health are a few seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

import pyarrow as pa

from streamgauge.stream_processors.core import health
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.core.worker import run_worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.cut import MetricsCut
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.metrics.processor import MetricsProcessor
from streamgauge.stream_processors.settings import WorkerSettings

POISON = b"hang here"


def hang() -> None:
    while True:
        time.sleep(1)


def main() -> None:
    health.LOOP_S = 3.0
    health.LONG_STAGE_S["build"] = 3.0
    set_up_logging("metrics")
    spec = build_spec()
    assert isinstance(spec.processor, MetricsProcessor)
    absorb, build = spec.processor.absorb, MetricsCut.build

    def absorb_or_hang(chunk: Chunk) -> int | None:
        if os.environ["HANG"] == "loop" and POISON in chunk.values:
            hang()
        return absorb(chunk)

    def build_or_hang(cut: MetricsCut) -> Mapping[str, pa.Table]:
        if os.environ["HANG"] == "build" and any(d.raw == POISON for d in cut.dead_letters):
            hang()
        return build(cut)

    spec.processor.absorb = absorb_or_hang  # type: ignore[method-assign]
    setattr(MetricsCut, "build", build_or_hang)  # noqa: B010  # mypy sees no method in it
    sys.exit(run_worker(spec, WorkerSettings.from_env()))


if __name__ == "__main__":
    main()
