"""A tenant that names a new model with each call: the default cap holds, and nothing is lost.

The processor as it ships (its own caps, price book and memory), without Kafka and store. Few names
and a small cap go through a real broker in tests/integration/metrics/test_bad_input.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.metrics.pricing import MEMO_MAX, PriceBook
from streamgauge.stream_processors.metrics.processor import MetricsProcessor
from streamgauge.stream_processors.reading.labels import CAP, MAP_CAP, OTHER
from streamgauge.stream_processors.reading.memory import Memory

N = 100_000
PER_FLUSH = 10_000
T0 = 1_790_000_000_000


def event(i: int) -> bytes:
    """Call i of the careless tenant; every thousandth is another tenant's, with one model."""
    other = i % 1_000 == 0
    return json.dumps(
        {
            "v": 1, "id": f"e{i}", "type": "llm.request", "ts": T0 + i, "app": "a", "op": "chat",
            "tenant": "calm" if other else "careless", "provider": "own" if not other else "openai",
            "model": "gpt-4o" if other else f"model-{i}", "response_model": f"answer-{i}",
            "status": "ok", "duration_ms": 5, "content": "none", "input_tokens": i,
        }
    ).encode()  # fmt: skip


def flush(processor: MetricsProcessor, numbers: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Rows of one flush of these events, each at the offset of its number."""
    chunk = Chunk(
        "t@1", 0, numbers[0], numbers[-1] + 1, list(numbers), [event(i) for i in numbers],
        [T0 + i for i in numbers], frozenset(processor.tables),
    )  # fmt: skip
    processor.absorb(chunk)
    built = processor.cut(now_ms=T0 + N).build()
    columns = {
        "windows": ["resolution", "tenant", "model", "n", "input_tokens", "response_models"],
        "events": ["model"],
        "label_values": ["tenant", "label", "value"],
    }
    return {t: built[t].select(names).to_pylist() for t, names in columns.items() if t in built}


def test_a_hundred_thousand_model_names_share_one_cell_beyond_the_default_cap() -> None:
    book = PriceBook()
    processor = MetricsProcessor(book)
    cells: Counter[tuple[int, str, str]] = Counter()
    tokens: Counter[int] = Counter()
    labels: list[tuple[str, str, str]] = []
    names: set[str] = set()
    answers: set[str] = set()
    for start in range(0, N, PER_FLUSH):
        if start == N // 2:  # a restart remembers what the store knows, and nothing else
            processor.reset()
            processor.restore(Memory(seen={}, labels=labels))
        rows = flush(processor, range(start, start + PER_FLUSH))
        for row in rows["windows"]:
            cells[row["resolution"], row["tenant"], row["model"]] += row["n"]
            tokens[row["resolution"]] += row["input_tokens"]
            if row["tenant"] == "careless":
                answers.update(name for name, _ in row["response_models"])
        labels += [tuple(row.values()) for row in rows.get("label_values", [])]
        names.update(row["model"] for row in rows["events"])

    admitted = [f"model-{i}" for i in range(1, N) if i % 1_000][:CAP]  # the first that came
    careless = N - N // 1_000
    for resolution in (10, 60, 3600):
        of = {(tenant, model): n for (r, tenant, model), n in cells.items() if r == resolution}
        assert of == {
            **{("careless", model): 1 for model in admitted},
            ("careless", OTHER): careless - CAP,
            ("calm", "gpt-4o"): N // 1_000,
        }
    assert set(tokens.values()) == {N * (N - 1) // 2}
    assert len(answers) == MAP_CAP + 1
    assert OTHER in answers
    assert [
        value for tenant, label, value in labels if (tenant, label) == ("careless", "model")
    ] == (admitted)
    assert len(names) == careless + 1  # raw events keep the true name
    assert len(book._models) <= MEMO_MAX
    assert len(book._memo) <= MEMO_MAX
