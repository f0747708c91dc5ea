"""Entry point of the metrics worker: `run()` works until SIGTERM and exits 0.

Environment: settings.py; STREAMGAUGE_TEXTS=1 also stores texts (off by default),
STREAMGAUGE_LABEL_CAP values of a label per tenant in windows (1000).
Misconfigured exits 2, Unreachable exits 3, each with one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from streamgauge.contracts.environment import switch
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.contracts.topics import EVENTS
from streamgauge.stream_processors.core.worker import WorkerSpec, run_worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import SLOW_TABLES, MetricsProcessor
from streamgauge.stream_processors.metrics.recall import recall_metrics
from streamgauge.stream_processors.process import end_process
from streamgauge.stream_processors.reading.requests import label_cap
from streamgauge.stream_processors.settings import WorkerSettings


def build_spec(env: Mapping[str, str] = os.environ) -> WorkerSpec:
    """The metrics worker, as the environment wants it."""
    processor = MetricsProcessor(
        PriceBook(),
        texts=switch(env, "STREAMGAUGE_TEXTS"),
        label_cap=label_cap(env),
    )
    return WorkerSpec(processor, (EVENTS,), recall_metrics, SLOW_TABLES)


def run() -> None:
    """Run until SIGTERM, then exit 0."""
    try:
        set_up_logging("metrics")
        code = run_worker(build_spec(), WorkerSettings.from_env())
    except StreamgaugeError as e:
        sys.stderr.write(f"streamgauge metrics: {e}\n")
        code = e.exit_code
    end_process(code)


if __name__ == "__main__":
    run()
