"""Chunks of raw messages through both processors: bad input, repeats, labels, catching up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.drift.processor import DriftProcessor
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.memory import Memory
from streamgauge.stream_processors.scores.main import build_pipeline
from streamgauge.stream_processors.scores.processor import ScoreProcessor
from streamgauge.stream_processors.scores.runner import ThreadRunner
from streamgauge.stream_processors.scores.settings import ScoreSettings

T = 1_700_000_000_000


def raw(i: int, **fields: Any) -> bytes:
    body = {
        "v": 1, "id": f"r{i}", "type": "llm.request", "ts": T + i, "app": "chat", "op": "chat",
        "provider": "openai", "model": "gpt-4o", "status": "ok", "duration_ms": 1.0,
        "content": "redacted", "input_text": "hello", "input_tokens": 100,
    }  # fmt: skip
    return json.dumps(body | fields).encode()


def chunk(
    values: Sequence[bytes | None], tables: Sequence[str], *, base: int = 0, append_ms: int = T
) -> Chunk:
    n = len(values)
    return Chunk(
        src="llm.events.v1@abc", partition=0, base=base, next=base + n,
        offsets=range(base, base + n), values=values, append_ms=[append_ms] * n,
        tables=frozenset(tables),
    )  # fmt: skip


@pytest.fixture
def scores() -> Iterator[ScoreProcessor]:
    runner = ThreadRunner(1)
    settings = ScoreSettings(enabled=frozenset({"lexical"}))
    yield ScoreProcessor(build_pipeline(settings, {}, runner), label_cap=3)
    runner.close()


def rows(processor: ScoreProcessor | DriftProcessor, table: str) -> list[dict[str, Any]]:
    tables = processor.cut(now_ms=0).build()
    return tables[table].to_pylist() if table in tables else []


HOSTILE = [
    None, b"", b"{", b"\xff", raw(1, v=2), raw(2, ts=1), raw(3, ts=T + 60_001),
    raw(4, input_tokens=-1), raw(5, duration_ms="x"), b"[" * 60_000, raw(6, app=None),
]  # fmt: skip


def test_bad_input_leaves_no_row_and_harms_no_neighbour(scores: ScoreProcessor) -> None:
    drift = DriftProcessor(cell_s=300)
    values = [raw(0), *HOSTILE, raw(9)]
    assert drift.absorb(chunk(values, drift.tables)) == T + 9
    assert scores.absorb(chunk(values, scores.tables)) == T + 9
    assert {r["n"] for r in rows(drift, "histograms")} == {2}
    assert {r["n"] for r in rows(scores, "score_windows")} == {2}


def test_text_that_is_hard_to_read_is_scored_or_counted(scores: ScoreProcessor) -> None:
    nasty = ['{"a":"\\ud800 idiot"}', "a\x00b", "\u202eabc", "x" * 60_000, "", "\n"]
    values = [raw(i, input_text=text) for i, text in enumerate(nasty)]
    values.append(raw(77).replace(b'"hello"', b'"\\ud800 idiot"'))
    scores.absorb(chunk(values, scores.tables))
    (minute,) = [
        r for r in rows(scores, "score_windows") if r["resolution"] == 60 and r["side"] == "prompt"
    ]
    assert minute["n"] == len(values)
    assert sum(n for _, n in minute["statuses"]) == len(values)
    assert minute["hits_50"] == 2


def test_heartbeats_move_the_clock_but_are_no_requests(scores: ScoreProcessor) -> None:
    stats = {
        "v": 1, "id": "h", "type": "client.stats", "ts": T + 50, "app": "chat", "producer_id": "p",
        "seq": 1, "accepted": 0, "sent": 0, "spooled": 0, "errors": 0, "queue_events": 0,
        "queue_bytes": 0, "open_calls": 0, "last_seq": 0,
    }  # fmt: skip
    assert scores.absorb(chunk([json.dumps(stats).encode()], scores.tables)) == T + 50
    assert rows(scores, "score_windows") == []


def test_a_repeat_is_counted_once_also_after_a_restart() -> None:
    drift = DriftProcessor(cell_s=300)
    first = [raw(1, producer_id="p", seq=1), raw(2), raw(1, producer_id="p", seq=1), raw(2)]
    drift.absorb(chunk(first, drift.tables))
    assert {r["n"] for r in rows(drift, "histograms")} == {2}
    seen = Seen()
    seen.restore([("p", 1, 1, 0)], ["r2"], 4)
    drift.reset()
    drift.restore(Memory(seen={"llm.events.v1@abc/0": seen}))
    again = [raw(1, producer_id="p", seq=1), raw(2), raw(3)]
    drift.absorb(chunk(again, drift.tables, base=4))
    assert {r["n"] for r in rows(drift, "histograms")} == {1}


def test_labels_beyond_the_cap_share_a_cell_and_no_count_is_lost(scores: ScoreProcessor) -> None:
    values = [raw(i, model=f"m{i}") for i in range(10)]
    scores.absorb(chunk(values, scores.tables))
    minute = [
        r for r in rows(scores, "score_windows") if r["resolution"] == 60 and r["side"] == "prompt"
    ]
    assert {r["model"]: r["n"] for r in minute} == {"m0": 1, "m1": 1, "m2": 1, "__other__": 7}


def test_only_the_tables_that_lack_a_chunk_get_rows(scores: ScoreProcessor) -> None:
    scores.absorb(chunk([raw(1)], ["scores"]))
    scores.absorb(chunk([raw(2), raw(3)], scores.tables, base=1))
    tables = scores.cut(now_ms=0).build()
    assert tables["scores"].num_rows == 3
    assert {r["n"] for r in tables["score_windows"].to_pylist()} == {2}


def test_what_is_read_back_makes_no_row_and_is_remembered(scores: ScoreProcessor) -> None:
    drift = DriftProcessor(cell_s=300)
    before = [raw(1, producer_id="p", seq=1), raw(2)]
    for processor, table in ((scores, "score_windows"), (drift, "histograms")):
        assert processor.absorb(chunk(before, [])) == T + 2
        assert rows(processor, table) == []
        processor.absorb(chunk([*before, raw(3)], processor.tables, base=2))
        assert {r["n"] for r in rows(processor, table)} == {1}


def test_keys_of_a_stream_may_come_and_go(scores: ScoreProcessor) -> None:
    """Events of one run are decoded into Structs with different fields."""
    runs = [
        [raw(1), raw(2, prompt_name="greet", prompt_version="3", output_tokens=7)],
        [raw(3, mine={"a": 1}), raw(4, prompt_name=None), raw(5, output_text="{}")],
        [raw(6, output_tokens=9), raw(7, mine=1, prompt_name="greet", prompt_version="3")],
    ]
    drift, one_by_one = DriftProcessor(cell_s=300), DriftProcessor(cell_s=300)
    base = 0
    for values in runs:
        scores.absorb(chunk(values, scores.tables, base=base))
        drift.absorb(chunk(values, drift.tables, base=base))
        for i, value in enumerate(values, base):
            one_by_one.absorb(chunk([value], drift.tables, base=i))
        base += len(values)
    found = rows(drift, "histograms")
    assert found == rows(one_by_one, "histograms")
    (lengths,) = [r for r in found if r["feature"] == "output_tokens"]
    assert lengths["n"] == 7
    minute = [
        r for r in rows(scores, "score_windows") if r["resolution"] == 60 and r["side"] == "prompt"
    ]
    assert {(r["prompt_name"], r["prompt_version"]): r["n"] for r in minute} == {
        ("", ""): 5,
        ("greet", "3"): 2,
    }


def test_a_reset_forgets_what_was_not_cut(scores: ScoreProcessor) -> None:
    drift = DriftProcessor(cell_s=300)
    for processor in (scores, drift):
        processor.absorb(chunk([raw(1)], processor.tables))
        processor.reset()
        assert not processor.cut(now_ms=0).build()


def test_chunks_of_any_size_make_the_same_histograms() -> None:
    values = [raw(i, ts=T + i * 10_000, input_tokens=i * 7 % 900) for i in range(200)]
    whole, split = DriftProcessor(cell_s=300), DriftProcessor(cell_s=300)
    whole.absorb(chunk(values, whole.tables, append_ms=T + 10**7))
    for i in range(0, 200, 7):
        split.absorb(chunk(values[i : i + 7], split.tables, base=i, append_ms=T + 10**7))
    assert rows(split, "histograms") == rows(whole, "histograms")
