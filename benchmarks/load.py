"""Events as a client of ours sends them: about 1 KB, one per message, 30 fields, redacted text.

20 apps, 3 models, 2 % errors, log-normal latencies, seeded: the same n gives the same bytes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator

from confluent_kafka import Producer

T0_MS = 1_790_000_000_000
SPACING_MS = 2
PRODUCERS = 10
WORDS = [
    "please",
    "summarise",
    "the",
    "following",
    "contract",
    "clause",
    "and",
    "list",
    "every",
    "obligation",
    "of",
    "the",
    "buyer",
    "with",
    "its",
    "deadline",
    "in",
    "a",
    "table",
    "then",
    "say",
    "what",
    "is",
    "missing",
    "or",
    "unclear",
    "and",
    "why",
    "that",
    "matters",
]
MODELS = (("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"))


def events(n: int, *, partitions: int, seed: int = 1) -> Iterator[tuple[int, bytes]]:
    """(partition, value) of n events in order of `ts`; a partition has ten clients."""
    rnd = random.Random(seed)  # not for secrets
    for i in range(n):
        partition, turn = i % partitions, i // partitions
        provider, model = MODELS[rnd.randrange(len(MODELS))]
        failed = rnd.random() < 0.02
        event = {
            "v": 1, "id": f"{rnd.getrandbits(128):032x}", "type": "llm.request",
            "ts": T0_MS + i * SPACING_MS, "tenant": "default", "app": f"app-{i % 20}",
            "env": "prod", "team": f"team-{i % 5}", "feature": f"feature-{i % 4}",
            "release": "2026.11.3", "producer_id": f"c{partition:03}{turn // 500 % PRODUCERS:03}",
            "seq": turn // (500 * PRODUCERS) * 500 + turn % 500 + 1,
            "sdk": "streamgauge-python/0.1.0", "host": f"host-{partition}", "op": "chat",
            "provider": provider, "model": model, "response_model": model,
            "status": "error" if failed else "ok", "http_status": 429 if failed else 200,
            "stream": True, "duration_ms": round(rnd.lognormvariate(6.5, 0.8), 3),
            "ttft_ms": round(rnd.lognormvariate(5.0, 0.5), 3),
            "input_tokens": rnd.randrange(20, 4000), "output_tokens": rnd.randrange(1, 900),
            "cache_read_tokens": rnd.randrange(0, 20), "usage_source": "provider",
            "temperature": 0.7, "max_tokens": 1024, "prompt_name": f"prompt-{i % 6}",
            "prompt_version": "3", "input_text": " ".join(rnd.choices(WORDS, k=24)),
            "output_text": " ".join(rnd.choices(WORDS, k=20)), "content": "redacted",
            "input_chars": 150, "output_chars": 130, "messages_n": 3,
        }  # fmt: skip
        event |= {"error_type": "RateLimitError"} if failed else {"finish_reason": "stop"}
        yield partition, json.dumps(event, separators=(",", ":")).encode()


def preload(bootstrap: str, topic: str, n: int, *, partitions: int) -> int:
    """Put n events into the topic; their bytes together."""
    return send(bootstrap, topic, events(n, partitions=partitions))


def send(bootstrap: str, topic: str, values: Iterable[tuple[int, bytes]]) -> int:
    """Put values, each with its partition, into the topic; their bytes together."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "zstd",
         "queue.buffering.max.messages": 200_000, "batch.num.messages": 5_000}
    )  # fmt: skip
    size = 0
    for partition, value in values:
        while True:
            try:
                producer.produce(topic, value, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
        size += len(value)
    if producer.flush(120):
        raise RuntimeError("the broker did not take the events")
    return size
