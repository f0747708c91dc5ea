"""Puts costs on request columns: the app's own price if it states one, else the price book's.

In: request columns. Out: columns `cost_nano_usd` (null: unknown), `cost_source`, `price_book`,
`unpriced` (0/1). A call counts as unpriced if its cost is unknown although it should have one: not
when it used nothing (an error or a cancelled call without usage, a hit of the app's own cache).
The model asked for decides; the one served only if the book does not know the former.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from streamgauge.stream_processors.metrics.cells import TOKEN_SUMS, combine
from streamgauge.stream_processors.metrics.columns import Columns, Ints
from streamgauge.stream_processors.metrics.pricing import Price, PriceBook, consistent

SOURCES = ("", "app", "stream")
KEY = ("provider", "model", "response_model", "service_tier", "speed")


def put_prices(c: Columns, book: PriceBook) -> None:
    """Set the four columns."""
    stated = c.known("cost_nano_usd")
    used = c.known("input_tokens") | c.known("output_tokens")
    cost, source = c.ints("cost_nano_usd").copy(), stated.astype(np.int32)
    counts = consistent(np.column_stack([c.ints(name) for name in TOKEN_SUMS]))
    for rows, price in _priced(c, np.flatnonzero(used & ~stated), book):
        cost[rows] = price.costs_nano_usd(counts[rows])
        source[rows] = SOURCES.index("stream")
    known = source > 0
    c.put("cost_nano_usd", pa.array(cost, mask=~known))
    c.put("cost_source", _coded(source, SOURCES))
    by_book = (source == SOURCES.index("stream")).astype(np.int32)
    c.put("price_book", _coded(by_book, ("", book.version)))
    something = (c.ints("input_tokens") > 0) | (c.ints("output_tokens") > 0)
    silent = c.is_text("status", "ok") & ~c.known("input_tokens")
    expected = something | (silent & ~c.is_text("cache_status", "hit"))
    c.put("unpriced", pa.array((~known & expected).astype(np.int64)))


def _coded(codes: np.ndarray[tuple[int], np.dtype[np.int32]], words: tuple[str, ...]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))


def _priced(c: Columns, rows: Ints, book: PriceBook) -> Iterator[tuple[Ints, Price]]:
    """Rows with the same price, and that price; rows that the book cannot price are left out."""
    if not len(rows):
        return
    columns = [c.coded(name) for name in KEY]
    combination, _ = combine(columns)
    ts = c.ts
    order = rows[np.lexsort((ts[rows], combination[rows]))]
    for same in np.split(order, np.flatnonzero(np.diff(combination[order])) + 1):
        provider, model, served, tier, speed = (
            column.values[column.codes[same[0]]] for column in columns
        )
        at = 0
        while at < len(same):  # one turn unless the price changes within these rows
            ask = functools.partial(
                book.known, tier=tier or None, speed=speed or None, ts_ms=int(ts[same[at]])
            )
            known = ask(provider, model)
            price, until = known.price, known.until_ms
            if price is None and served and served != model:
                known = ask(provider, served)
                price, until = known.price, min(until, known.until_ms)
            end = len(same) if until == np.inf else int(np.searchsorted(ts[same], until))
            if price is not None:
                yield same[at:end], price
            at = end
