"""Makes requests up, without a trace: when they come and how long they are. Pure; seeded.

In: seed, start, length, mean rate. Out: `TraceRow`s in order of arrival, for model.py to turn into
events (apps, models, prompt versions, latency and errors come from there). Row n draws from
`random.Random(f"simulator/{seed}/{n}")` alone:

    gap     = -ln(1 - u0) / rate(arrival of row n - 1)        Poisson arrivals
    input   = exp(ln 700 + 0.9 * normal(u1, u2)), 8 to 60,000 tokens
    output  = exp(ln 160 + 0.7 * normal(u3, u4)), 1 to 4,000 tokens
    tenant  = pick(TENANTS, u5)
    rate(t) = mean rate * (1 + 0.6 * sin(2 pi (hour - 9) / 24)), hour of day in UTC: least at 3,
              most at 15 o'clock; or the mean rate all day (curve `flat`)
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Literal

from streamgauge.contracts.errors import Misconfigured
from streamgauge.producers.traffic.catalog import TENANTS
from streamgauge.producers.traffic.model import normal, pick
from streamgauge.producers.traffic.traces import TraceRow

Curve = Literal["day", "flat"]
DAY_MS = 86_400_000
MAX_RATE = 10_000.0


def simulate_rows(
    seed: int,
    start_ms: int,
    *,
    duration_ms: int | None,
    rate: float,
    curve: Curve = "day",
) -> Iterator[TraceRow]:
    """Requests from `start_ms` on. duration_ms: None = without end. rate: mean requests per s.

    Misconfigured if the rate is not above 0 and at most 10,000 a second.
    """
    if not 0 < rate <= MAX_RATE:
        raise Misconfigured(f"rate is {rate}, expected above 0 and at most {MAX_RATE:g} a second")
    at = float(start_ms)
    row = 0
    while True:
        row += 1
        rng = random.Random(f"simulator/{seed}/{row}")  # noqa: S311 - reproducible, not a secret
        u = [rng.random() for _ in range(6)]
        at += -math.log(1.0 - u[0]) / (rate * rate_factor(at, curve)) * 1000
        if duration_ms is not None and at >= start_ms + duration_ms:
            return
        yield TraceRow(
            row=row,
            arrival_ms=int(at),
            input_tokens=_tokens(700, 0.9, u[1], u[2], 8, 60_000),
            output_tokens=_tokens(160, 0.7, u[3], u[4], 1, 4_000),
            tenant=pick(TENANTS, u[5]),
        )


def rate_factor(at_ms: float, curve: Curve) -> float:
    """How much busier than the mean this time of day is."""
    if curve == "flat":
        return 1.0
    return 1.0 + 0.6 * math.sin(2 * math.pi * ((at_ms % DAY_MS) / DAY_MS - 9 / 24))


def _tokens(median: float, sigma: float, a: float, b: float, low: int, high: int) -> int:
    return min(high, max(low, int(median * math.exp(sigma * normal(a, b)))))
