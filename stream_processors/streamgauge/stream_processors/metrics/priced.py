"""Puts costs on request columns: the app's own price if it states one, else the price book's.

In: request columns. Out: columns `cost_nano_usd` (None: unknown), `cost_source`, `price_book`,
`unpriced` (0/1). A call counts as unpriced if its cost is unknown although it should have one: not
when it used nothing (an error or a cancelled call without usage, a hit of the app's own cache).
"""

from __future__ import annotations

from typing import Any

from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.pricing import PriceBook, Tokens


def put_prices(c: Columns, book: PriceBook) -> None:
    """Set the four columns."""
    costs: list[int | None] = []
    sources: list[str] = []
    books: list[str] = []
    unpriced: list[int] = []
    for event in c.events:
        r: Any = event
        if r.cost_nano_usd is not None:
            cost, source, version = r.cost_nano_usd, "app", ""
        else:
            cost = cost_of(r, book)
            source, version = ("", "") if cost is None else ("stream", book.version)
        costs.append(cost)
        sources.append(source)
        books.append(version)
        unpriced.append(int(cost is None and _should_cost(r)))
    c.put("cost_nano_usd", costs)
    c.put("cost_source", sources)
    c.put("price_book", books)
    c.put("unpriced", unpriced)


def cost_of(r: Any, book: PriceBook) -> int | None:
    """Cost of a request by the book, nano-dollars; None if model or usage is unknown.

    The model asked for decides; the one served only if the book does not know the former.
    """
    if r.input_tokens is None and r.output_tokens is None:
        return None
    price = book.price(r.provider, r.model, tier=r.service_tier, speed=r.speed, ts_ms=r.ts)
    if price is None and r.response_model and r.response_model != r.model:
        price = book.price(
            r.provider, r.response_model, tier=r.service_tier, speed=r.speed, ts_ms=r.ts
        )
    if price is None:
        return None
    return price.cost_nano_usd(
        Tokens(
            r.input_tokens or 0,
            r.output_tokens or 0,
            r.cache_read_tokens or 0,
            r.cache_write_tokens or 0,
            r.cache_write_1h_tokens or 0,
            r.reasoning_tokens or 0,
            r.audio_input_tokens or 0,
            r.audio_output_tokens or 0,
            r.image_input_tokens or 0,
        )
    )


def _should_cost(r: Any) -> bool:
    if r.input_tokens or r.output_tokens:
        return True
    return r.status == "ok" and r.input_tokens is None and r.cache_status != "hit"
