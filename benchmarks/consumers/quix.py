"""Quix Streams' windowed aggregation, as its documentation has it.

python -m benchmarks.consumers.quix N WINDOWS BOOTSTRAP TOPIC STATE_DIR

Runs in an environment of its own. Its windows are per message key, so TOPIC is keyed by app: 10 s
of event time, four aggregates, given out when a window closes, which an event of the same app
after its end does. N events lie in WINDOWS windows. Everything as by default: checkpoints each 5 s,
state in RocksDB with a changelog topic, at least once. Its time ends when the last window comes
out. It knows one label instead of twelve and one resolution instead of three, and stores neither
rows nor windows outside.
"""

from __future__ import annotations

import sys
import uuid
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Sum

from benchmarks.consumers.meter import Meter

SILENT_S = 30.0


def main() -> None:
    """Until all windows are closed; counts what they hold."""
    total, windows = int(sys.argv[1]), int(sys.argv[2])
    bootstrap, name, state_dir = sys.argv[3:6]
    meter = Meter(total)

    def event_time(value: Any, _headers: Any, _timestamp: float, _kind: Any) -> int:
        meter.begin()
        return int(value["ts"])

    app = Application(
        bootstrap, consumer_group=f"quix-{uuid.uuid4().hex[:8]}", auto_offset_reset="earliest",
        state_dir=state_dir, loglevel="WARNING",
    )  # fmt: skip
    events = app.dataframe(app.topic(name, timestamp_extractor=event_time))
    closing = (
        events.tumbling_window(timedelta(seconds=10))
        .agg(
            n=Count(),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            longest_ms=Max("duration_ms"),
        )
        .final()
    )
    closing.update(lambda window: meter.landed(window["n"]))
    closed = app.run(count=windows, timeout=SILENT_S)
    meter.close(windows=len(closed), tokens=sum(window["output_tokens"] for window in closed))


if __name__ == "__main__":
    main()
