"""What a call cost, in integer nano-dollars (1e-9 USD), by a dated price book.

The prices are those of the package genai-prices, compiled: for one (provider, model, tier, speed,
moment) and one size class of the input, a price is linear in the token counts, so genai-prices is
asked a handful of probes once, and after that a call costs one look-up and a few multiplications.
Exact: rates are integers of 1e-24 USD per token, the sum is rounded once, half to even.

Out: None for a model that no book knows. Never 0 for "unknown": an unpriced call is counted apart
(`unpriced_n`, `unpriced_tokens`).
Usage follows the contract: input includes cached, written, audio and image tokens, output includes
reasoning and audio. A subset larger than its total (providers disagree) raises the total.
Not here: prices that an app states itself (cost_source = app, priced.py).
"""

from __future__ import annotations

import importlib.metadata
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import mul
from typing import NamedTuple

import numpy as np
from genai_prices import Usage, data_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from numpy.typing import NDArray

Ints = NDArray[np.int64]

UNIT_PER_USD = 10**24  # some lists carry 18 decimals of USD per million tokens
UNIT_PER_NANO = 10**15
DAY_MS = 86_400_000
MINUTE_MS = 60_000
MEMO_MAX = 50_000
_UNSEEN = object()

# OpenTelemetry's provider names that genai-prices does not know, or takes for another one.
PROVIDERS: Mapping[str, str] = {
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
}


class Tokens(NamedTuple):
    """Token counts of one call; 0 where the event says nothing."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Linear price of one size class, in 1e-24 USD: a constant per request and one rate per count.

    Rates of subsets are surcharges (or discounts) on the total's rate that is already counted.
    """

    request: int
    per_token: Tokens

    def cost_nano_usd(self, tokens: Tokens) -> int:
        """Cost of a call, rounded half to even, never negative."""
        units: int = self.request + sum(map(mul, self.per_token, tokens))
        whole, rest = divmod(units, UNIT_PER_NANO)
        half = 2 * rest - UNIT_PER_NANO
        return max(0, whole + (half > 0 or (half == 0 and whole % 2 == 1)))

    def costs_nano_usd(self, counts: Ints) -> Ints:
        """The same of many calls; counts: shape (calls, len(Tokens)).

        In units of the rates' common divisor almost every price fits into 64 bits; what does not
        is computed call by call.
        """
        unit = math.gcd(UNIT_PER_NANO, self.request, *self.per_token)
        rates = [rate // unit for rate in self.per_token]
        most = [int(m) for m in counts.max(axis=0, initial=0)]
        if (
            abs(self.request // unit) + sum(abs(r) * m for r, m in zip(rates, most, strict=True))
            >= 2**62
        ):
            calls = counts.tolist()
            return np.array([self.cost_nano_usd(Tokens(*call)) for call in calls], dtype=np.int64)
        units = np.full(len(counts), self.request // unit, dtype=np.int64)
        for column, rate in enumerate(rates):
            if rate and most[column]:
                units += counts[:, column] * rate
        per_nano = UNIT_PER_NANO // unit
        whole, rest = np.divmod(units, per_nano)
        half = 2 * rest - per_nano
        up = (half > 0) | ((half == 0) & (whole % 2 == 1))
        costs: Ints = np.maximum(0, whole + up)
        return costs


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model at a moment. thresholds: input sizes above which the next rates hold."""

    thresholds: tuple[int, ...]
    rates: tuple[Rates, ...]

    def cost_nano_usd(self, tokens: Tokens) -> int:
        """Cost of a call. The size class is chosen by the whole input ("cliff")."""
        if any(tokens[2:]):
            tokens = _consistent(tokens)
        size = bisect_left(self.thresholds, tokens.input)
        return self.rates[size].cost_nano_usd(tokens)

    def costs_nano_usd(self, counts: Ints) -> Ints:
        """The same of many calls; counts: shape (calls, len(Tokens)), made consistent already."""
        size = np.searchsorted(self.thresholds, counts[:, 0])
        costs = np.zeros(len(counts), dtype=np.int64)
        for each in np.unique(size).tolist():
            there = size == each
            costs[there] = self.rates[each].costs_nano_usd(counts[there])
        return costs


def _consistent(tokens: Tokens) -> Tokens:
    subsets = max(tokens.cache_read + tokens.cache_write, tokens.audio_input, tokens.image_input)
    return tokens._replace(
        input=max(tokens.input, subsets),
        output=max(tokens.output, tokens.reasoning, tokens.audio_output),
        cache_write_1h=min(tokens.cache_write_1h, tokens.cache_write),
    )


def consistent(counts: Ints) -> Ints:
    """Token counts of many calls, shape (calls, len(Tokens)), with totals no less than subsets."""
    t = Tokens(*counts.T)
    subsets = np.maximum.reduce([t.cache_read + t.cache_write, t.audio_input, t.image_input])
    return np.column_stack(
        t._replace(
            input=np.maximum(t.input, subsets),
            output=np.maximum.reduce([t.output, t.reasoning, t.audio_output]),
            cache_write_1h=np.minimum(t.cache_write_1h, t.cache_write),
        )
    )


class _Model(NamedTuple):
    provider: Provider
    info: ModelInfo
    slot_ms: int  # how long a price holds at least; 0 = for good


class Known(NamedTuple):
    """What the book says about a model in [from_ms, until_ms)."""

    price: Price | None
    from_ms: float
    until_ms: float


class PriceBook:
    """Prices by provider and model. `version` goes to the events and windows that it priced."""

    def __init__(self, snapshot: data_snapshot.DataSnapshot | None = None) -> None:
        self._snapshot = snapshot or data_snapshot.get_snapshot()
        self.version = "genai-prices-" + importlib.metadata.version("genai-prices")
        self._models: dict[tuple[str, str], object] = {}
        self._memo: dict[tuple[str, str, str | None, str | None], Known] = {}

    def price(
        self, provider: str, model: str, *, tier: str | None, speed: str | None, ts_ms: int
    ) -> Price | None:
        """The price that holds at `ts_ms`; None if the book does not know the model."""
        return self.known(provider, model, tier=tier, speed=speed, ts_ms=ts_ms).price

    def known(
        self, provider: str, model: str, *, tier: str | None, speed: str | None, ts_ms: int
    ) -> Known:
        """The price that holds at `ts_ms`, and from when to when it does."""
        key = (provider, model, tier, speed)
        known = self._memo.get(key)
        if known is None or not known.from_ms <= ts_ms < known.until_ms:
            if len(self._memo) >= MEMO_MAX:
                self._memo.clear()
            known = self._memo[key] = self._look_up(provider, model, _context(tier, speed), ts_ms)
        return known

    def _look_up(self, provider: str, model: str, context: dict[str, str], ts_ms: int) -> Known:
        found = self._models.get((provider, model), _UNSEEN)
        if found is _UNSEEN:
            found = self._find(provider, model)
        if not isinstance(found, _Model):
            return Known(None, -math.inf, math.inf)
        price = _compile(found, context, ts_ms)
        if not found.slot_ms:
            return Known(price, -math.inf, math.inf)
        start = ts_ms // found.slot_ms * found.slot_ms
        return Known(price, start, start + found.slot_ms)

    def _find(self, provider: str, model: str) -> _Model | None:
        if len(self._models) >= MEMO_MAX:
            self._models.clear()
        known: _Model | None = None
        try:
            vendor, info = self._snapshot.find_provider_model(
                model, None, PROVIDERS.get(provider, provider), None
            )
            known = _Model(vendor, info, _slot_ms(info))
        except LookupError:
            known = None
        finally:
            # The snapshot's own caches have no bound, and model names come from anybody.
            self._snapshot._lookup_cache.clear()
            self._snapshot._provider_cache.clear()
            self._snapshot._provider_misses.clear()
        self._models[provider, model] = known
        return known


def _context(tier: str | None, speed: str | None) -> dict[str, str]:
    context = {}
    if tier:
        context["service_tier"] = tier
        if tier == "batch":
            context["processing"] = "batch"
    if speed:
        context["speed"] = speed
    return context


def _slot_ms(info: ModelInfo) -> int:
    constraints = [v.constraint for v in info.price_variants or ()]
    if isinstance(info.prices, list):
        constraints += [c.constraint for c in info.prices]
    if any(isinstance(c, TimeOfDateConstraint) for c in constraints):
        return MINUTE_MS
    return DAY_MS if any(isinstance(c, StartDateConstraint) for c in constraints) else 0


def _compile(model: _Model, context: dict[str, str], ts_ms: int) -> Price | None:
    prices = model.info.get_prices(datetime.fromtimestamp(ts_ms / 1000, UTC), context)
    if prices.input_mtok is None and prices.output_mtok is None:
        return None  # priced by the hour, the page or the second: tokens say nothing
    tiered = [p for p in prices.__dict__.values() if isinstance(p, TieredPrices)]
    thresholds = tuple(sorted({tier.start for p in tiered for tier in p.tiers}))
    sizes = [min([1000, *thresholds]), *(t + 1 for t in thresholds)]
    return Price(thresholds, tuple(_rates(prices, max(size, 1)) for size in sizes))


def _rates(prices: ModelPrice, size: int) -> Rates:
    """Rates of the size class in which an input of `size` tokens lies, by probing."""

    def cost(**usage: int) -> int:
        total = prices.calc_price(Usage(**usage))["total_price"]
        return _exact(total)

    whole = cost(input_tokens=size)
    constant = cost()  # a price per request, if there is one
    writes = cost(input_tokens=size, cache_write_tokens=1)
    out = cost(input_tokens=size, output_tokens=1)
    return Rates(
        constant,
        Tokens(
            input=(whole - constant) // size,
            output=out - whole,
            cache_read=cost(input_tokens=size, cache_read_tokens=1) - whole,
            cache_write=writes - whole,
            cache_write_1h=cost(input_tokens=size, cache_write_tokens=1, cache_write_1h_tokens=1)
            - writes,
            reasoning=cost(input_tokens=size, output_tokens=1, output_reasoning_tokens=1) - out,
            audio_input=cost(input_tokens=size, input_audio_tokens=1) - whole,
            audio_output=cost(input_tokens=size, output_tokens=1, output_audio_tokens=1) - out,
            image_input=cost(input_tokens=size, input_image_tokens=1) - whole,
        ),
    )


def _exact(usd: Decimal) -> int:
    return int((usd * UNIT_PER_USD).to_integral_value())
