"""Client of streamgauge: `python -m benchmarks.peers.emit_ours SPANS.json BOOTSTRAP PREFIX`.

Texts are sent whole. It waits while its queue is half full, so that it drops nothing. Prints one
JSON line: when the first call was logged (time.time), and the client's CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from streamgauge.producers import Client

LOOK_EVERY = 500


def main() -> None:
    """Log every call, flush, say so."""
    spans = json.loads(Path(sys.argv[1]).read_text())
    client = Client(
        app="bench", bootstrap=sys.argv[2], topic_prefix=sys.argv[3], capture="full",
        hash_ids=False, queue_events=50_000, queue_bytes=256 * 1024 * 1024,
    )  # fmt: skip
    began, cpu = time.time(), time.process_time()
    for i, s in enumerate(spans):
        client.log(
            op="chat", provider="openai", model=s["model"], status="ok",
            duration_ms=s["duration_ms"], input_tokens=s["input_tokens"],
            output_tokens=s["output_tokens"], input_text=s["prompt"], output_text=s["answer"],
            user_id=s["user"], session_id=s["session"],
        )  # fmt: skip
        if i % LOOK_EVERY == 0:
            while client.stats().queue_events > 25_000:
                time.sleep(0.005)
    client.flush(60)
    stats = client.stats()
    if stats.sent < len(spans):
        raise SystemExit(f"{stats.sent} of {len(spans)} were sent; dropped {stats.dropped}")
    print(json.dumps({"began": began, "client_cpu_s": time.process_time() - cpu}))
    client.close()


if __name__ == "__main__":
    main()
