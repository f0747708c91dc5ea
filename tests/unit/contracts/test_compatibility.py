"""Each way to break a schema is named; each way to extend it passes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from streamgauge.contracts import schemas
from streamgauge.contracts.compatibility import incompatibilities

Schema = dict[str, Any]
EVERY = schemas.all_schemas()


def changed(name: str, change: Callable[[Schema], object]) -> list[str]:
    new = copy.deepcopy(EVERY[name])
    change(new)
    return incompatibilities(EVERY[name], new)


def field(schema: Schema, name: str) -> Schema:
    found: Schema = schema["properties"][name]
    return found["anyOf"][0] if "anyOf" in found else found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["properties"].pop("seed"), ".seed: removed"),
        (lambda s: s["required"].append("seed"), ".seed: newly required"),
        (lambda s: s["required"].remove("model"), ".model: no longer required"),
        (lambda s: field(s, "seed").update(type="number"), ".seed: type was"),
        (lambda s: s["properties"]["seed"].pop("anyOf"), ".seed: type was"),
        (lambda s: s["properties"]["seed"]["anyOf"].pop(1), ".seed: type was integer, null"),
        (lambda s: field(s, "input_tokens").update(maximum=5), ".input_tokens: maximum was"),
        (lambda s: field(s, "seq").update(minimum=2), ".seq: minimum was"),
        (lambda s: field(s, "embedding").update(maxLength=9), ".embedding: maxLength was None"),
        (lambda s: field(s, "op").update(enum=["chat"]), ".op: an open value was closed"),
        (lambda s: field(s, "status")["enum"].remove("timeout"), ".status: values removed"),
        (lambda s: field(s, "duration_ms").update({"x-unit": "s"}), ".duration_ms: x-unit was"),
        (lambda s: s["properties"]["env"].update(default="live"), ".env: default was 'prod'"),
        (lambda s: field(s, "v").update(const=2), ".v: const was 1, is 2"),
        (lambda s: field(s, "tags").update(maxProperties=3), ".tags: maxProperties was 16"),
        (lambda s: field(s, "tags")["propertyNames"].update(maxLength=3), ".tags.key: maxLength"),
        (lambda s: s["$defs"]["ToolCall"]["required"].append("ok"), ".tools[].ok: newly required"),
        (lambda s: s["$defs"]["Source"]["properties"].pop("rank"), ".sources[].rank: removed"),
    ],
)  # fmt: skip
def test_a_broken_promise_of_the_request_is_named(
    change: Callable[[Schema], object], said: str
) -> None:
    lines = changed("llm.request", change)
    assert len(lines) == 1
    assert lines[0].startswith(said)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: None,
        lambda s: s["properties"].update(later={"type": "string"}),
        lambda s: field(s, "input_tokens").update(maximum=2**40),
        lambda s: field(s, "model").update(maxLength=512),
        lambda s: field(s, "model").pop("maxLength"),
        lambda s: field(s, "status")["enum"].append("refused"),
        lambda s: field(s, "status").update(description="in other words"),
        lambda s: s["$defs"]["ToolCall"]["properties"].update(later={"type": "string"}),
    ],
)
def test_an_extension_of_the_request_passes(change: Callable[[Schema], object]) -> None:
    assert changed("llm.request", change) == []


def test_an_event_type_that_is_gone_is_named() -> None:
    def drop(schema: Schema) -> None:
        del schema["discriminator"]["mapping"]["llm.tool"]

    assert changed("event", drop) == ["<llm.tool>: removed"]


def test_a_change_inside_one_event_type_is_found_from_the_union() -> None:
    def drop(schema: Schema) -> None:
        del schema["$defs"]["LlmTool"]["properties"]["name"]

    assert changed("event", drop) == ["<llm.tool>.name: removed"]


def test_a_condition_that_is_added_is_named() -> None:
    lines = changed("llm.feedback", lambda s: s["allOf"].append({"required": ["comment"]}))
    assert [line.partition(" was")[0] for line in lines] == ["(the whole): allOf"]
