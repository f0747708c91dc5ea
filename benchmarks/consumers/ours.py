"""The metrics worker itself.

python -m benchmarks.consumers.ours N [PARTITIONS]

Until so many events have landed. With PARTITIONS it takes nothing before it has just so many: of
two workers each begins when the other is there, and neither is charged for the other's start.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from benchmarks.consumers.meter import Meter
from streamgauge.contracts.errors import Retryable
from streamgauge.stream_processors import telemetry
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.core.worker import run_worker
from streamgauge.stream_processors.logs import set_up_logging
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.metrics.processor import MetricsProcessor
from streamgauge.stream_processors.settings import WorkerSettings


def main() -> None:
    """Run until so many events have landed."""
    set_up_logging("metrics")
    meter = Meter(int(sys.argv[1]))
    share = int(sys.argv[2]) if len(sys.argv) > 2 else None
    spec = build_spec()
    processor = spec.processor
    assert isinstance(processor, MetricsProcessor)
    absorb = processor.absorb

    def metered(chunk: Chunk) -> int | None:
        meter.begin()
        return absorb(chunk)

    def landed(writer: str, result: str, rows: Mapping[str, int], seconds: float) -> None:
        if meter.landed(rows.get("events", 0)):
            meter.close()

    def recall(settings: WorkerSettings, positions: Mapping[str, int]) -> object:
        if share is not None and not meter.began and len(positions) != share:
            raise Retryable(f"{len(positions)} partitions are assigned: waits for {share}")
        assert spec.recall is not None
        return spec.recall(settings, positions)

    processor.absorb = metered  # type: ignore[method-assign]
    telemetry.show_flush = landed
    run_worker(replace(spec, processor=processor, recall=recall), WorkerSettings.from_env())


if __name__ == "__main__":
    main()
