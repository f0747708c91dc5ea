"""The fast decoder of the stream and the reference parser are one: same bytes, same outcome."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import parse_event
from streamgauge.stream_processors.reading.decode import MAX_EXTRA_KEYS, Refusal, RunDecoder
from streamgauge.stream_processors.reading.structs import STRUCTS, kind_of
from tests.support.events import EXTRA_MEMBERS, RAW_HOSTILE, hostile_raw, raw_events

PLAIN = (
    b'{"v":1,"id":"a","type":"llm.feedback","ts":1760000000000,"app":"x","name":"n",'
    b'"annotator":"human","target_id":"r","value":1}'
)

REQUEST = (
    b'{"v":1,"id":"a","type":"llm.request","ts":1760000000000,"app":"x","op":"chat",'
    b'"provider":"p","model":"m","status":"ok","duration_ms":1,"content":"none"}'
)


def plain(value: Any) -> Any:
    """A Struct or a model as dicts and lists; floats and integers kept apart.

    Of an event all fields of its type, though a slim Struct lacks some.
    """
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        struct = STRUCTS[str(tag)] if tag is not None else type(value)
        found = {name: plain(getattr(value, name)) for name in struct.__struct_fields__}
        if tag is not None:
            found["type"] = plain(tag)
        return found
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return (type(value).__name__, value)


def by_reference(raw: bytes) -> Any:
    try:
        return plain(parse_event(raw))
    except BadInput as e:
        return f"refused: {e.reason}"


def decode_event(raw: bytes) -> msgspec.Struct | Refusal:
    (decoded,) = RunDecoder().decode([raw])
    return decoded


def outcome(decoded: msgspec.Struct | Refusal) -> Any:
    if isinstance(decoded, Refusal):
        return f"refused: {decoded.reason}"
    assert kind_of(decoded)
    return plain(decoded)


@settings(max_examples=300, deadline=None)
@given(raw_events())
def test_valid_events_are_taken_by_both_with_the_same_values(raw: bytes) -> None:
    expected = by_reference(raw)
    assert not isinstance(expected, str), expected
    assert outcome(decode_event(raw)) == expected


@settings(max_examples=1000, deadline=None)
@given(hostile_raw())
@example(PLAIN.replace(b'"target_id":"r",', b""))
@example(PLAIN.replace(b',"value":1', b""))
@example(PLAIN.replace(b',"value":1', b',"value":null'))
def test_hostile_bytes_have_the_same_outcome_in_both(raw: bytes) -> None:
    assert outcome(decode_event(raw)) == by_reference(raw)


@pytest.mark.parametrize("raw", RAW_HOSTILE, ids=range(len(RAW_HOSTILE)))
def test_hand_picked_hostile_bytes_have_the_same_outcome(raw: bytes) -> None:
    assert outcome(decode_event(raw)) == by_reference(raw)


@pytest.mark.parametrize("member", EXTRA_MEMBERS, ids=range(len(EXTRA_MEMBERS)))
def test_each_hostile_member_has_the_same_outcome(member: bytes) -> None:
    raw = PLAIN[:-1] + member + b"}"
    assert outcome(decode_event(raw)) == by_reference(raw)


@settings(max_examples=100, deadline=None)
@given(first=hostile_raw(), second=hostile_raw())
def test_a_neighbour_in_the_same_run_changes_nothing(first: bytes, second: bytes) -> None:
    alone = [by_reference(first), by_reference(PLAIN), by_reference(second)]
    assert [outcome(d) for d in RunDecoder().decode([first, PLAIN, second])] == alone


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(raw_events() | hostile_raw(), min_size=1, max_size=8), max_size=4))
def test_a_decoder_that_learns_says_what_the_reference_says(runs: list[list[bytes]]) -> None:
    decoder = RunDecoder()
    for run in runs:
        expected = [by_reference(raw) for raw in run]
        assert [outcome(d) for d in decoder.decode(run)] == expected
        assert [outcome(d) for d in decoder.decode(run)] == expected


def test_a_decoder_that_learns_makes_slim_structs_also_of_events_with_keys_of_their_own() -> None:
    event = REQUEST[:-1] + b',"input_tokens":5,"ttft_ms":null,"mine":{"a":[1]}}'
    decoder = RunDecoder()
    decoder.decode([event])
    found: Any
    (found,) = decoder.decode([event])
    assert len(found.__struct_fields__) < 25
    assert found.input_tokens == 5
    assert found.prompt_name is None  # not in the Struct, yet as in the model


def test_keys_that_never_end_do_not_fill_the_memory() -> None:
    decoder = RunDecoder()
    for i in range(200):
        found: Any
        (found,) = decoder.decode([REQUEST[:-1] + b',"mine_%d":1}' % i])
        assert found.app == "x"
    assert len(decoder._extra) == MAX_EXTRA_KEYS
