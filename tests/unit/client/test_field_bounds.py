"""The client's bounds of whole numbers are those of the contract, at the edge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import LlmRequest
from streamgauge.contracts.events.parse import parse_event
from streamgauge.producers._fields import REQUEST, UnfitError

EVENT: dict[str, Any] = {
    "v": 1, "id": "a", "type": "llm.request", "ts": 1_790_000_000_000, "app": "a", "op": "chat",
    "provider": "openai", "model": "m", "status": "ok", "duration_ms": 1.0, "content": "none",
}  # fmt: skip
NUMBERS = sorted(
    name
    for name, info in LlmRequest.model_fields.items()
    if name in REQUEST and "Annotated[int" in repr(info.annotation)
)


def contract_takes(name: str, value: int) -> bool:
    try:
        parse_event(json.dumps({**EVENT, name: value}).encode())
    except BadInput:
        return False
    return True


def client_takes(name: str, value: int) -> bool:
    try:
        return REQUEST[name](value) == value
    except UnfitError:
        return False


def test_every_counted_field_is_looked_at() -> None:
    assert {"n", "retries", "http_status", "input_tokens", "chunks", "seed"} <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_client_takes_a_number_exactly_if_the_contract_does(name: str) -> None:
    edges = {0, 255, 65_535, 2**31 - 1, 2**32 - 1, 10**15, 2**63 - 1, -(2**63)}
    for value in sorted({e + d for e in edges for d in (-1, 0, 1)}):
        assert client_takes(name, value) == contract_takes(name, value), value


@pytest.mark.parametrize(
    ("given", "sent"),
    [(812.5004567, 812.5), (0.0004, 0.0), (1_751.2236650218256, 1751.224), (7, 7)],
)
def test_durations_leave_in_whole_microseconds(given: float, sent: float) -> None:
    assert REQUEST["duration_ms"](given) == sent
    assert REQUEST["ttft_ms"](given) == sent


@pytest.mark.parametrize("given", [-0.001, 86_400_000.001, True, "7", float("nan")])
def test_durations_out_of_bounds_do_not_leave(given: object) -> None:
    with pytest.raises(UnfitError):
        REQUEST["duration_ms"](given)
