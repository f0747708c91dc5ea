"""Cells of `windows`: requests of a flush summed by window and labels, at 10, 60 and 3600 s.

Everything is an integer sum, a maximum or a histogram of counts (contracts/histogram.py), so any
cut of the same events into flushes adds up to the same bytes. One pass makes the 10 s cells; 60 s
and 3600 s are sums of those.
In: request columns, labels already capped. Out: an Arrow table of cells.
Not here: caps (labels.py), prices (pricing.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamgauge.contracts.bounds import LATE_MS
from streamgauge.contracts.histogram import (
    LN_GAMMA,
    MAX_BUCKET,
    MIN_BUCKET,
    SCHEME,
    ZERO_BUCKET,
)
from streamgauge.stream_processors.metrics.columns import Columns, Floats, Ints, conform
from streamgauge.stream_processors.reading.labels import Coded

RESOLUTIONS_S = (10, 60, 3600)
LABELS = (
    "tenant", "app", "env", "team", "feature", "op", "provider", "model", "prompt_name",
    "prompt_version", "variant", "release",
)  # fmt: skip
"""Labels of a cell, in the order of the table's key."""
MAPS = {
    "error_types": "error_type",
    "http_statuses": "http_status",
    "finish_reasons": "finish_reason",
    "response_models": "response_model",
    "fingerprints": "system_fingerprint",
}
"""Map columns and the event field they count. Their values are capped like labels."""
TOKEN_SUMS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
    "image_input_tokens",
)  # fmt: skip
LIVE_REVISION = 0
SHORTEST_MS = 1e-3  # a generation that took less has no speed: the quotient would be no number


@dataclass(frozen=True, slots=True)
class Counts:
    """Entries of a map or histogram column: cell, key, count; sorted by cell, then key."""

    cell: Ints
    key: Ints
    n: Ints


@dataclass(frozen=True, slots=True)
class Level:
    """Cells, usually of one resolution. labels: combination of labels per cell; t: start, s."""

    labels: Ints
    t: Ints
    sums: Ints
    longest_us: Ints
    counts: Mapping[str, Counts]


def bucket(x: Floats) -> Ints:
    """Histogram buckets of values, the same law as contracts.histogram.bucket."""
    positive = x > 0
    safe = np.where(positive, x, 1.0)
    found = np.clip(np.ceil(np.log(safe) / LN_GAMMA), MIN_BUCKET, MAX_BUCKET)
    return np.where(positive, found, ZERO_BUCKET).astype(np.int64)


def combine(columns: Sequence[Coded]) -> tuple[Ints, Ints]:
    """Combination of coded columns: (combination per row, an example row per combination)."""
    key = np.zeros(len(columns[0].codes), dtype=np.int64)
    size = 1
    for column in columns:
        width = max(1, len(column.values))
        if size > 2**62 // width:
            _, key = np.unique(key, return_inverse=True)
            size = int(key.max(initial=0)) + 1
        key = key * width + column.codes
        size *= width
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return inverse.astype(np.int64), first.astype(np.int64)


def _sum_columns(c: Columns) -> dict[str, Ints | None]:
    """What is summed, by column of the table; None is 0 everywhere."""

    def ints(name: str) -> Ints | None:
        return None if c.empty(name) else c.ints(name)

    def flags(name: str, wanted: bool) -> Ints | None:
        return None if c.empty(name) else c.flags(name, wanted)

    def texts(name: str, word: str) -> Ints | None:
        return c.is_text(name, word).astype(np.int64) if word in c.coded(name).values else None

    unpriced = c.ints("unpriced")
    known, duration = c.known_floats("duration_ms")
    return {
        "n": np.ones(len(c), dtype=np.int64),
        "errors": texts("status", "error"),
        "timeouts": texts("status", "timeout"),
        "cancelled": texts("status", "cancelled"),
        **{name: ints(name) for name in TOKEN_SUMS},
        "cost_nano_usd": ints("cost_nano_usd"),
        "unpriced_n": unpriced,
        "unpriced_tokens": (c.ints("input_tokens") + c.ints("output_tokens")) * unpriced,
        "duration_us_sum": np.where(known, np.rint(duration * 1000), 0).astype(np.int64),
        "retries": ints("retries"),
        "refused": flags("refused", True),
        "output_valid_n": flags("output_valid", True),
        "output_invalid_n": flags("output_valid", False),
        "truncated_n": flags("truncated", True),
        "cache_hits": texts("cache_status", "hit"),
        "stalls": ints("stalls"),
    }


def _sums(columns: Sequence[Ints | None], order: Ints, starts: Ints) -> Ints:
    """One row per cell, one column each."""
    sums = np.zeros((len(starts), len(columns)), dtype=np.int64)
    for i, column in enumerate(columns):
        if column is not None:
            sums[:, i] = np.add.reduceat(column[order], starts)
    return sums


def _histogram_values(c: Columns) -> dict[str, tuple[NDArray[np.bool_], Floats]]:
    durations, ttfts = c.known_floats("duration_ms"), c.known_floats("ttft_ms")
    outputs = c.known_floats("output_tokens")
    # Speed of generation: without the wait for the first chunk where that is known.
    spent_ms = durations[1] - np.where(ttfts[0], ttfts[1], 0.0)
    timed = outputs[0] & durations[0] & (spent_ms >= SHORTEST_MS) & (outputs[1] > 0)
    tps = outputs[1] * 1000.0 / np.where(timed, spent_ms, 1.0)
    return {
        "duration_ms_hist": durations,
        "ttft_ms_hist": ttfts,
        "chunk_gap_ms_hist": c.known_floats("chunk_gap_max_ms"),
        "output_tps_hist": (timed, tps),
        "input_tokens_hist": c.known_floats("input_tokens"),
        "output_tokens_hist": outputs,
    }


def _group(major: Ints, minor: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows by (major, minor): (cell per row, order of rows by cell, start of each cell in order).

    major: codes from 0. One sort of 64-bit keys costs a fifth of a sort by two columns.
    """
    low = int(minor.min(initial=0))
    width = int(minor.max(initial=0)) - low + 1
    key = major * width + (minor - low)
    order = np.argsort(key)
    ordered = key[order]
    new = np.ones(len(order), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    cell = np.empty(len(order), dtype=np.int64)
    cell[order] = np.cumsum(new) - 1
    return cell, order, np.flatnonzero(new)


def _count(cell: Ints, key: Ints, n: Ints) -> Counts:
    if not len(cell):
        return Counts(cell, key, n)
    _, order, starts = _group(cell, key)
    first = order[starts]
    return Counts(cell[first], key[first], np.add.reduceat(n[order], starts))


def _count_ones(cell: Ints, key: Ints) -> Counts:
    """The same where every n is 1: no need to know which row is where."""
    low = int(key.min(initial=0))
    width = int(key.max(initial=0)) - low + 1
    keys, n = np.unique(cell * width + (key - low), return_counts=True)
    return Counts(keys // width, keys % width + low, n.astype(np.int64))


def _coarser(level: Level, resolution_s: int) -> Level:
    t = level.t // resolution_s * resolution_s
    cell, order, starts = _group(level.labels, t)
    return Level(
        labels=level.labels[order][starts],
        t=t[order][starts],
        sums=np.add.reduceat(level.sums[order], starts, axis=0),
        longest_us=np.maximum.reduceat(level.longest_us[order], starts),
        counts={name: _count(cell[k.cell], k.key, k.n) for name, k in level.counts.items()},
    )


def build_cells(
    c: Columns,
    labels: Mapping[str, Coded],
    maps: Mapping[str, Coded],
    schema: pa.Schema,
) -> pa.Table:
    """The cells of these requests at every resolution, with the columns of `schema`.

    labels: LABELS, capped. maps: MAPS by map column, capped; an empty value is not counted.
    Events that Kafka took late go to cells of their own (bounds.LATE_MS).
    c carries `cost_nano_usd` (None: unknown) and `unpriced` (0/1) as priced by the stream.
    """
    late = (c.times("append_ts") - c.ts > LATE_MS).astype(np.int64)
    combination, example = combine([*(labels[name] for name in LABELS), Coded(late, ("0", "1"))])
    seconds = c.ts // 1000
    columns = _sum_columns(c)
    longest = columns["duration_us_sum"]
    assert longest is not None
    t = seconds // RESOLUTIONS_S[0] * RESOLUTIONS_S[0]
    cell, order, starts = _group(combination, t)
    counts = {}
    for name, (known, x) in _histogram_values(c).items():
        counts[name] = _count_ones(cell[known], bucket(x[known]))
    for name, coded in maps.items():
        empty = coded.values.index("") if "" in coded.values else -1
        named = coded.codes != empty
        counts[name] = _count_ones(cell[named], coded.codes[named])
    level = Level(
        combination[order][starts],
        t[order][starts],
        _sums(list(columns.values()), order, starts),
        np.maximum.reduceat(longest[order], starts),
        counts,
    )
    levels = [level]
    for resolution_s in RESOLUTIONS_S[1:]:
        levels.append(_coarser(levels[-1], resolution_s))
    resolutions = np.repeat(RESOLUTIONS_S, [len(level.t) for level in levels])
    return _table(_joined(levels), resolutions, list(columns), labels, maps, late, example, schema)


def _joined(levels: Sequence[Level]) -> Level:
    """The cells of all levels, one level after another."""
    starts = np.cumsum([0, *(len(level.t) for level in levels)])
    counts = {}
    for name in levels[0].counts:
        parts = [level.counts[name] for level in levels]
        counts[name] = Counts(
            np.concatenate([k.cell + start for k, start in zip(parts, starts, strict=False)]),
            np.concatenate([k.key for k in parts]),
            np.concatenate([k.n for k in parts]),
        )
    return Level(
        np.concatenate([level.labels for level in levels]),
        np.concatenate([level.t for level in levels]),
        np.concatenate([level.sums for level in levels]),
        np.concatenate([level.longest_us for level in levels]),
        counts,
    )


def _table(
    level: Level,
    resolutions: Ints,
    names: Sequence[str],
    labels: Mapping[str, Coded],
    maps: Mapping[str, Coded],
    late: Ints,
    example: Ints,
    schema: pa.Schema,
) -> pa.Table:
    rows = example[level.labels]  # an event that has the cell's labels
    n = len(level.t)
    arrays: dict[str, pa.Array] = {
        "resolution": pa.array(resolutions),
        "t": pa.array(level.t),
        "revision": pa.array(np.full(n, LIVE_REVISION)),
        "scheme": pa.array(np.full(n, SCHEME)),
        "late": pa.array(late[rows]),
        "duration_us_max": pa.array(level.longest_us),
    }
    for name in LABELS:
        arrays[name] = pa.array(labels[name].values, pa.string()).take(
            pa.array(labels[name].codes[rows])
        )
    for i, name in enumerate(names):
        arrays[name] = pa.array(level.sums[:, i])
    for name, k in level.counts.items():
        keys = pa.array(k.key)
        if name in maps:
            keys = pa.array(maps[name].values, pa.string()).take(keys)
        offsets = np.searchsorted(k.cell, np.arange(n + 1))
        key_type = schema.field(name).type.key_type
        arrays[name] = pa.MapArray.from_arrays(
            pa.array(offsets, pa.int32()), keys.cast(key_type), pa.array(k.n, pa.uint64())
        )
    return pa.table([conform(arrays[f.name], f.type) for f in schema], schema=schema)
