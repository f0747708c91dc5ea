"""The seeded model: deterministic, as documented, in order, and true to the trace."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import genai_prices
import pytest

from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers.traffic import catalog
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.traces import Format, TraceRow, read_trace, shipped_trace
from tests.independent import recompute
from tests.support.traffic import by_app

Event = dict[str, Any]


@cache
def replayed(form: Format, seed: int) -> tuple[Event, ...]:
    return tuple(events_for(read_trace(shipped_trace(form)), seed, source=form.value))


@pytest.mark.parametrize("form", [Format.AZURE, Format.MOONCAKE])
@pytest.mark.parametrize("seed", [1, 20_240])
def test_events_equal_an_independent_recomputation_from_file_and_seed(
    form: Format, seed: int
) -> None:
    expected = recompute.from_file(form.value, shipped_trace(form), seed)
    actual = recompute.figures(
        (e["ts"], e["input_tokens"], e["output_tokens"], e["duration_ms"])
        for e in replayed(form, seed)
    )
    assert actual == expected


def test_recomputation_shares_no_code_with_us() -> None:
    source = recompute.__file__
    with open(source, encoding="utf-8") as file:
        imports = [line for line in file if line.startswith(("import ", "from "))]
    assert imports
    assert not [line for line in imports if "streamgauge" in line or "tests" in line]


def test_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    rows = list(read_trace(shipped_trace(Format.AZURE)))[:500]
    assert list(events_for(rows, 7)) == list(events_for(rows, 7))
    assert list(events_for(rows, 7)) != list(events_for(rows, 8))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = list(read_trace(shipped_trace(Format.AZURE)))[:50]
    whole = {e["id"]: e for e in events_for(rows, 7)}
    alone = list(events_for(rows[30:31], 7))
    assert alone == [whole["run-31"]]


def test_events_come_in_order_of_completion() -> None:
    times = [e["ts"] for e in replayed(Format.AZURE, 1)]
    assert times == sorted(times)


def test_event_time_is_arrival_plus_duration() -> None:
    rows = {row.row: row for row in read_trace(shipped_trace(Format.AZURE))}
    for event in replayed(Format.AZURE, 1)[::97]:
        row = rows[int(event["id"].removeprefix("run-"))]
        assert event["ts"] == row.arrival_ms + int(event["duration_ms"] + 0.5)
        assert event.get("ttft_ms", 0.0) <= event["duration_ms"]


def test_every_event_is_a_valid_request() -> None:
    for event in replayed(Format.AZURE, 1)[::19] + replayed(Format.MOONCAKE, 1)[::19]:
        parsed = parse_event(json.dumps(event).encode())
        assert isinstance(parsed, LlmRequest)
        assert parsed.app == event["app"]


def test_base_failures_stay_between_half_a_percent_and_one_percent_of_calls() -> None:
    statuses = Counter(e["status"] for e in replayed(Format.AZURE, 1))
    failed = sum(n for status, n in statuses.items() if status != "ok")
    assert set(statuses) == {"ok", "error", "timeout", "cancelled"}
    assert 0.005 <= failed / 19_366 <= 0.011


@pytest.mark.parametrize("form", [Format.AZURE, Format.MOONCAKE])
def test_no_app_gets_less_than_seven_percent(form: Format) -> None:
    events = replayed(form, 1)
    apps = by_app(events)
    assert set(apps) == {app.name for app in catalog.APPS}
    assert min(len(calls) for calls in apps.values()) >= 0.07 * len(events)


def test_filled_fields_are_marked_synthetic_and_tokens_are_not() -> None:
    marked = replayed(Format.AZURE, 1)[0]["tags"]["synthetic"].split(",")
    assert {"app", "model", "duration_ms", "ttft_ms", "status", "user_id"} <= set(marked)
    assert not {"ts", "input_tokens", "output_tokens"} & set(marked)
    longest = max(len(value) for value in replayed(Format.AZURE, 1)[0]["tags"].values())
    assert longest <= 200


def test_image_row_keeps_what_the_trace_says() -> None:
    row = TraceRow(
        row=1, arrival_ms=1_731_689_870_000, duration_ms=32_000.0, status="error",
        error_type="failed", tenant="G0000", model="M0000", provider="alibaba",
        op="generate_content", output_type="image", input_chars=63, feature="txt_2_img",
    )  # fmt: skip
    (event,) = events_for([row], 1, source="alibaba")
    expected = {
        "ts": 1_731_689_902_000, "duration_ms": 32_000.0, "status": "error", "tenant": "G0000",
        "model": "M0000", "input_chars": 63, "output_type": "image", "error_type": "failed",
    }  # fmt: skip
    assert {name: event[name] for name in expected} == expected
    assert event["tags"]["synthetic"] == "app,team,key_id"
    assert isinstance(parse_event(json.dumps(event).encode()), LlmRequest)


def test_price_lists_know_every_model_but_the_unknown_one() -> None:
    usage = genai_prices.Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    for spec in catalog.MODELS.values():
        price = genai_prices.calc_price(usage, model_ref=spec.name, provider_id=spec.provider)
        listed = spec.usd_per_m_input + spec.usd_per_m_output
        assert float(price.total_price) == pytest.approx(listed)
    for provider in ("openai", "anthropic"):
        with pytest.raises(LookupError):
            genai_prices.calc_price(usage, model_ref=catalog.UNKNOWN_MODEL, provider_id=provider)


def test_shares_of_the_catalog_add_up_to_one() -> None:
    assert sum(app.weight for app in catalog.APPS) == pytest.approx(1)
    for app in catalog.APPS:
        for shares in (app.models, app.features, app.prompt_versions):
            assert sum(share for _, share in shares) == pytest.approx(1)
