"""What leaves: valid by the contract, private by default, bounded."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgauge.contracts.bounds import MAX_EVENT_BYTES, MAX_TEXT_BYTES
from streamgauge.contracts.events import ClientStats, Feedback, LlmRequest, parse_event
from streamgauge.contracts.events import PromptRegistration as Prompt
from streamgauge.producers import Client
from streamgauge.producers._build import Builder, Entry, InvalidEventError
from streamgauge.producers._encode import encode_bounded, encode_stdlib
from streamgauge.producers._fields import FEEDBACK, REQUEST
from streamgauge.producers._guard import Notices
from streamgauge.producers._privacy import Privacy
from streamgauge.producers._sender import Sender
from streamgauge.producers._shapes import CallUpdate, FeedbackFields, RequestFields
from streamgauge.producers._values import freeze_fields
from streamgauge.producers.testing import MemorySink, recording

CALL: dict[str, Any] = {"model": "gpt-4o-mini", "provider": "openai", "duration_ms": 12.5}
KEY = "0123456789abcdef0123456789abcdef"
FULL: dict[str, Any] = {
    **CALL,
    "op": "chat", "response_model": "gpt-4o-mini-2024", "response_id": "r1", "status": "error",
    "system_fingerprint": "fp", "server_address": "api.example", "error_type": "RateLimit",
    "http_status": 429, "retries": 2, "stream": True, "ttft_ms": 3.5, "queue_ms": 1, "chunks": 7,
    "chunk_gap_p50_ms": 2.0, "chunk_gap_max_ms": 9.0, "stalls": 0, "input_tokens": 10,
    "output_tokens": 5, "cache_read_tokens": 1, "cache_write_tokens": 2,
    "cache_write_1h_tokens": 1, "reasoning_tokens": 3, "audio_input_tokens": 0,
    "audio_output_tokens": 0, "image_input_tokens": 0, "usage_source": "provider",
    "service_tier": "default", "speed": "fast", "cost_nano_usd": 12_345, "temperature": 0.5,
    "top_p": 1, "max_tokens": 100, "seed": -3, "n": 1, "reasoning_level": "low",
    "output_type": "text", "finish_reason": "stop", "refused": False, "output_valid": True,
    "cache_status": "miss", "prompt_name": "ask", "prompt_version": "3", "template_hash": "ab",
    "variant": "a", "input_text": "q", "output_text": "a", "reference_text": "r",
    "input_chars": 1, "output_chars": 1, "messages_n": 2, "logprob_mean": -0.5,
    "logprob_min": -2.0, "logprob_n": 5, "embedding": "AAAAAA==", "embedding_model": "e",
    "tools": [{"name": "t", "ok": True, "duration_ms": 1.0, "args_chars": 3, "result_chars": 4}],
    "sources": [{"id": "d1", "source": "kb", "score": 0.5, "rank": 1}],
    "guardrails": [{"name": "pii", "action": "pass", "score": 0.1}], "directive_revision": 4,
    "id": "my-id", "tenant": "acme", "app": "other", "env": "dev", "team": "core",
    "feature": "search", "release": "1.2", "region": "eu", "trace_id": "A" * 32,
    "span_id": "b" * 16, "parent_span_id": "c" * 16, "session_id": "s", "user_id": "u1",
    "key_id": "k1", "tags": {"zone": "eu"},
}  # fmt: skip


def one(options: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """The event that one call of log leaves."""
    with recording(**(options or {})) as sent:
        sent.client.log(**fields)
        (request,) = sent.requests
    return request


def builder(**privacy: Any) -> Builder:
    choices: dict[str, Any] = {
        "capture": "redacted", "mask": None, "key": b"", "hash_ids": True, "text_probability": 1.0,
    }  # fmt: skip
    return Builder(
        static={"v": 1, "app": "shop", "producer_id": "p", "sdk": "s", "host": "h"},
        base_tags={},
        privacy=Privacy(**{**choices, **privacy}),
        note=lambda kind: None,
    )


def test_every_field_of_the_contract_can_be_logged_and_comes_out_as_it_went_in() -> None:
    event = one({"hash_ids": False, "capture": "full", "hmac_key": KEY}, **FULL)
    parsed = parse_event(json.dumps(event).encode())
    assert isinstance(parsed, LlmRequest)
    for name, value in FULL.items():
        assert event[name] == (value.lower() if name == "trace_id" else value), name
    set_by_stream = {"cost_source", "price_book"}
    unset = {n for n, v in parsed.model_dump().items() if v is None} - set_by_stream
    assert unset <= {"truncated"}


def test_the_tables_the_type_hints_and_the_contract_name_the_same_fields() -> None:
    by_client = {"v", "type", "producer_id", "seq", "sdk", "host", "content", "truncated"}
    by_client |= {"text_probability", "input_hash", "output_hash", "cost_source", "price_book"}
    hinted = set(RequestFields.__annotations__)
    assert hinted == set(CallUpdate.__annotations__)
    assert hinted | by_client == set(LlmRequest.model_fields)
    texts = {"input_text", "output_text", "reference_text"}
    assert set(REQUEST) | texts | {"id", "ts", "user_id", "key_id", "tags"} == hinted
    assert set(FEEDBACK) <= set(Feedback.model_fields)
    assert set(FeedbackFields.__annotations__) <= set(Feedback.model_fields)


def test_a_request_needs_only_a_model_and_a_duration() -> None:
    event = one(model="m", duration_ms=1)
    assert (event["op"], event["provider"], event["status"]) == ("chat", "unknown", "ok")
    assert (event["tenant"], event["env"], event["app"]) == ("default", "prod", "test")
    assert event["content"] == "none"
    assert "input_text" not in event


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_ms": None}, {"duration_ms": float("nan")}, {"duration_ms": -1},
        {"duration_ms": "12"}, {"model": ""}, {"model": None}, {"status": "fine"}, {"ts": 0},
        {"ts": 10**14}, {"duration_ms": 86_400_001},
    ],
)  # fmt: skip
def test_an_event_without_a_usable_required_field_is_dropped_and_counted(
    wrong: dict[str, Any],
) -> None:
    with recording() as sent:
        sent.client.log(**{**CALL, **wrong})
        assert sent.requests == []
        assert sent.stats.dropped == {"invalid": 1}
        assert sent.stats.last_seq == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_tokens", -1), ("input_tokens", 2**31), ("input_tokens", "7"),
        ("input_tokens", True), ("input_tokens", 1.5), ("cost_nano_usd", 10**15 + 1),
        ("temperature", float("inf")), ("http_status", 70_000), ("stream", 1),
        ("usage_source", "guess"), ("tools", "t"), ("tools", [{"ok": True}]), ("trace_id", "xyz"),
        ("embedding", "no base64!"), ("user_id", object()), ("tags", "zone"), ("no_such", 1),
        ("input_text", 5), ("id", "x" * 65),
    ],
)  # fmt: skip
def test_an_unfit_field_is_left_out_and_counted_and_the_event_is_sent(
    name: str, value: object
) -> None:
    with recording() as sent:
        sent.client.log(**{**CALL, name: value})
        (event,) = sent.requests
        assert event.get(name) != value
        assert sent.stats.errors == 1
    parse_event(json.dumps(event).encode())


def test_unknown_is_absent_never_zero_or_empty() -> None:
    event = one(**CALL, input_tokens=None, finish_reason="", team=None)
    assert not {"input_tokens", "finish_reason", "team"} & set(event)


# -- privacy ---------------------------------------------------------------------------------------
SECRET = "I am jane.roe@example.com, card 4111 1111 1111 1111"


def test_text_is_redacted_by_default_everywhere_it_may_stand() -> None:
    with recording() as sent:
        request = sent.client.log(
            **CALL, input_text=SECRET, output_text=SECRET, reference_text=SECRET,
            tags={"note": SECRET},
        )  # fmt: skip
        sent.client.feedback(request, name="thumbs", value=0, comment=SECRET)
        sent.client.prompt("ask", "Answer as " + SECRET)
        sent.assert_nowhere("jane.roe@example.com")
        sent.assert_nowhere("4111")
        assert sent.requests[0]["input_text"] == "I am [EMAIL], card [CARD]"
        assert sent.requests[0]["content"] == "redacted"
        assert sent.requests[0]["input_chars"] == len(SECRET)


def test_raw_text_leaves_only_on_request() -> None:
    event = one({"capture": "full"}, **CALL, input_text=SECRET)
    assert (event["input_text"], event["content"]) == (SECRET, "full")


@pytest.mark.parametrize("capture", ["hash", "none"])
def test_no_text_leaves_with_hash_or_none(capture: str) -> None:
    with recording(capture=capture, hmac_key=KEY) as sent:  # type: ignore[arg-type]
        request = sent.client.log(**CALL, input_text=SECRET, output_text="fine")
        sent.client.feedback(request, name="t", value=1, comment=SECRET)
        sent.client.prompt("ask", SECRET)
        sent.assert_nowhere("jane")
        sent.assert_nowhere("fine")
        (event,) = sent.requests
    assert event["content"] == capture
    assert (event["input_chars"], event["output_chars"]) == (len(SECRET), 4)
    assert ("input_hash" in event) == (capture == "hash")


def test_hashes_are_keyed_and_of_the_whole_text() -> None:
    event = one({"hmac_key": KEY}, **CALL, input_text=SECRET, user_id="jane", key_id="k")
    expected = hmac.new(KEY.encode(), SECRET.encode(), hashlib.sha256).hexdigest()[:32]
    assert event["input_hash"] == expected
    assert event["user_id"] == hmac.new(KEY.encode(), b"jane", hashlib.sha256).hexdigest()[:32]
    assert one({"hmac_key": KEY[::-1]}, **CALL, user_id="jane")["user_id"] != event["user_id"]


def test_without_a_key_identities_are_left_out_and_that_is_said() -> None:
    with recording() as sent:
        sent.client.log(**CALL, user_id="jane", input_text="text")
        (event,) = sent.requests
        assert not {"user_id", "input_hash"} & set(event)
        assert sent.stats.problems == {"no_hmac_key": 1}


def test_identities_are_raw_only_on_request() -> None:
    assert one({"hash_ids": False}, **CALL, user_id="jane")["user_id"] == "jane"


def test_the_apps_mask_comes_before_everything_else() -> None:
    seen = []

    def mask(text: str) -> str:
        seen.append(text)
        return text.replace("Roe", "[NAME]")

    event = one({"mask": mask}, **CALL, input_text="Jane Roe, jane@example.com")
    assert seen == ["Jane Roe, jane@example.com"]
    assert event["input_text"] == "Jane [NAME], [EMAIL]"


def _exit(text: str) -> str:
    raise SystemExit


@pytest.mark.parametrize("mask", [lambda text: 1 / 0, lambda text: None, _exit])
def test_a_mask_that_fails_lets_no_text_out_and_loses_no_event(mask: Any) -> None:
    with recording(mask=mask) as sent:
        sent.client.log(**CALL, input_text=SECRET)
        sent.client.log(**CALL, input_text=SECRET)
        assert [e["content"] for e in sent.requests] == ["none", "none"]
        sent.assert_nowhere("jane")
        assert sent.stats.problems == {"mask_failed": 2}


def test_sampling_drops_text_only_and_a_trace_is_all_in_or_all_out() -> None:
    with recording(text_probability=0.25, heartbeat_s=3600) as sent:
        for i in range(2000):
            for _ in range(2):
                sent.client.log(**CALL, input_text="t", input_tokens=1, trace_id=f"{i:032x}")
        requests = sent.requests
    assert len(requests) == 4000
    assert all(r["text_probability"] == 0.25 and r["input_tokens"] == 1 for r in requests)
    kept = {r["trace_id"] for r in requests if r["content"] == "redacted"}
    out = {r["trace_id"] for r in requests if r["content"] == "sampled_out"}
    assert not kept & out
    assert len(kept) + len(out) == 2000
    assert 400 < len(kept) < 600  # 500 expected, sd 19
    assert all(("input_text" in r) == (r["trace_id"] in kept) for r in requests)


def test_errors_keep_their_text_whatever_the_sample() -> None:
    event = one({"text_probability": 1e-6}, **CALL, status="error", input_text="t")
    assert (event["content"], event["text_probability"]) == ("redacted", 1.0)


# -- bounds ----------------------------------------------------------------------------------------
def test_long_texts_keep_head_and_tail_within_8_kib() -> None:
    text = "head " + "\u4e16" * 200_000 + " tail"
    event = one({"capture": "full"}, **CALL, input_text=text, output_text="short")
    assert len(event["input_text"].encode()) <= MAX_TEXT_BYTES
    assert event["input_text"].startswith("head \u4e16")
    assert event["input_text"].endswith("\u4e16 tail")
    assert (event["input_chars"], event["truncated"]) == (len(text), True)


def test_a_secret_on_the_edge_of_what_the_queue_keeps_does_not_slip_through() -> None:
    """The queue keeps 32,768 characters of each end; digits that straddle it match no pattern."""
    address = "a" * 60 + "@" + "b" * 60 + ".example "  # shrinks to an eighth by redaction
    head = (address * 400)[: 32_768 - 10] + "4111 1111 1111 1111"
    event = one(**CALL, input_text=head + " " * 70_000)
    assert event["input_text"].startswith("[EMAIL]")
    assert "4111" not in event["input_text"]


def test_an_event_that_is_too_large_sheds_lists_and_tags_then_text() -> None:
    control = "\u0001" * 8_000  # six bytes each in JSON
    with recording(capture="full") as sent:
        sent.client.log(
            **CALL, input_text=control, output_text=control, tags={"a": "b"},
            tools=[{"name": "t" * 250}] * 32,
        )  # fmt: skip
        (event,) = sent.requests
        assert len(sent.sink.records[0][1]) <= MAX_EVENT_BYTES
    assert not {"tags", "tools"} & set(event)
    assert event["truncated"] is True
    assert event["input_text"].startswith("\u0001")


def test_an_event_that_cannot_fit_is_dropped_and_leaves_no_gap() -> None:
    sink = MemorySink()
    sender = Sender(
        producer_id="p", encode=encode_stdlib, make_sink=lambda: sink, notices=Notices()
    )
    for event in ({"type": "a"}, {"type": "x", "huge": "x" * MAX_EVENT_BYTES}, {"type": "b"}):
        assert sender.submit(event)
    sender.poll()
    assert [json.loads(value)["seq"] for _, value in sink.records] == [1, 2]
    assert (sender.dropped, sender.last_seq, sender.sent) == ({"too_large": 1}, 2, 2)


@given(st.dictionaries(st.sampled_from(sorted(REQUEST)), st.deferred(lambda: json_like)))
@settings(max_examples=300)
def test_whatever_is_logged_leaves_a_valid_event_or_none(fields: dict[str, Any]) -> None:
    entry_fields = {**CALL, **fields}
    freeze_fields(entry_fields)
    try:
        event = builder().build(Entry("llm.request", "id", 1_700_000_000_000, entry_fields, None))
    except InvalidEventError:
        return
    value = encode_bounded({**event, "seq": 1}, encode_stdlib)
    assert value is not None
    assert isinstance(parse_event(value), LlmRequest)


json_like: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.text(st.characters(), max_size=100), st.text(st.characters(), max_size=100))
def test_strange_text_always_leaves_as_valid_json(text: str, user: str) -> None:
    fields: dict[str, Any] = {**CALL, "input_text": text, "user_id": user, "tags": {user: text}}
    freeze_fields(fields)
    event = builder(key=b"k" * 16).build(
        Entry("llm.request", "id", 1_700_000_000_000, fields, None)
    )
    value = encode_bounded({**event, "seq": 1}, encode_stdlib)
    assert value is not None
    parsed = parse_event(value)
    assert isinstance(parsed, LlmRequest)
    assert parsed.input_text is not None
    assert "\0" not in parsed.input_text


def test_faster_encoders_write_the_same_event() -> None:
    import msgspec.json

    with recording(hmac_key=KEY) as sent:
        sent.client.log(**FULL)
        (event,) = sent.requests
    assert json.loads(msgspec.json.encode(event)) == json.loads(encode_stdlib(event)) == event


# -- the others ------------------------------------------------------------------------------------
def test_feedback_points_to_its_request() -> None:
    with recording() as sent:
        target = sent.client.log(**CALL)
        sent.client.feedback(target, name="thumbs", value=True, comment="good")
        sent.client.feedback(response_id="r-1", name="flag", label="wrong", annotator="code")
        events = sent.of_type("llm.feedback")
    for event in events:
        assert isinstance(parse_event(json.dumps(event).encode()), Feedback)
    assert (events[0]["target_id"], events[0]["value"], events[0]["annotator"]) == (
        target,
        1.0,
        "human",
    )
    assert (events[1]["response_id"], events[1]["label"]) == ("r-1", "wrong")


@pytest.mark.parametrize(
    ("target", "fields"),
    [("", {"name": "n", "value": 1}), ("t", {"name": "n"}), ("t", {"value": 1})],
)
def test_feedback_that_says_nothing_or_points_nowhere_is_dropped_and_counted(
    target: str, fields: dict[str, Any]
) -> None:
    with recording() as sent:
        sent.client.feedback(target, **fields)
        assert sent.stats.dropped == {"invalid": 1}


def test_a_prompt_registers_its_template_under_its_hash() -> None:
    with recording() as sent:
        digest = sent.client.prompt("ask", "Answer {question}", labels=["production"])
        sent.client.prompt("ask", "Answer {question}", version="7")
        events = sent.of_type("llm.prompt")
    assert digest == hashlib.sha256(b"Answer {question}").hexdigest()[:32]
    for event, version in zip(events, (digest, "7"), strict=True):
        assert isinstance(parse_event(json.dumps(event).encode()), Prompt)
        assert (event["prompt_version"], event["template_hash"]) == (version, digest)
    assert events[0]["labels"] == ["production"]


def test_a_heartbeat_is_a_valid_event() -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    client.log(**CALL)
    client.close()
    assert isinstance(parse_event(sink.records[-1][1]), ClientStats)


def test_ids_of_the_active_span_are_taken_where_opentelemetry_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "trace_id" not in one(**CALL)

    class Context:
        is_valid = True
        trace_id = 0xABC
        span_id = 0xDEF

    class Span:
        def get_span_context(self) -> Context:
            return Context()

    module = types.ModuleType("opentelemetry.trace")
    module.get_current_span = Span  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", module)
    event = one(**CALL)
    assert (event["trace_id"], event["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    with recording() as sent:  # a judgement is given in another trace than the call it judges
        sent.client.feedback("target", name="n", value=1)
        assert "trace_id" not in sent.of_type("llm.feedback")[0]
