"""Hypothesis strategies for events: valid ones of every type, and hostile mutations of them.

    fields(kind)       JSON-able dicts that are events of this type
    any_fields()       the same, of any type
    raw_events()       bytes of valid events, written in different ways
    hostile_raw()      bytes that may be an event or anything but

The valid ones are drawn from the JSON Schemas, so a new field is drawn without touching this file.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from streamgauge.contracts import schemas
from streamgauge.contracts.events import EVENT_TYPES

Fields = dict[str, Any]
SCHEMAS = schemas.all_schemas()
KINDS = sorted(EVENT_TYPES)

_CHARS = st.characters(codec="utf-8", exclude_characters="\x00")


def fields(kind: str) -> st.SearchStrategy[Fields]:
    """Events of one type. Any optional field may be there, absent or null."""
    schema = SCHEMAS[kind]
    drawn = _value(schema, schema)
    return drawn.map(_point_somewhere) if "allOf" in schema else drawn


def any_fields() -> st.SearchStrategy[Fields]:
    """Events of any type."""
    return st.sampled_from(KINDS).flatmap(fields)


def raw_events() -> st.SearchStrategy[bytes]:
    """Valid events as bytes: ASCII or UTF-8, compact or not, any order of names."""
    return st.builds(_write, any_fields(), st.booleans(), st.booleans(), st.booleans())


@st.composite
def mutated_fields(draw: st.DrawFn) -> Fields:
    """An event with one to three members replaced, removed or added, at any depth."""
    event = draw(any_fields())
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, event)
    return event


@st.composite
def hostile_raw(draw: st.DrawFn) -> bytes:
    """Bytes that another producer, or an enemy, may send."""
    shape = draw(st.integers(0, 9))
    if shape < 6:
        raw = _write(draw(mutated_fields()), draw(st.booleans()), False, draw(st.booleans()))
    elif shape < 8:
        raw = draw(raw_events())
    else:
        return draw(st.binary(max_size=64) | st.sampled_from(RAW_HOSTILE))
    edit = draw(st.integers(0, 5))
    if edit == 0:
        return raw[: draw(st.integers(0, len(raw)))]
    if edit == 1:
        at = draw(st.integers(0, len(raw)))
        return raw[:at] + draw(st.binary(min_size=1, max_size=3)) + raw[at:]
    if edit == 2:
        word = draw(
            st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"1.", b"\xff"])
        )
        at = raw.rfind(b":") + 1
        return raw[:at] + word + b"}"
    if edit == 3:
        return raw[:-1] + draw(st.sampled_from(EXTRA_MEMBERS)) + b"}"
    return raw


RAW_HOSTILE = [
    b"", b"null", b"[]", b"{}", b"1", b'"x"', b"true", b"\x00", b"\xef\xbb\xbf{}", b"{" * 3000,
    b"[" * 60_000, b'{"v":1', b'{"v":1}}', b'{"v":2}', b'{"v":true}', b'{"v":1.0}', b'{"v":null}',
    b'{"v":"1"}', b'{"v":99999999999999999999}', b'{"v":1,"type":"llm.other"}', b" " * 70_000,
    b'{"v":1,"id":"a","type":"llm.zz","ts":1760000000000,"app":"x"}',
    b'{"v":1,"id":"a","type":"llm.zz","ts":1760000000000}',
    b'{"v":1,"id":"a","type":"","ts":1760000000000,"app":"x"}',
    b'{"v":1,"id":"a","type":5,"ts":1760000000000,"app":"x"}',
]  # fmt: skip
EXTRA_MEMBERS = [
    b',"later":{"a":[1,{"b":null}]}', b',"later":NaN', b',"later":"\xff"', b',"later":"\\ud800"',
    b',"later":"\\u0000"', b',"\\ud800":1', b',"later":1e999', b',"later":' + b"1" * 400,
    b',"later":' + b"9" * 5000, b',"id":"again"', b',"id":null', b',"ts":1', b',"v":2', b',"v":1',
    b',"tags":{"a":"\\ud83d"}', b',"tags":{"a":null}', b',"app":"\\ud83d\\ude00"', b',"type":"zz"',
    b',"tenant":null', b',"env":""', b',"seq":0', b',"seq":-1', b',"seq":1e3', b',"user_id":"\x01"',
    b',"text_probability":0', b',"text_probability":1.0000001', b',"duration_ms":-0.0',
    b',"duration_ms":-0', b',"duration_ms":1e-400', b',"duration_ms":86400000.0000001',
    b',"later":' + b"[" * 150 + b"]" * 150,
]  # fmt: skip
HOSTILE_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 1.0, 1.5, -0.0, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63,
    2**64, -(2**63) - 1, 10**15 + 1, 10**30, 10**310, 1e308, float("inf"), float("nan"), "", "x",
    "x" * 64, "x" * 65, "x" * 256, "x" * 257, "😀" * 256, "\x00", "a\ud800b", "\udc00\ud83d", "ok",
    "1", [], [None], [1], [{}], [{"name": "a"}] * 33, {}, {"a": None}, {"a": 1}, {"\ud800": "x"},
    {str(i): "x" for i in range(17)}, {"k" * 41: "x"}, {"k": "v" * 201}, [[]], "x" * 9000,
]  # fmt: skip


def _mutate(draw: st.DrawFn, event: Fields) -> None:
    target: Any = event
    while True:
        inner = [
            v for v in (target.values() if isinstance(target, dict) else target)
            if isinstance(v, (dict, list)) and v
        ]  # fmt: skip
        if not inner or draw(st.booleans()):
            break
        target = draw(st.sampled_from(inner))
    value = copy.deepcopy(draw(st.sampled_from(HOSTILE_VALUES)))
    if isinstance(target, list):
        target[draw(st.integers(0, len(target) - 1))] = value
        return
    names = sorted(target)
    if names and draw(st.integers(0, 3)) == 0:
        del target[draw(st.sampled_from(names))]
        return
    known = list(SCHEMAS["llm.request"]["properties"]) if target is event else names
    target[draw(st.sampled_from(names or ["x"]) | st.sampled_from(known or ["x"]))] = value


def _write(event: Fields, ascii_only: bool, spaced: bool, backwards: bool) -> bytes:
    items = dict(reversed(event.items())) if backwards else event
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps(items, ensure_ascii=ascii_only, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def _point_somewhere(event: Fields) -> Fields:
    if not any(event.get(name) is not None for name in ("target_id", "response_id", "trace_id")):
        event["target_id"] = "r-1"
    if event.get("value") is None and event.get("label") is None:
        event["label"] = "up"
    return event


def _value(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _value(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([_value(option, root) for option in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    drawn: st.SearchStrategy[Any] = _DRAW[schema["type"]](schema, root)
    return drawn


def _string(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    longest = min(schema.get("maxLength", 40), 40)
    words = st.sampled_from(["a", "größer", "x" * schema.get("maxLength", 100)])
    return words | st.text(_CHARS, min_size=schema.get("minLength", 0), max_size=longest)


def _integer(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    return st.integers(schema.get("minimum"), schema.get("maximum"))


def _number(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    exclusive = "exclusiveMinimum" in schema
    low = schema["exclusiveMinimum"] if exclusive else low
    floats = st.floats(low, high, exclude_min=exclusive, allow_nan=False, allow_infinity=False)
    whole = st.integers(1 if exclusive else low if low is not None else -(2**70), high or 2**70)
    return floats | whole


def _array(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    return st.lists(_value(schema["items"], root), max_size=min(3, schema.get("maxItems", 3)))


def _object(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    if "properties" in schema:
        members = {k: _value(v, root) for k, v in schema["properties"].items()}
        need = set(schema.get("required", ()))
        must = {k: v for k, v in members.items() if k in need}
        return st.builds(
            lambda must, may: {**must, **may},
            st.fixed_dictionaries(must),
            _some({k: v for k, v in members.items() if k not in need}),
        )
    names = _string(schema.get("propertyNames", {}), root)
    return st.dictionaries(names, _value(schema["additionalProperties"], root), max_size=3)


@st.composite
def _some(draw: st.DrawFn, members: dict[str, st.SearchStrategy[Any]]) -> Fields:
    """A few of these members: all at once would make every example huge."""
    names = draw(st.lists(st.sampled_from(sorted(members)), unique=True, max_size=8))
    return {name: draw(members[name]) for name in names}


def _boolean(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    return st.booleans()


def _null(schema: Fields, root: Fields) -> st.SearchStrategy[Any]:
    return st.none()


_DRAW = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "array": _array,
    "object": _object,
    "boolean": _boolean,
    "null": _null,
}
