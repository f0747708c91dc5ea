"""The compiled price book gives genai-prices' own answers, to the nano-dollar."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgauge.stream_processors.metrics.pricing import PriceBook, Rates, Tokens, consistent

BOOK = PriceBook()
TS_MS = 1_795_000_000_000
MODELS = [
    ("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4o-audio-preview"),
    ("openai", "gpt-4.1-nano"), ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-3-5-haiku-latest"),
    ("google", "gemini-2.5-pro"), ("google", "gemini-2.5-flash"),
    ("deepseek", "deepseek-chat"), ("groq", "llama-3.3-70b-versatile"),
    ("mistral", "mistral-large-latest"),
    ("x-ai", "grok-4"), ("cohere", "command-r-plus"),
]  # fmt: skip
USAGES = [
    Tokens(0, 0),
    Tokens(1, 1),
    Tokens(1_000, 250),
    Tokens(199_999, 10),
    Tokens(200_000, 10),
    Tokens(200_001, 10),
    Tokens(1_500_000, 3_000),
    Tokens(5_000, 100, cache_read=4_000),
    Tokens(5_000, 100, cache_write=1_000),
    Tokens(5_000, 100, cache_read=1_500, cache_write=1_000, cache_write_1h=400),
    Tokens(300_000, 100, cache_read=250_000),
    Tokens(5_000, 900, reasoning=700),
    Tokens(5_000, 900, audio_input=700),
    Tokens(5_000, 900, audio_output=300),
]


def by_genai_prices(
    provider: str, model: str, t: Tokens, context: dict[str, str], ts_ms: int
) -> int:
    usage = {
        "input_tokens": t.input,
        "output_tokens": t.output,
        "cache_read_tokens": t.cache_read,
        "cache_write_tokens": t.cache_write,
        "cache_write_1h_tokens": t.cache_write_1h,
        "output_reasoning_tokens": t.reasoning,
        "input_audio_tokens": t.audio_input,
        "output_audio_tokens": t.audio_output,
    }
    price = calc_price(
        Usage(**usage),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(ts_ms / 1000, UTC),
        price_context=context or None,
    )
    return int((price.total_price * 10**9).quantize(Decimal(1), ROUND_HALF_EVEN))


@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_costs_equal_genai_prices_on_a_grid_of_usages(provider: str, model: str) -> None:
    for tokens in USAGES:
        price = BOOK.price(provider, model, tier=None, speed=None, ts_ms=TS_MS)
        assert price is not None
        expected = by_genai_prices(provider, model, tokens, {}, TS_MS)
        assert price.cost_nano_usd(tokens) == expected, tokens


@pytest.mark.parametrize("tier", ["batch", "priority", "flex", "default", "nonsense"])
def test_tiers_change_the_price_as_genai_prices_says(tier: str) -> None:
    context = {"service_tier": tier} | ({"processing": "batch"} if tier == "batch" else {})
    for (provider, model), tokens in itertools.product(MODELS[:6], USAGES[2:8]):
        price = BOOK.price(provider, model, tier=tier, speed=None, ts_ms=TS_MS)
        assert price is not None
        assert price.cost_nano_usd(tokens) == by_genai_prices(
            provider, model, tokens, context, TS_MS
        )


def test_a_price_holds_from_its_day_and_by_the_time_of_day() -> None:
    tokens = Tokens(1_000_000, 1_000_000)
    seen = set()
    for ts_ms in range(1_735_689_600_000, TS_MS, 3_600_000 * 37):  # from 2025 on, odd hours
        for provider, model in (("deepseek", "deepseek-chat"), ("openai", "gpt-4o")):
            price = BOOK.price(provider, model, tier=None, speed=None, ts_ms=ts_ms)
            assert price is not None
            cost = price.cost_nano_usd(tokens)
            assert cost == by_genai_prices(provider, model, tokens, {}, ts_ms)
            seen.add((model, cost))
    assert len(seen) > 2, "no price ever changed: the test tests nothing"


def test_an_unknown_model_or_provider_has_no_price() -> None:
    assert BOOK.price("openai", "gpt-99-ultra", tier=None, speed=None, ts_ms=TS_MS) is None
    assert BOOK.price("acme", "gpt-4o", tier=None, speed=None, ts_ms=TS_MS) is None


def test_a_model_without_token_prices_has_no_price_instead_of_a_price_of_zero() -> None:
    by_duration = BOOK.price("groq", "whisper-large-v3", tier=None, speed=None, ts_ms=TS_MS)
    assert by_duration is None


def test_hand_computed_price_of_gpt_4o_mini() -> None:
    # 0.15 USD and 0.60 USD per million: 1,000 x 150 + 200 x 600 nano-dollars
    price = BOOK.price("openai", "gpt-4o-mini", tier=None, speed=None, ts_ms=TS_MS)
    assert price is not None
    assert price.cost_nano_usd(Tokens(1_000, 200)) == 270_000


def test_subsets_larger_than_their_total_never_make_a_cost_negative() -> None:
    for provider, model in MODELS:
        price = BOOK.price(provider, model, tier=None, speed=None, ts_ms=TS_MS)
        assert price is not None
        assert price.cost_nano_usd(Tokens(10, 0, cache_read=10_000, cache_write_1h=7)) >= 0
        assert price.cost_nano_usd(Tokens(0, 5, reasoning=900, audio_output=900)) >= 0


def test_names_of_open_telemetry_find_their_vendor() -> None:
    for provider, model in (
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("aws.bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("x_ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
    ):
        assert BOOK.price(provider, model, tier=None, speed=None, ts_ms=TS_MS), provider


def test_a_hundred_thousand_model_names_do_not_grow_the_book() -> None:
    book = PriceBook()
    for i in range(60_000):
        book._memo[("p", str(i), None, None)] = None  # type: ignore[assignment]
    book.price("openai", "gpt-4o", tier=None, speed=None, ts_ms=TS_MS)
    assert len(book._memo) == 1


def test_the_version_names_the_list_and_its_release() -> None:
    assert BOOK.version.startswith("genai-prices-")


counts = st.integers(0, 5_000) | st.integers(0, 2**31 - 1)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.lists(st.tuples(*[counts] * len(Tokens._fields)), min_size=1, max_size=8),
)
def test_many_calls_at_once_cost_what_each_costs_alone(
    model: tuple[str, str], calls: list[tuple[int, ...]]
) -> None:
    price = BOOK.price(*model, tier=None, speed=None, ts_ms=TS_MS)
    assert price is not None
    together = price.costs_nano_usd(consistent(np.array(calls, dtype=np.int64)))
    assert together.tolist() == [price.cost_nano_usd(Tokens(*call)) for call in calls]


@given(st.integers(0, 10**24), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4))
def test_rates_without_a_common_divisor_are_exact_too(rate: int, inputs: list[int]) -> None:
    rates = Rates(1, Tokens(input=rate))
    calls = np.zeros((len(inputs), len(Tokens._fields)), dtype=np.int64)
    calls[:, 0] = inputs
    if rate * max(inputs) < 2**62 * 10**15:
        expected = [rates.cost_nano_usd(Tokens(input=n)) for n in inputs]
        assert rates.costs_nano_usd(calls).tolist() == expected
