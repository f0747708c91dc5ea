"""A refused message counts for the client that it names, if it names one."""

from __future__ import annotations

import json
from typing import Any

from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import MetricsProcessor

REFUSED: dict[str, Any] = {"v": 2, "app": "shop", "producer_id": "p1", "seq": 3}


def producers_of(*values: bytes) -> list[tuple[str, str, int, int, int | None, int]]:
    processor = MetricsProcessor(PriceBook())
    offsets = list(range(len(values)))
    tables = frozenset(processor.tables)
    processor.absorb(
        Chunk("t@1", 0, 0, len(values), offsets, values, [1_790_000_000_000] * len(values), tables)
    )
    built = processor.cut(now_ms=1_790_000_000_000).build()
    assert built["dead_letters"].num_rows == len(values)
    if "producers" not in built:
        return []
    names = ("producer_id", "app", "n", "dead", "min_seq", "max_seq")
    return [tuple(row[n] for n in names) for row in built["producers"].to_pylist()]


def changed(**fields: Any) -> bytes:
    return json.dumps(REFUSED | fields).encode()


def test_it_counts_for_its_client_and_its_number_is_not_missing() -> None:
    assert producers_of(changed(), changed(seq=5), changed(seq=None)) == [
        ("p1", "shop", 0, 3, 3, 5)
    ]


def test_a_message_that_cannot_be_read_or_names_nobody_is_nobodys() -> None:
    assert (
        producers_of(
            b"{",
            b"",
            b"[]",
            changed()[:-2],
            changed(producer_id=7),
            changed(producer_id=""),
            changed(producer_id="x" * 33),
            changed(seq="4"),
            changed(seq=-1),
            changed(app=None),
            changed(producer_id="a\u0000b"),
            b"[" * 100_000,
        )
        == []
    )
