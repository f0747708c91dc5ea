"""Hypothesis strategies: the messages of one partition, good, bad and repeated."""

from __future__ import annotations

import json

from hypothesis import strategies as st

T0 = 1_790_000_000_000
APPEND_MS = T0 + 10_000_000

words = st.sampled_from(["a", "b", "c"])
tokens = st.none() | st.integers(0, 5_000)
requests = st.fixed_dictionaries(
    {
        "v": st.just(1),
        "type": st.just("llm.request"),
        "ts": st.integers(T0, T0 + 9_000_000) | st.integers(APPEND_MS - 100_000, APPEND_MS),
        "app": words,
        "op": st.just("chat"),
        "provider": st.just("openai"),
        "model": st.sampled_from(["gpt-4o", "gpt-4o-mini", "nobody-knows"]),
        "status": st.sampled_from(["ok", "error", "timeout", "cancelled"]),
        "duration_ms": st.floats(0, 90_000) | st.integers(0, 90_000),
        "content": st.just("none"),
    },
    optional={
        "tenant": words,
        "team": words,
        "error_type": words,
        "http_status": st.sampled_from([200, 429, 500]),
        "ttft_ms": st.floats(0, 9_000),
        "input_tokens": tokens,
        "output_tokens": tokens,
        "cache_status": st.sampled_from(["hit", "miss"]),
        "refused": st.booleans(),
        "retries": st.integers(0, 5),
    },
)
bad = st.sampled_from(
    [
        b"{",
        b"",
        b'{"v":2}',
        b"null",
        b'{"v":1,"id":"x"}',
        b'{"v":2,"app":"a","producer_id":"p","seq":99}',
    ]
)


@st.composite
def streams(draw: st.DrawFn, least: int = 1) -> list[bytes]:
    """Messages of one partition: requests, repeats of earlier ones, and bad ones."""
    values: list[bytes] = []
    for i in range(draw(st.integers(least, 25))):
        kind = draw(st.integers(0, 9))
        if kind == 0:
            values.append(draw(bad))
        elif kind == 1 and values:
            values.append(draw(st.sampled_from(values)))
        else:
            event = {k: v for k, v in draw(requests).items() if v is not None} | {"id": f"e{i}"}
            if draw(st.booleans()):
                event |= {"producer_id": draw(st.sampled_from(["p", "q"])), "seq": i + 1}
            values.append(json.dumps(event).encode())
    return values
