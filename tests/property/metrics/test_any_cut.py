"""Whatever the cut into chunks, flushes, crashes and restarts: the same rows add up to the same.

The worker's own parts (Positions, MetricsProcessor, Seen) run against a store in memory that keeps
what a flush inserted, table by table, and may die between two of them. The reference counts the
events one by one and shares no code with the cells.
"""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamgauge.contracts.events import EVENT_TYPES
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.core.slow_tables import SlowTables
from streamgauge.stream_processors.metrics.accounting import SPEND_KEY
from streamgauge.stream_processors.metrics.cells import LABELS, MAPS
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import SLOW_TABLES, MetricsProcessor
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.memory import Memory
from tests.support.streams import APPEND_MS, OTHERS, REQUEST, T0, every_type, streams

BOOK = PriceBook()
SRC = "llm.events.v1@abcdefgh"
HISTS = ("duration_ms_hist", "ttft_ms_hist", "input_tokens_hist", "output_tokens_hist")
COUNTED = ("error_types", "http_statuses", "finish_reasons")
KEY = ("resolution", "t", "late", *LABELS)
HIGHEST = ("max_seq", "last_ts", "accepted", "sent", "spooled", "errors")


class MemoryStore:
    """Sink tables as a list of rows and one marker each."""

    def __init__(self, tables: tuple[str, ...]) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {t: [] for t in tables}
        self.markers: dict[str, dict[str, int]] = {t: {} for t in tables}

    def insert(self, table: str, data: pa.Table | None, following: Mapping[str, int]) -> None:
        if data is not None:
            names = TABLES[table].data.names  # columns left out have the table's default
            self.rows[table] += [{n: row.get(n) for n in names} for row in data.to_pylist()]
        self.markers[table].update(following)

    def seen(self, position: int) -> Seen:
        """As recall.py reads it: only below the position to resume from."""
        seen = Seen()
        below = sorted(
            (r for r in self.rows["events"] if r["offset"] < position), key=lambda r: r["offset"]
        )
        numbered = sorted(
            (r["producer_id"], r["seq"], r["offset"]) for r in below if r["seq"] is not None
        )
        seen.restore(
            [(p, s, s, o) for p, s, o in numbered],
            [r["id"] for r in below if r["seq"] is None],
            position,
        )
        return seen


def run(values: list[bytes], plan: list[tuple[int, int]], store: MemoryStore) -> None:
    """plan: (messages until the next flush, tables inserted before it dies; 99 = all of them).

    A flush comes every 3 s, so the slow tables are written with every fourth; the last one forces.
    """
    key = f"{SRC}/0"
    slow, epoch, now_ms = SlowTables(SLOW_TABLES), 0, T0
    processor = MetricsProcessor(BOOK)
    steps = iter(plan)
    positions = None
    while True:
        if positions is None:
            positions = Positions(processor.tables, store.markers, [key])
            epoch += 1
            processor.reset()
            labels = [(r["tenant"], r["label"], r["value"]) for r in store.rows["label_values"]]
            processor.restore(Memory({key: store.seen(positions.pos[key])}, labels))
        start = positions.pos[key]
        if start >= len(values):
            return
        size, survives = next(steps, (len(values), 99))
        end = min(len(values), start + size)
        for low, high, tables in positions.split(key, start, end):
            offsets = list(range(low, high))
            chunk = Chunk(
                SRC, 0, low, high, offsets, values[low:high], [APPEND_MS] * len(offsets), tables
            )
            processor.absorb(chunk)
        positions.absorbed(key, end)
        now_ms += 3_000
        moves = positions.moves(now_ms=now_ms, force=end >= len(values))
        moves, made = slow.due_now(epoch, moves, processor.cut(now_ms=now_ms).build())
        for i, move in enumerate(moves):
            if i >= survives:
                positions = None  # it dies here and starts again
                break
            if move.table in made or move.marker_due:
                store.insert(move.table, made.get(move.table), move.next)
                positions.landed(move.table, move.next, now_ms=now_ms)


def merged_windows(store: MemoryStore) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of one cell added up, as the engine merges them."""
    cells: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in store.rows["windows"]:
        key = tuple(row[name] for name in KEY)
        cell = cells.setdefault(key, defaultdict(int))
        for name, value in row.items():
            if name in KEY or name in ("revision", "scheme"):
                continue
            if name == "duration_us_max":
                cell[name] = max(cell[name], value)
            elif isinstance(value, list):
                counts = cell[name] if cell[name] else Counter()
                counts.update(dict(value))
                cell[name] = counts
            else:
                cell[name] += value
    return cells


def rows_of(store: MemoryStore, table: str) -> list[dict[str, Any]]:
    """Rows by offset; what a row does not say is left out, as its column may be."""
    return [
        {name: value for name, value in row.items() if value not in (None, "", [])}
        for row in sorted(store.rows[table], key=lambda row: int(row["offset"]))
    ]


def merged_producers(store: MemoryStore) -> dict[str, dict[Any, Any]]:
    """Rows of one client added up, as the engine merges them."""
    clients: dict[str, dict[Any, Any]] = {}
    for row in store.rows["producers"]:
        client = clients.setdefault(row["producer_id"], defaultdict(int))
        for name in ("n", "duplicates", "dead"):
            client[name] += row[name]
        highest: dict[Any, Any] = {name: row[name] for name in HIGHEST}
        highest |= {("dropped", reason): n for reason, n in row["dropped"]}
        highest["last_stats"] = tuple(row["last_stats"].values())
        for name, value in highest.items():
            client[name] = max(client.get(name, value), value)
        for name in ("min_seq", "first_ts"):
            known = [x for x in (client.get(name), row[name]) if x is not None]
            client[name] = min(known, default=None)
    return clients


def totals(store: MemoryStore) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    for row in store.rows["ingest_log"]:
        outcomes[row["outcome"]] += row["n"]
    spend: Counter[tuple[Any, ...]] = Counter()
    for row in store.rows["spend"]:
        key = tuple(row[name] for name in ("t", *SPEND_KEY))
        for name in ("n", "input_tokens", "cost_nano_usd", "unpriced_n"):
            spend[name, *key] += row[name]
    prompts = {
        tuple(row[name] for name in ("tenant", "app", "prompt_name", "prompt_version")): row
        for row in sorted(store.rows["prompts"], key=lambda row: int(row["rev"]))
    }
    return {
        "windows": merged_windows(store),
        "outcomes": outcomes,
        "latest": max((row["max_ts"] for row in store.rows["ingest_log"]), default=None),
        "producers": merged_producers(store),
        "spend": spend,
        "prompts": {key: row["template_hash"] for key, row in prompts.items()},
        **{table: rows_of(store, table) for table in ("events", "judgements", "dead_letters")},
    }


def fresh() -> MemoryStore:
    return MemoryStore(MetricsProcessor(BOOK).tables)


def test_there_are_streams_of_every_type_of_event() -> None:
    assert {REQUEST, *OTHERS} == EVENT_TYPES.keys() | {"llm.unheard_of"}
    found = {json.loads(value)["type"] for value in every_type(0) if value != b"{"}
    assert found == {REQUEST, *OTHERS}


@settings(max_examples=40, deadline=None)
@given(
    streams(),
    st.lists(st.tuples(st.integers(1, 9), st.just(99) | st.integers(0, 9)), max_size=12),
)
@example(every_type(0), [(1, 99)] * 12)
@example(every_type(0), [(3, 99), (6, 4)])
def test_any_cut_and_any_crash_gives_the_same_sums(
    values: list[bytes], plan: list[tuple[int, int]]
) -> None:
    whole, cut = fresh(), fresh()
    run(values, [], whole)
    run(values, plan, cut)
    expected = totals(whole)
    assert all(expected.values()) or values != every_type(0), "all of it is compared"
    assert totals(cut) == expected
    assert sum(expected["outcomes"].values()) == len(values)


@settings(max_examples=30, deadline=None)
@given(streams())
def test_cells_equal_a_count_by_hand(values: list[bytes]) -> None:
    store = fresh()
    run(values, [], store)
    assert {k: dict(c) for k, c in by_hand(values).items()} == {
        k: {name: cell[name] for name in by_hand_names(cell)}
        for k, cell in merged_windows(store).items()
    }


def by_hand_names(cell: Mapping[str, Any]) -> list[str]:
    maps = [m for m in (*HISTS, *COUNTED) if cell[m]]
    return ["n", "errors", "input_tokens", "unpriced_n", "unpriced_tokens", "duration_us_sum",
            "duration_us_max", "retries", "refused", "cache_hits", *maps]  # fmt: skip


def by_hand(values: list[bytes]) -> dict[tuple[Any, ...], dict[str, Any]]:
    cells: dict[tuple[Any, ...], dict[str, Any]] = {}
    seen: set[Any] = set()
    for raw in values:
        try:
            e = json.loads(raw)
        except ValueError:
            continue
        if not isinstance(e, dict) or "ts" not in e:
            continue
        mark = (e["producer_id"], e["seq"]) if "seq" in e else e["id"]
        if mark in seen:
            continue
        seen.add(mark)
        if e["type"] != REQUEST:
            continue
        for resolution in (10, 60, 3600):
            count_by_hand(cells, e, resolution)
    return cells


def count_by_hand(cells: dict[tuple[Any, ...], dict[str, Any]], e: Any, resolution: int) -> None:
    start = e["ts"] // 1000 // resolution * resolution
    labels = {"tenant": "default", "env": "prod"}
    key = (
        resolution,
        datetime.datetime.fromtimestamp(start, datetime.UTC),
        int(APPEND_MS - e["ts"] > 90_000),
        *(e.get(name, labels.get(name, "")) for name in LABELS),
    )
    cell = cells.setdefault(
        key,
        dict.fromkeys(
            ["n", "errors", "input_tokens", "unpriced_n", "unpriced_tokens", "duration_us_sum",
             "duration_us_max", "retries", "refused", "cache_hits"], 0
        ),
    )  # fmt: skip
    used_in, used_out = e.get("input_tokens"), e.get("output_tokens")
    micros = round(e["duration_ms"] * 1000)
    unknown = "cost_nano_usd" not in e and (
        e["model"] == "nobody-knows" or (used_in is None and used_out is None)
    )
    served = e["status"] == "ok" and used_in is None and e.get("cache_status") != "hit"
    unpriced = unknown and bool(used_in or used_out or served)
    cell["n"] += 1
    cell["errors"] += e["status"] == "error"
    cell["input_tokens"] += used_in or 0
    cell["unpriced_n"] += unpriced
    cell["unpriced_tokens"] += ((used_in or 0) + (used_out or 0)) if unpriced else 0
    cell["duration_us_sum"] += micros
    cell["duration_us_max"] = max(cell["duration_us_max"], micros)
    cell["retries"] += e.get("retries", 0)
    cell["refused"] += e.get("refused", False)
    cell["cache_hits"] += e.get("cache_status") == "hit"
    for name in HISTS:
        x = e.get(name.removesuffix("_hist"))
        if x is not None:
            i = -32768 if x <= 0 else math.ceil(math.log(x) / math.log(101 / 99))
            i = i if x <= 0 else max(i, -32767)
            cell.setdefault(name, Counter())[i] += 1
    for column in COUNTED:
        value = e.get(MAPS[column])
        if value is not None:
            cell.setdefault(column, Counter())[str(value)] += 1
