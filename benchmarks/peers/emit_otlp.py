"""Client of a tool that takes OTLP: `python emit_otlp.py SPANS.json URL [HEADER=VALUE ...]`.

Runs in the tool's own environment, with opentelemetry's SDK and nothing of ours. Attributes are
those of OpenInference, which both tools read. Its queue is as large as the work, so that it drops
nothing. Prints one JSON line: when the first span began (time.time), and the client's CPU seconds.
"""

import json
import sys
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # type: ignore[import-not-found]
from opentelemetry.sdk.resources import Resource  # type: ignore[import-not-found]
from opentelemetry.sdk.trace import TracerProvider  # type: ignore[import-not-found]
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # type: ignore[import-not-found]


def main() -> None:
    """Emit every span, flush, say so."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spans = json.load(file)
    headers = dict(pair.split("=", 1) for pair in sys.argv[3:])
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    exporter = OTLPSpanExporter(sys.argv[2], headers=headers, timeout=120)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=len(spans) + 512, max_export_batch_size=512)
    )
    tracer = provider.get_tracer("bench")
    began, cpu = time.time(), time.process_time()
    for s in spans:
        start_ns = time.time_ns() - int(s["duration_ms"] * 1e6)
        span = tracer.start_span(
            "chat",
            start_time=start_ns,
            attributes={
                "openinference.span.kind": "LLM",
                "llm.model_name": s["model"],
                "llm.provider": "openai",
                "input.value": s["prompt"],
                "output.value": s["answer"],
                "llm.token_count.prompt": s["input_tokens"],
                "llm.token_count.completion": s["output_tokens"],
                "llm.token_count.total": s["input_tokens"] + s["output_tokens"],
                "user.id": s["user"],
                "session.id": s["session"],
            },
        )
        span.end()
    if not provider.force_flush(600_000):
        sys.exit("the exporter did not flush within 600 s")
    print(json.dumps({"began": began, "client_cpu_s": time.process_time() - cpu}))
    provider.shutdown()


if __name__ == "__main__":
    main()
