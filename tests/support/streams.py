"""Hypothesis strategies: the messages of one partition, of every type, good, bad and repeated."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

T0 = 1_790_000_000_000
APPEND_MS = T0 + 10_000_000
REQUEST = "llm.request"

Fields = dict[str, Any]
Strategy = st.SearchStrategy[Any]

words = st.sampled_from(["a", "b", "c"])
models = st.sampled_from(["gpt-4o", "gpt-4o-mini", "nobody-knows"])
statuses = st.sampled_from(["ok", "error", "timeout", "cancelled"])
versions = st.sampled_from(["1", "2"])
durations = st.floats(0, 90_000) | st.integers(0, 90_000)
tokens = st.none() | st.integers(0, 5_000)
counts = st.integers(0, 50)
times = st.integers(T0, T0 + 9_000_000) | st.integers(APPEND_MS - 100_000, APPEND_MS)
calls = st.builds(lambda partition, i: f"{partition}-{i}", st.integers(0, 1), st.integers(0, 24))
"""Ids of events: partition and place in it."""
REFS = {"target_id": "", "response_id": "r", "trace_id": "t"}
"""What a judgement may point to; that of a request is this and its id, so nobody else has it."""


def of(kind: str, required: dict[str, Strategy], **optional: Strategy) -> Strategy:
    """Events of a type, without id, client and number."""
    envelope = {"v": st.just(1), "type": st.just(kind), "ts": times, "app": words}
    return st.fixed_dictionaries(
        envelope | required, optional={"tenant": words, "team": words, **optional}
    )


def judgements(kind: str) -> Strategy:
    """Of requests that there are, or not."""
    says = {"name": words, "annotator": st.sampled_from(["human", "llm"]), "label": words}
    return st.builds(
        lambda event, ref, call: event | {ref: REFS[ref] + call},
        of(kind, says, value=st.floats(-1, 1), evaluator=words, user_id=words),
        st.sampled_from(sorted(REFS)),
        calls,
    )


def registered(prompt: Fields) -> Fields:
    """What it says follows from its ts: of two with the same ts either may count."""
    ts = prompt["ts"]
    return prompt | {"template_hash": f"h{ts}", "labels": ["production"] if ts % 2 else []}


requests = of(
    REQUEST,
    {
        "op": st.just("chat"),
        "provider": st.just("openai"),
        "model": models,
        "status": statuses,
        "duration_ms": durations,
        "content": st.just("none"),
    },
    error_type=words,
    http_status=st.sampled_from([200, 429, 500]),
    ttft_ms=st.floats(0, 9_000),
    input_tokens=tokens,
    output_tokens=tokens,
    cost_nano_usd=st.integers(0, 1_000_000_000),
    cache_status=st.sampled_from(["hit", "miss"]),
    finish_reason=words,
    prompt_name=words,
    prompt_version=versions,
    user_id=words,
    key_id=words,
    refused=st.booleans(),
    retries=st.integers(0, 5),
)
source = st.fixed_dictionaries({"id": words, "score": st.floats(0, 1), "rank": counts})
step = {"name": words, "status": statuses, "duration_ms": durations}
OTHERS: dict[str, Strategy] = {
    "llm.start": of(
        "llm.start",
        {"call_id": calls, "op": st.just("chat"), "provider": st.just("openai"), "model": models},
    ),
    "llm.tool": of("llm.tool", step, call_id=calls, error_type=words, input_chars=counts),
    "llm.retrieval": of("llm.retrieval", step, sources=st.lists(source, max_size=2)),
    "llm.feedback": judgements("llm.feedback"),
    "llm.evaluation": judgements("llm.evaluation"),
    "llm.prompt": of("llm.prompt", {"prompt_name": words, "prompt_version": versions}).map(
        registered
    ),
    "client.stats": of(
        "client.stats",
        {},
        accepted=counts,
        sent=counts,
        dropped=st.dictionaries(
            st.sampled_from(["queue_full", "delivery_timeout"]), st.integers(1, 9), min_size=1
        ),
        spooled=counts,
        errors=counts,
    ),
    "llm.unheard_of": of("llm.unheard_of", {}),
}
"""Events of the other types, and of one that there is not."""
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
def streams(draw: st.DrawFn, least: int = 1, partition: int = 0) -> list[bytes]:
    """Messages of one partition: requests, other events, repeats of earlier ones, and bad ones."""
    values: list[bytes] = []
    others = st.one_of(*OTHERS.values())
    for i in range(draw(st.integers(least, 25))):
        kind = draw(st.integers(0, 9))
        if kind == 0:
            values.append(draw(bad))
        elif kind == 1 and values:
            values.append(draw(st.sampled_from(values)))
        else:
            drawn: Fields = draw(requests if kind < 7 else others)
            event = {k: v for k, v in drawn.items() if v is not None} | {"id": f"{partition}-{i}"}
            if event["type"] == REQUEST:
                refs = draw(st.sets(st.sampled_from(["response_id", "trace_id"])))
                event |= {ref: REFS[ref] + event["id"] for ref in sorted(refs)}
            if draw(st.booleans()):
                event |= {"producer_id": draw(st.sampled_from(["p", "q"])), "seq": i + 1}
            values.append(json.dumps(event).encode())
    return values


def every_type(partition: int) -> list[bytes]:
    """A stream by hand with an event of every type and a bad one: no view stays empty.

    The client's clock goes back before its second heartbeat, and the event with the latest ts is of
    the type that there is not.
    """
    call = f"{partition}-0"
    ran = {"name": "a", "status": "ok", "duration_ms": 7, "call_id": call}
    says = {"name": "thumbs", "annotator": "human", "label": "up", "user_id": "c"}
    asked = {"op": "chat", "provider": "openai", "model": "gpt-4o"}
    prompt = {"prompt_name": "a", "prompt_version": "1"}
    events: list[Fields] = [
        {
            "type": REQUEST, "status": "error", "error_type": "b", "http_status": 429,
            "duration_ms": 1_250, "content": "none", "input_tokens": 40, "finish_reason": "c",
            "cost_nano_usd": 9, "user_id": "a", "key_id": "b", "trace_id": f"t{call}",
            **asked, **prompt,
        },
        {"type": "llm.start", "call_id": call, **asked},
        {"type": "llm.tool", **ran},
        {"type": "llm.retrieval", **ran, "sources": [{"id": "d", "score": 0.5, "rank": 1}]},
        {"type": "llm.feedback", "target_id": call, **says},
        {"type": "llm.evaluation", "trace_id": f"t{call}", "value": 0.5, **says},
        {"type": "llm.prompt", "template_hash": "h1", "labels": ["production"], **prompt},
        {"type": "client.stats", "accepted": 9, "sent": 8, "dropped": {"queue_full": 2}},
        {"type": "client.stats", "accepted": 10, "sent": 9, "ts": T0 - 5_000},
        {"type": "llm.unheard_of", "ts": T0 + 60_000},
    ]  # fmt: skip
    envelope = {"v": 1, "ts": T0, "app": "a", "producer_id": f"p{partition}"}
    return [
        *(
            json.dumps(envelope | {"id": f"{partition}-{i}", "seq": i + 1} | event).encode()
            for i, event in enumerate(events)
        ),
        b"{",
    ]
