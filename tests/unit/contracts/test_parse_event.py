"""The exact outcome of each kind of bad input, and of what only looks bad."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamgauge.contracts import bounds
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import (
    EVENT_TYPES,
    Feedback,
    LlmRequest,
    UnknownEvent,
    check_bounds,
    parse_counted,
    parse_event,
)
from streamgauge.contracts.reasons import Reject

GOOD: dict[str, Any] = {
    "v": 1, "id": "a", "type": "llm.request", "ts": 1_760_000_000_000, "app": "shop", "op": "chat",
    "provider": "openai", "model": "gpt-4o-mini", "status": "ok", "duration_ms": 5.5,
    "content": "none",
}  # fmt: skip
FEEDBACK: dict[str, Any] = {
    "v": 1, "id": "f", "type": "llm.feedback", "ts": 1_760_000_000_000, "app": "shop",
    "name": "thumbs", "annotator": "human", "target_id": "a", "value": 1,
}  # fmt: skip


def raw(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def without(*names: str) -> bytes:
    return json.dumps({k: v for k, v in GOOD.items() if k not in names}).encode()


def reason_of(data: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        parse_event(data)
    return caught.value.reason


def request(data: bytes) -> LlmRequest:
    event = parse_event(data)
    assert isinstance(event, LlmRequest)
    return event


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reject.BAD_JSON),
        (raw()[:-5], Reject.BAD_JSON),
        (raw() + b"x", Reject.BAD_JSON),
        (b"\xef\xbb\xbf" + raw(), Reject.BAD_JSON),
        (raw(app="\x01x").replace(b"\\u0001", b"\x01"), Reject.BAD_JSON),
        (raw().replace(b"shop", b"sh\xffop"), Reject.BAD_JSON),
        (raw(later="x").replace(b'"x"', b'"\xff"'), Reject.BAD_JSON),
        (raw(temperature=float("nan")), Reject.BAD_JSON),
        (raw(temperature=float("-inf")), Reject.BAD_JSON),
        (b"[" * 60_000, Reject.BAD_JSON),
        (b"null", Reject.WRONG_TYPE),
        (b"[]", Reject.WRONG_TYPE),
        (raw(input_text="x" * 65_536), Reject.TOO_LARGE),
        (raw(v=2), Reject.UNKNOWN_MAJOR),
        (raw(v=0), Reject.UNKNOWN_MAJOR),
        (b'{"v":2}', Reject.UNKNOWN_MAJOR),
        (raw(v=1.0), Reject.WRONG_TYPE),
        (raw(v=True), Reject.WRONG_TYPE),
        (raw(v="1"), Reject.WRONG_TYPE),
        (raw(v=None), Reject.MISSING_FIELD),
        (without("v"), Reject.MISSING_FIELD),
        (without("type"), Reject.MISSING_FIELD),
        (without("app"), Reject.MISSING_FIELD),
        (without("duration_ms"), Reject.MISSING_FIELD),
        (raw(model=None), Reject.MISSING_FIELD),
        (raw(type=5), Reject.WRONG_TYPE),
        (raw(type="llm.later", app=None), Reject.MISSING_FIELD),
        (raw(input_tokens=1.0), Reject.WRONG_TYPE),
        (raw(input_tokens=True), Reject.WRONG_TYPE),
        (raw(input_tokens="5"), Reject.WRONG_TYPE),
        (raw(duration_ms="5"), Reject.WRONG_TYPE),
        (raw(duration_ms=True), Reject.WRONG_TYPE),
        (raw(stream=1), Reject.WRONG_TYPE),
        (raw(model=5), Reject.WRONG_TYPE),
        (raw(tags={"a": 1}), Reject.WRONG_TYPE),
        (raw(tools=[None]), Reject.WRONG_TYPE),
        (raw(tools={}), Reject.WRONG_TYPE),
        (raw(tools=[{"ok": True}]), Reject.MISSING_FIELD),
        (raw(status="fine"), Reject.UNKNOWN_VALUE),
        (raw(status=1), Reject.WRONG_TYPE),
        (raw(temperature=12345).replace(b"12345", b"1e400"), Reject.NOT_FINITE),
        (raw(duration_ms=10**400), Reject.NOT_FINITE),
        (raw(ts=0), Reject.TS_TOO_OLD),
        (raw(ts=bounds.TS_MIN_MS - 1), Reject.TS_TOO_OLD),
        (raw(ts=-(10**30)), Reject.TS_TOO_OLD),
        (raw(ts=2**63), Reject.OUT_OF_BOUNDS),
        (raw(duration_ms=-0.001), Reject.OUT_OF_BOUNDS),
        (raw(duration_ms=86_400_000.5), Reject.OUT_OF_BOUNDS),
        (raw(input_tokens=-1), Reject.OUT_OF_BOUNDS),
        (raw(input_tokens=2**31), Reject.OUT_OF_BOUNDS),
        (raw(cost_nano_usd=-1), Reject.OUT_OF_BOUNDS),
        (raw(cost_nano_usd=10**15 + 1), Reject.OUT_OF_BOUNDS),
        (raw(cost_nano_usd=10**40), Reject.OUT_OF_BOUNDS),
        (raw(seq=0), Reject.OUT_OF_BOUNDS),
        (raw(text_probability=0), Reject.OUT_OF_BOUNDS),
        (raw(text_probability=1.01), Reject.OUT_OF_BOUNDS),
        (raw(id="x" * 65), Reject.OUT_OF_BOUNDS),
        (raw(id=""), Reject.OUT_OF_BOUNDS),
        (raw(tenant=""), Reject.OUT_OF_BOUNDS),
        (raw(model="x" * 257), Reject.OUT_OF_BOUNDS),
        (raw(tags={str(i): "x" for i in range(17)}), Reject.OUT_OF_BOUNDS),
        (raw(tags={"k" * 41: "x"}), Reject.OUT_OF_BOUNDS),
        (raw(tags={"k": "v" * 201}), Reject.OUT_OF_BOUNDS),
        (raw(tools=[{"name": "t"}] * 33), Reject.OUT_OF_BOUNDS),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_its_reason(data: bytes, reason: Reject) -> None:
    assert reason_of(data) == reason


def test_bounds_themselves_are_taken() -> None:
    event = request(
        raw(
            ts=bounds.TS_MIN_MS, duration_ms=86_400_000, input_tokens=2**31 - 1,
            cost_nano_usd=10**15, id="x" * 64, model="😀" * 256, seq=2**63 - 1,
            text_probability=1, output_tokens=0,
            tags={f"{i:02}" + "k" * 38: "v" * 200 for i in range(16)},
        )
    )  # fmt: skip
    assert event.cost_nano_usd == 10**15
    assert event.duration_ms == 86_400_000.0


def test_an_unknown_type_keeps_its_envelope_and_drops_its_body() -> None:
    event = parse_event(raw(type="llm.later", team="search", colour="red"))
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.team, event.app) == ("llm.later", "search", "shop")
    assert not hasattr(event, "model")


def test_unknown_fields_are_ignored() -> None:
    assert request(raw(later={"a": [1, None]})) == request(raw())


def test_null_is_absent_and_takes_the_default() -> None:
    event = request(raw(tenant=None, env=None, input_tokens=None, tags={"a": None, "b": "x"}))
    assert (event.tenant, event.env, event.input_tokens) == ("default", "prod", None)
    assert event.tags == {"b": "x"}


def test_lone_surrogates_and_nul_are_replaced_counted_and_kept() -> None:
    counted = parse_counted(raw(input_text="a\ud800b\x00", tags={"k\udfff": "\x00"}))
    assert isinstance(counted.event, LlmRequest)
    assert counted.event.input_text == "a�b�"
    assert counted.event.tags == {"k�": "�"}
    assert counted.replaced == 4


def test_a_surrogate_pair_is_one_character_and_not_replaced() -> None:
    counted = parse_counted(raw(input_text="\U0001f600"))
    assert isinstance(counted.event, LlmRequest)
    assert (counted.event.input_text, counted.replaced) == ("\U0001f600", 0)


def test_a_text_over_8_kib_of_another_producer_is_kept_whole() -> None:
    assert request(raw(input_text="x" * 60_000)).input_text == "x" * 60_000


def test_the_last_of_two_equal_names_counts() -> None:
    assert request(raw()[:-1] + b', "app": "other"}').app == "other"


@pytest.mark.parametrize("gone", ["target_id", "value"])
def test_a_judgement_needs_a_target_and_a_verdict(gone: str) -> None:
    assert isinstance(parse_event(json.dumps(FEEDBACK).encode()), Feedback)
    data = {k: v for k, v in FEEDBACK.items() if k != gone}
    assert reason_of(json.dumps(data).encode()) == Reject.MISSING_FIELD


@pytest.mark.parametrize("other", [{"response_id": "r"}, {"trace_id": "ab"}])
def test_a_judgement_may_point_by_response_or_trace(other: dict[str, str]) -> None:
    data = {k: v for k, v in FEEDBACK.items() if k != "target_id"} | other
    assert isinstance(parse_event(json.dumps(data).encode()), Feedback)


def test_of_several_reasons_the_first_of_the_list_is_given() -> None:
    assert reason_of(raw(model=None, input_tokens=-1, stream=5)) == Reject.MISSING_FIELD
    assert reason_of(raw(input_tokens=-1, stream=5)) == Reject.WRONG_TYPE
    assert reason_of(raw(input_tokens=-1, ts=5)) == Reject.TS_TOO_OLD


def test_an_error_message_never_tells_a_long_string() -> None:
    secret = "my card number is 4111 1111 1111 1111 " * 10
    with pytest.raises(BadInput) as caught:
        parse_event(raw(model=secret))
    assert "4111" not in str(caught.value)
    assert "model" in str(caught.value)


def test_ts_may_be_60_s_after_the_append_time_and_no_more() -> None:
    event = request(raw())
    check_bounds(event, event.ts - 60_000)
    with pytest.raises(BadInput) as caught:
        check_bounds(event, event.ts - 60_001)
    assert caught.value.reason == Reject.TS_IN_FUTURE


def test_events_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        request(raw()).app = "other"  # type: ignore[misc]


def test_every_type_of_the_contract_has_a_model() -> None:
    assert list(EVENT_TYPES) == [
        "llm.request", "llm.start", "llm.tool", "llm.retrieval", "llm.feedback", "llm.evaluation",
        "llm.prompt", "client.stats",
    ]  # fmt: skip
