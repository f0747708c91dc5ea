"""Files of texts and of our own events, and how an event becomes bytes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from streamgauge.contracts.bounds import MAX_EVENT_BYTES, MAX_TEXT_BYTES
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.ndjson import read_events
from streamgauge.producers.traffic.sender import encode
from streamgauge.producers.traffic.texts import load_texts
from streamgauge.producers.traffic.traces import TraceRow

PAIRS = [{"prompt": f"question {i}", "answer": f"answer {i}"} for i in range(10)]


def jsonl(folder: Path, rows: list[Any], name: str = "texts.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(n: int) -> list[TraceRow]:
    return [TraceRow(i, 1_700_000_000_000 + i, 10, 10) for i in range(1, n + 1)]


def test_texts_are_joined_in_an_order_that_the_seed_decides_and_cycle(tmp_path: Path) -> None:
    path = jsonl(tmp_path, PAIRS)
    first = [text.text for text, _ in load_texts(path, 1).pairs]
    assert first == [text.text for text, _ in load_texts(path, 1).pairs]
    assert first != [text.text for text, _ in load_texts(path, 2).pairs]
    events = {e["id"]: e for e in events_for(rows(25), 1, texts=load_texts(path, 1))}
    assert [events[f"run-{i}"]["input_text"] for i in range(1, 26)] == (first * 3)[:25]
    assert {e["content"] for e in events.values()} == {"full"}


def test_prompt_and_answer_of_a_pair_stay_together(tmp_path: Path) -> None:
    for event in events_for(rows(25), 1, texts=load_texts(jsonl(tmp_path, PAIRS), 1)):
        if event["status"] == "ok":
            assert event["output_text"] == event["input_text"].replace("question", "answer")
            assert event["output_chars"] == len("answer 0")


def test_json_array_with_instruction_and_output_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "array.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"instruction": "a", "output": "b"}]).encode()))
    ((prompt, answer),) = load_texts(path, 1).pairs
    assert (prompt.text, answer.text) == ("a", "b")


def test_long_text_is_cut_to_eight_kib_and_its_length_is_kept(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"prompt": "é" * 9_000, "answer": "b"}])
    (event,) = events_for(rows(1), 1, texts=load_texts(path, 1))
    assert len(event["input_text"].encode()) <= MAX_TEXT_BYTES
    assert event["input_chars"] == 9_000
    assert event["truncated"] is True


def test_redacted_texts_are_redacted(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"prompt": "write to ann@example.org", "answer": "ok"}])
    pool = load_texts(path, 1, content="redacted")
    assert "ann@example.org" not in pool.pairs[0][0].text
    assert pool.content == "redacted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n', r"texts:1: none of the text fields answer, output, response"),
        ('{"prompt": "a", "answer": "b"}\n{"pro\n', r"texts:2: found '\{\"pro', expected one JSON"),
        ('"a"\n', r"texts:1: expected a JSON object"),
        ("\n", "no prompts and answers"),
        ("[1", "not a JSON array"),
    ],
)
def test_bad_texts_are_named_with_their_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "texts"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        load_texts(path, 1)


def test_own_events_come_back_in_order_without_heartbeats(tmp_path: Path) -> None:
    own = {"v": 1, "type": "llm.request", "app": "a"}
    path = jsonl(
        tmp_path,
        [
            {**own, "id": "b", "ts": 2},
            {"v": 1, "type": "client.stats", "app": "a", "id": "s", "ts": 1},
            {**own, "id": "a", "ts": 1},
            {**own, "id": "c", "ts": 2},
        ],
    )
    found = read_events(path)
    assert [e["id"] for e in found.events] == ["a", "b", "c"]
    assert found.heartbeats == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"v":1,"id":"x","type":"t"}', r"own:2: ts is None, expected a JSON whole number"),
        ('{"v":1,"id":"x","type":"t","ts":1.5}', r"own:2: ts is 1\.5, expected a JSON whole"),
        ('{"v":1,"id":7,"type":"t","ts":1}', r"own:2: id is 7, expected a JSON string"),
        ("[]", r"own:2: found '\[\]', expected a JSON object"),
        ("{", r"own:2: found '\{', expected one JSON object"),
    ],
)
def test_bad_own_event_is_named_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "own"
    path.write_text('{"v":1,"id":"x","type":"t","ts":1}\n' + line + "\n")
    with pytest.raises(BadInput, match=message):
        read_events(path)


def test_event_over_64_kib_is_sent_with_shorter_texts() -> None:
    (event,) = events_for(rows(1), 1)
    event.update(content="full", input_text="\x01" * 8_192, output_text="\x02" * 8_192)
    value = encode(event)
    assert len(value) <= MAX_EVENT_BYTES
    parsed = parse_event(value)
    assert isinstance(parsed, LlmRequest)
    assert parsed.truncated is True


def test_unknown_values_are_left_out_of_the_message() -> None:
    assert b"output_tokens" not in encode({"v": 1, "output_tokens": None})
